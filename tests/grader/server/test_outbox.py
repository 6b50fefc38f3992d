"""Reports wait until the challenge server has accepted them, are sent in order, and give each submission one score."""

import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from gymserve.grader.server.competitions.competition import Competition
from gymserve.grader.server.reports import crowdai
from gymserve.grader.server.reports.crowdai import CrowdAI
from gymserve.grader.server.reports.outbox import GIVEN_UP, REFUSED, SENT, WAITING, Outbox
from gymserve.grader.server.reports.reporter import deliver
from gymserve.outside.server import RemoteServer
from gymserve.protocol.errors import SettingsError, Unavailable
from gymserve.settings import Settings
from gymserve.store import Database, connect, schema
from gymserve.store.models import RemoteEntry, Report, Submission, now
from tests.grader.server.challenge_server import FAULTS, ChallengeServer

TOML = 'name = "cart"\nenvironment = "CartPole-v1"\n[scoring]\nworst = 0\n'
FEW = 12  # submissions to a faulty server by default
REPORTED = int(os.environ.get("REPORTED", "80"))  # in the long part
FAR = datetime.timedelta(days=30)


def local(data: Path) -> Database:
    database = connect("", data)
    schema.ensure(database, data)
    return database


class Post:
    """An outbox whose time passes as fast as the test likes."""

    def __init__(self, database: Database, data: Path, server: ChallengeServer, **more: Any) -> None:
        settings = Settings(CHALLENGE_SERVER_URL=server.url, CHALLENGE_SERVER_TOKEN="secret-token")
        remote = CrowdAI.of(settings)
        assert remote is not None
        remote.server.seconds = 0.15
        self.database, self.outbox = database, Outbox(database, remote, data, **more)
        self.record = Competition(database, data).define(TOML, owner_id=None)

    def begin(self, number: int) -> int:
        with self.database.writing() as session:
            row = Submission(
                name=f"submission{number}", challenge_id=self.record.id, version_id=self.record.version_id, phase="public",
                entrant=f"participant {number}", state="running",
            )  # fmt: skip
            session.add(row)
            session.flush()
            self.outbox.begin(session, row.id, f"key{number}")
            return row.id

    def end(self, submission: int, state: str = "graded", **values: Any) -> None:
        with self.database.writing() as session:
            columns = {"state": state, "score": float(submission), "finished_at": now(), **values}
            session.execute(update(Submission).where(Submission.id == submission).values(columns))
            self.outbox.end(session, submission)

    def deliver(self) -> None:
        """Sends reports until none is waiting, without waiting for their due times."""
        for _ in range(100_000):
            self.outbox.hurry()
            due = self.outbox.next_due()
            if due is None:
                return
            self.outbox.send(due)
        raise AssertionError("the reports are not sent")

    def reports(self, submission: int) -> list[tuple[int, str]]:
        query = select(Report).where(Report.submission_id == submission).order_by(Report.number)
        with self.database.reading() as session:
            return [(report.number, report.state) for report in session.scalars(query)]


@pytest.fixture
def server() -> Iterator[ChallengeServer]:
    started = ChallengeServer()
    yield started
    started.stop()


@pytest.mark.guarantee("a challenge server is down, slow, answers 500, drops answers")
@pytest.mark.parametrize(
    ("seed", "reported"), [(3, FEW), *(pytest.param(seed, REPORTED, marks=pytest.mark.long) for seed in range(3))]
)
def test_a_faulty_server_receives_each_score_once_and_in_order(tmp_path: Path, seed: int, reported: int) -> None:
    server = ChallengeServer(*FAULTS, seed=seed)
    post = Post(local(tmp_path), tmp_path, server)
    rows = [post.begin(number) for number in range(reported)]
    for row in rows[::2]:
        post.end(row)
    post.deliver()
    for row in rows[1::2]:
        post.end(row, state="failed", score=None, reason="it broke")
    post.deliver()
    server.stop()
    assert {state for row in rows for _, state in post.reports(row)} == {SENT}
    received: dict[str, list[dict[str, Any]]] = {}
    for entry in server.submissions.values():
        received.setdefault(entry["meta"]["submission"], []).append(entry)
    for number, row in enumerate(rows):
        (once,) = received[f"submission{number}"]
        assert once["statuses"][0] == "submitted" and set(once["statuses"][1:]) == {
            "failed" if number % 2 else "graded"
        }
        assert set(once["scores"]) == {None if number % 2 else repr(float(row))}


