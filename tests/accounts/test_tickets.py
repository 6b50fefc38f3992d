"""Tickets let their holder in once, at one address, for seconds, with the rights that were had then."""

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


def test_a_ticket_lets_in_once(tmp_path: Path) -> None:
    tickets = Tickets(tmp_path / "tickets")
    ticket = tickets.issue(WHO, PATH)
    assert tickets.redeem(ticket, PATH) == WHO
    for wrong in (ticket, "", "../tickets", "x" * 10_000, "\0"):
        with pytest.raises(Unauthenticated, match="ask for another"):
            tickets.redeem(wrong, PATH)
    assert list(tickets.folder.iterdir()) == []


def test_of_many_who_send_it_at_once_one_gets_in(tmp_path: Path) -> None:
    tickets, entered = Tickets(tmp_path), []
    ticket = tickets.issue(WHO, PATH)

    def enter() -> None:
        with contextlib.suppress(Unauthenticated):
            entered.append(tickets.redeem(ticket, PATH))

    threads = [threading.Thread(target=enter) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert entered == [WHO]


def test_a_ticket_is_for_its_address_and_its_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = Tickets(tmp_path)
    with pytest.raises(Unauthenticated, match="the address that it was made for"):
        tickets.redeem(tickets.issue(WHO, PATH), "/experiments/y/metrics/stream")
    ticket, now = tickets.issue(WHO, PATH), time.time()
    monkeypatch.setattr(time, "time", lambda: now + SECONDS + 1)
    with pytest.raises(Unauthenticated, match="30 s"):
        tickets.redeem(ticket, PATH)


def test_what_nobody_used_is_swept_away_and_shows_no_ticket(tmp_path: Path) -> None:
    tickets = Tickets(tmp_path)
    ticket = tickets.issue(WHO, PATH)
    (file,) = tmp_path.iterdir()
    assert ticket not in file.name and ticket.encode() not in file.read_bytes()
    os.utime(file, (0, 0))
    tickets.issue(WHO, PATH)
    tickets.issue(WHO, PATH)
    assert len(list(tmp_path.iterdir())) == 2 and not file.exists()
