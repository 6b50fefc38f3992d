"""Orders are carried out in turn, none is lost, and one that keeps failing is given up with its reason."""

import os
import time
from pathlib import Path

from gymserve.recording.jobs import MONITOR, SUBMISSION, Order, Orders


def test_submissions_go_first_and_else_who_waited_longest(tmp_path: Path) -> None:
    orders = Orders(tmp_path / "orders")
    assert orders.next() is None and not orders.has_work()
    for order, age in (
        (Order(MONITOR, "m", monitor=1), 9.0),
        (Order(SUBMISSION, "b"), 5.0),
        (Order(SUBMISSION, "a"), 1.0),
    ):
        orders.place(order, wait_seconds=-age)
    found = []
    while (order := orders.next()) is not None:
        found.append(order.subject)
        orders.done(order)
    assert found == ["b", "a", "m"]


def test_one_that_is_put_off_is_not_due_but_there(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.place(Order(SUBMISSION, "a", reason="later"), wait_seconds=60)
    assert not orders.has_work() and orders.next() is None
    found = orders.find(SUBMISSION, "a")
    assert found is not None and found.reason == "later"


def test_an_attempt_is_counted_before_it_is_made(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.place(Order(SUBMISSION, "a"))
    for attempt in (1, 2):
        found = orders.next()
        assert found is not None
        assert orders.begin(found, reason="it died").attempts == attempt
    again = Orders(tmp_path).find(SUBMISSION, "a")  # as another process finds it
    assert again is not None and (again.attempts, again.reason) == (2, "it died")


def test_what_is_no_order_stands_in_nobodys_way(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.place(Order(SUBMISSION, "b"))
    (tmp_path / "1-a").write_text("{torn")
    os.utime(tmp_path / "1-a", (time.time() - 60,) * 2)
    found = orders.next()
    assert found is not None and found.subject == "b"