def test_the_final_report_has_a_message(tmp_path: Path, server: ChallengeServer) -> None:
    post = Post(local(tmp_path), tmp_path, server)
    rows = [post.begin(number) for number in range(3)]
    post.end(rows[0])
    post.end(rows[1], state="failed", score=None, reason="it broke")
    post.end(rows[2], state="void", score=None)
    post.deliver()
    messages = {entry["meta"]["submission"]: entry["message"] for entry in server.submissions.values()}
    assert messages == {
        "submission0": "Graded Successfully !", "submission1": "it broke", "submission2": "void",
    }  # fmt: skip


def test_a_refused_final_report_is_not_repeated(tmp_path: Path, server: ChallengeServer) -> None:
    post = Post(local(tmp_path), tmp_path, server)
    row = post.begin(1)
    post.deliver()
    post.end(row)
    server.refuse = "it was graded already"
    post.deliver()
    assert post.reports(row) == [(0, SENT), (1, REFUSED)]
    ((report, name, challenge),) = post.outbox.list()
    assert (report.reason, name, challenge) == ("it was graded already", "submission1", "cart")


def test_each_submission_has_one_score_even_if_the_server_cannot_find_submissions(tmp_path: Path) -> None:
    server = ChallengeServer("fine", "dropped after", seed=1, shows_meta=False)
    post = Post(local(tmp_path), tmp_path, server)
    rows = [post.begin(number) for number in range(30)]
    for row in rows:
        post.end(row)
    post.deliver()
    server.stop()
    scored = [entry["meta"]["submission"] for entry in server.submissions.values() if entry["scores"]]
    assert sorted(scored) == sorted(f"submission{number}" for number in range(30))
    assert len(server.submissions) > 30  # it created some twice, since it cannot be asked for them


@pytest.mark.guarantee("a challenge server is down, slow, answers 500, drops answers")
def test_a_server_that_is_down_is_retried_with_growing_delays(database: Database, tmp_path: Path) -> None:
    server = ChallengeServer()
    server.stop()
    post = Post(database, tmp_path, server)
    row = post.begin(1)
    post.end(row)
    waits = []
    for _ in range(4):
        post.outbox.hurry()
        due = post.outbox.next_due()
        assert due is not None
        report = post.outbox.send(due)
        waits.append(round((report.next_at - now()).total_seconds()))
        assert report.state == WAITING and "does not answer" in report.reason
    assert waits == [2, 4, 8, 16] and post.outbox.next_due() is None
    assert post.reports(row) == [(0, WAITING), (1, WAITING)] and post.outbox.waiting() == 2
    summary = post.outbox.summary(row)
    assert summary is not None and (summary["state"], summary["what"]) == ("waiting", "what became of it")


def test_a_report_is_given_up_after_days_with_the_reason(database: Database, tmp_path: Path) -> None:
    server = ChallengeServer("500")
    post = Post(database, tmp_path, server, days=7.0)
    row = post.begin(1)
    post.end(row)
    with database.writing() as session:
        session.execute(update(Report).values(created_at=now() - FAR))
    post.deliver()
    server.stop()
    assert post.reports(row) == [(0, GIVEN_UP), (1, REFUSED)]
    summary = post.outbox.summary(row)
    assert summary is not None and "given up" in summary["reason"] and "500" in summary["reason"]


def test_a_refused_report_is_not_repeated(database: Database, tmp_path: Path, server: ChallengeServer) -> None:
    post = Post(database, tmp_path, server)
    row = post.begin(1)
    post.end(row)
    server.refuse = "The challenge is not open for submissions at this time."
    post.deliver()
    assert post.reports(row) == [(0, REFUSED), (1, REFUSED)] and len(server.calls) == 1
    assert post.outbox.waiting() == 0 and "not open" in post.outbox.list()[0][0].reason


def test_a_waiting_report_does_not_block_others(database: Database, tmp_path: Path, server: ChallengeServer) -> None:
    post = Post(database, tmp_path, server)
    stuck, other = post.begin(1), post.begin(2)
    for row in (stuck, other):
        post.end(row)
    with database.writing() as session:
        session.execute(
            update(Report).where(Report.submission_id == stuck, Report.number == 0).values(next_at=now() + FAR)
        )
    while (due := post.outbox.next_due()) is not None:
        post.outbox.send(due)
    assert post.reports(other) == [(0, SENT), (1, SENT)] and post.reports(stuck) == [(0, WAITING), (1, WAITING)]


