"""A ticket works once, at one address, for seconds, with the rights that its account had when it was issued."""

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest

from gymserve.accounts.identity import Identity
from gymserve.accounts.tickets import SECONDS, Tickets
from gymserve.protocol.errors import Unauthenticated

WHO = Identity(7, "ada", "participant", frozenset({"training"}))
PATH = "/experiments/x/metrics/stream"


def test_a_ticket_works_once(tmp_path: Path) -> None:
    tickets = Tickets(tmp_path / "tickets")
    ticket = tickets.issue(WHO, PATH)
    assert tickets.redeem(ticket, PATH) == WHO
    for wrong in (ticket, "", "../tickets", "x" * 10_000, "\0"):
        with pytest.raises(Unauthenticated, match="ask for another"):
            tickets.redeem(wrong, PATH)
    assert list(tickets.folder.iterdir()) == []


def test_of_simultaneous_requests_with_one_ticket_only_one_succeeds(tmp_path: Path) -> None:
    tickets, identities = Tickets(tmp_path), []
    ticket = tickets.issue(WHO, PATH)

    def redeem() -> None:
        with contextlib.suppress(Unauthenticated):
            identities.append(tickets.redeem(ticket, PATH))

    threads = [threading.Thread(target=redeem) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert identities == [WHO]


def test_a_ticket_is_bound_to_its_address_and_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = Tickets(tmp_path)
    for other in ("/experiments/y/metrics/stream", "/experiments/a/metrics/stream"):
        with pytest.raises(Unauthenticated, match="the address it was made for"):
            tickets.redeem(tickets.issue(WHO, PATH), other)
    ticket, now = tickets.issue(WHO, PATH), time.time()
    monkeypatch.setattr(time, "time", lambda: now + SECONDS + 1)
    with pytest.raises(Unauthenticated, match="30 s"):
        tickets.redeem(ticket, PATH)


def test_unused_tickets_are_deleted_and_files_reveal_no_ticket(tmp_path: Path) -> None:
    tickets = Tickets(tmp_path)
    ticket = tickets.issue(WHO, PATH)
    (file,) = tmp_path.iterdir()
    assert ticket not in file.name and ticket.encode() not in file.read_bytes()
    os.utime(file, (0, 0))
    tickets.issue(WHO, PATH)
    tickets.issue(WHO, PATH)
    assert len(list(tmp_path.iterdir())) == 2 and not file.exists()