def test_keys_are_stored_encrypted_and_only_while_needed(tmp_path: Path, server: ChallengeServer) -> None:
    post = Post(local(tmp_path), tmp_path, server)
    row = post.begin(7)
    with post.database.reading() as session:
        (sealed,) = session.scalars(select(RemoteEntry.sealed_key))
    assert "key7" not in sealed and post.outbox._seal().decrypt(sealed) == b"key7"
    post.end(row)
    post.deliver()
    with post.database.reading() as session:
        (sealed,) = session.scalars(select(RemoteEntry.sealed_key))
    assert post.outbox._seal().decrypt(sealed) == b""
    assert (tmp_path / "reporting-key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_cannot_be_decrypted_does_not_block_others(tmp_path: Path, server: ChallengeServer) -> None:
    post = Post(local(tmp_path), tmp_path, server)
    lost = post.begin(1)
    (tmp_path / "reporting-key").unlink()
    post.end(lost)
    other = post.begin(2)
    post.end(other)
    post.deliver()
    assert post.reports(lost) == [(0, REFUSED), (1, REFUSED)] and post.reports(other) == [(0, SENT), (1, SENT)]
    assert "reporting-key" in str([report.reason for report, *_ in post.outbox.list()])


def test_a_report_that_raises_an_error_waits_and_does_not_block_others(
    tmp_path: Path, server: ChallengeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = Post(local(tmp_path), tmp_path, server)
    odd, other = post.begin(1), post.begin(2)
    send = post.outbox._send

    def send_unless_odd(report: Report, *, again: bool) -> str | None:
        if report.submission_id == odd:
            raise ZeroDivisionError
        return send(report, again=again)

    monkeypatch.setattr(post.outbox, "_send", send_unless_odd)
    post.outbox.hurry()
    while (due := post.outbox.next_due()) is not None:
        deliver(post.outbox, due)
    assert post.reports(odd) == [(0, WAITING)] and post.reports(other) == [(0, SENT)]


def test_a_submission_that_could_not_begin_is_not_reported(
    database: Database, tmp_path: Path, server: ChallengeServer
) -> None:
    post = Post(database, tmp_path, server)
    before, row, after = (post.begin(number) for number in range(3))
    with database.writing() as session:
        post.outbox.drop(session, row)
    assert post.outbox.first_of(row) is None and post.outbox.first_of(before) is not None
    for each in (before, row, after):
        post.end(each)
    post.deliver()
    assert post.reports(row) == [] and post.outbox.summary(row) is None
    assert [entry["meta"]["submission"] for entry in server.submissions.values()] == ["submission0", "submission2"]
    assert post.reports(before) == post.reports(after) == [(0, SENT), (1, SENT)]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/api", "//x", "x", "http://", "http://x/api?y=1"])
def test_only_http_urls_are_accepted(url: str) -> None:
    with pytest.raises(SettingsError, match="address of a server"):
        CrowdAI.of(Settings(CHALLENGE_SERVER_URL=url))


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "[fe80::1]",
        "0.0.0.0",
        "224.0.0.1",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
    ],
)
def test_addresses_of_cloud_metadata_services_are_never_called(address: str) -> None:
    with pytest.raises(Unavailable, match="never called"):
        RemoteServer(f"http://{address}/", headers={}, seconds=1).call("GET", "x", {})


@pytest.mark.guarantee("a challenge server's name leads into the private network")
def test_a_host_name_that_resolves_into_the_private_network_is_refused(
    server: ChallengeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    port = server.http.server_port
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)  # the owner of a name may point it anywhere
    with pytest.raises(Unavailable, match="private network"):
        RemoteServer(f"http://rebound.example:{port}/api", headers={}, seconds=1).call("GET", "submissions", {})
    assert server.calls == []


def test_a_redirect_is_not_followed(server: ChallengeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_answer", lambda *_: (302, {}))
    remote = CrowdAI.of(Settings(CHALLENGE_SERVER_URL=server.url, CHALLENGE_SERVER_TOKEN="secret-token"))
    assert remote is not None
    with pytest.raises(Unavailable, match="302"):
        remote.participant("key1")
    assert len(server.calls) == 1


def test_the_protocol_of_2017(server: ChallengeServer) -> None:
    settings = Settings(
        CHALLENGE_SERVER_URL=f"{server.url}/external_graders/", CHALLENGE_SERVER_TOKEN="secret-token", CHALLENGE_ID="12"
    )
    remote = CrowdAI.of(settings)
    assert remote is not None and remote.enter("key1", "cart", "s") == crowdai.RemoteSubmission("1", 3)
    (call,) = server.calls
    assert call[2]["challenge_id"] == "12" and "challenge_client_name" not in call[2]
