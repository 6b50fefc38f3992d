"""Submissions on each kind of database: charged once, ended once, and given back if the server is at fault."""

import datetime
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from gymserve.grader.challenges.states import SubmissionState, VerdictState
from gymserve.grader.proofs.verification import Verdict
from gymserve.grader.server.boards import leaderboard
from gymserve.grader.server.boards.leaderboard import Leaderboard
from gymserve.grader.server.submissions import judging
from gymserve.grader.server.submissions import lifecycle as submissions
from gymserve.grader.server.submissions.lifecycle import NotOpen, Submissions
from gymserve.grader.server.submissions.settling import settle
from gymserve.grader.server.submissions.worker import verify
from gymserve.journal import read, records
from gymserve.protocol import errors
from gymserve.recording.media import Media
from gymserve.store.models import Submission, now
from tests.grader.journals import replace_record
from tests.grader.server.place import SETTINGS, Place


def test_from_charge_to_receipt(place: Place) -> None:
    row = place.begin()
    place.play(row)
    ended = [place.submissions.finish(row) for _ in range(2)]
    assert {one.state for one in ended} == {SubmissionState.VERIFYING} and ended[0].score is not None
    waiting = place.submissions.judge.next_to_verify()
    assert waiting is not None and waiting.name == row.name
    place.submissions.judge.verify(waiting)
    place.submissions.judge.verify(waiting)  # as after a worker was killed here
    settled = place.submissions.find(row.name)
    assert (settled.state, settled.verdict, settled.counts) == (SubmissionState.GRADED, "verified", True)
    assert place.submissions.judge.next_to_verify() is None and not place.submissions.has_work()
    place.submissions.leave(settled)
    with pytest.raises(errors.UnknownInstance):
        place.submissions.leave(settled)
    (own,) = Leaderboard(place.database, place.competition).of(place.record).rows()
    assert (own.entrant, own.score, own.rank, own.verdict) == ("a", settled.score, 1, "verified")


def test_the_video_is_requested_before_the_final_state_is_stored(place: Place, tmp_path: Path) -> None:
    """A crash between the two repeats both, and loses neither."""
    media = Media(tmp_path)
    place.submissions.judge.media = media
    row = place.begin()
    place.play(row)
    waiting = place.submissions.finish(row)
    assert media.status(row.name)["state"] == "none"
    seen = []
    settle = place.submissions.judge._settle

    def crash(*what: Any, **values: Any) -> None:
        seen.append(media.status(row.name)["state"])
        if len(seen) == 1:
            raise errors.Unavailable("the database went away")
        settle(*what, **values)

    place.submissions.judge._settle = crash
    with pytest.raises(errors.Unavailable):
        place.submissions.judge.verify(waiting)
    place.submissions.judge.verify(waiting)
    assert seen == ["waiting", "waiting"] and place.submissions.find(row.name).state == SubmissionState.GRADED
    job = media.jobs.find("submission", row.name)
    assert job is not None and (job.title, job.challenge) == ("cart", row.challenge_id)


def test_a_full_disk_costs_a_submission_its_video_but_not_its_score(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise errors.StorageFull("no space is left")

    place.submissions.judge.media = Media(tmp_path)
    monkeypatch.setattr(place.submissions.judge.media, "request_submission_video", full)
    row = place.begin()
    place.play(row)
    place.submissions.judge.verify(place.submissions.finish(row))
    assert place.submissions.find(row.name).state == SubmissionState.GRADED


@pytest.mark.guarantee("two take the last submission's slot")
def test_the_last_slot_is_used_once(place: Place) -> None:
    refused: list[Exception] = []

    def submit() -> None:
        try:
            place.begin()
        except errors.LimitReached as error:
            refused.append(error)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with place.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Submission)) == 3
    assert len(refused) == 5 and "all of your 3 submissions" in str(refused[0])


def test_a_submission_that_the_server_cannot_begin_costs_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> str:
        raise errors.LimitReached("the server is full")

    with monkeypatch.context() as patched:
        patched.setattr(place.grader.instances, "create", full)
        with pytest.raises(errors.LimitReached, match="the server is full"):
            place.begin()
    (row,) = place.submissions.list(place.record)
    assert (row.state, row.counts) == (SubmissionState.VOID, False) and "the server is full" in row.reason
    assert all(place.begin().token for _ in range(3))


@pytest.mark.guarantee("the server stops between charge and instance")
def test_a_submission_charged_before_a_crash_continues_or_is_void(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> str:
        raise SystemError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(place.grader.instances, "create", crash)
        with pytest.raises(SystemError):
            place.begin(key="k")
        with pytest.raises(SystemError):
            place.begin(key="l")
    assert settle(place.submissions) == 0  # its agent may retry
    assert place.begin(key="k").token is not None
    with place.database.writing() as session:
        for row in session.scalars(select(Submission).where(Submission.token.is_(None))):
            row.created_at = row.created_at.replace(year=2020)
    assert settle(place.submissions) == 1
    assert {row.state for row in place.submissions.list(place.record)} == {"created", SubmissionState.VOID}


def test_a_new_submission_is_known_to_every_worker_at_once(place: Place) -> None:
    journals = place.submissions.judge.journals
    other = Submissions(place.database, place.competition, place.grader.instances, journals, SETTINGS)
    plain = place.grader.instances.create("CartPole-v1")
    assert other.with_token(plain) is None  # another worker, which looked when there was no submission
    row = place.begin()
    assert row.token is not None and (same := other.with_token(row.token)) is not None and same.id == row.id


def test_a_submission_with_a_lost_instance_is_void(place: Place) -> None:
    row = place.begin()
    with place.database.writing() as session:
        session.get_one(Submission, row.id).token = row.token[:-4] + "AAAA"
    assert settle(place.submissions) == 1
    assert (ended := place.submissions.find(row.name)).state == SubmissionState.VOID and not ended.counts


def test_closed_challenges_accept_no_submissions(place: Place) -> None:
    place.competition.set_open("cart", False, owner_id=None, sees_all=True)
    record = place.competition.find("cart")
    with pytest.raises(NotOpen, match="not open for submissions"):
        place.submissions.submit(record, account_id=None, entrant="a")


def test_a_replay_that_differs_fails(place: Place) -> None:
    row = place.begin()
    place.play(row)
    place.submissions.finish(row)
    place.submissions.judge.verify(row, Verdict(VerdictState.MISMATCH, "record 3 differs"))
    settled = place.submissions.find(row.name)
    assert settled.state == SubmissionState.FAILED and "record 3 differs" in settled.reason
    assert Leaderboard(place.database, place.competition).of(place.record).rows() == []


@pytest.mark.guarantee("a run cannot be repeated, though its journal was not changed")
@pytest.mark.parametrize(
    "verdict",
    [Verdict(VerdictState.MISMATCH, "record 3 differs", answer="c0"), Verdict(VerdictState.NOT_REPLAYABLE, "no")],
)
@pytest.mark.parametrize("accept", [True, False])
def test_the_organiser_decides_on_a_run_that_cannot_be_replayed(place: Place, verdict: Verdict, accept: bool) -> None:
    row = place.begin()
    place.play(row)
    place.submissions.finish(row)
    place.submissions.judge.verify(row, verdict)
    settled = place.submissions.find(row.name)
    assert (settled.state, settled.verdict, settled.counts) == (
        SubmissionState.NOT_REPLAYABLE,
        VerdictState.NOT_REPLAYABLE,
        True,
    ) and "not the agent's fault" in settled.reason
    board = Leaderboard(place.database, place.competition)
    assert not [each for each in board.of(place.record).rows() if each.rank is not None]
    place.submissions.judge.decide(settled, accept=accept)
    settled = place.submissions.find(row.name)
    assert (settled.state, settled.counts) == (
        (SubmissionState.GRADED, True) if accept else (SubmissionState.VOID, False)
    ) and "organiser" in settled.reason
    ranked = [(each.verdict, each.rank) for each in board.of(place.record).rows()]
    assert ranked == ([(VerdictState.NOT_REPLAYABLE, 1)] if accept else [])
    with pytest.raises(errors.Conflict, match=settled.state):
        place.submissions.judge.decide(settled, accept=True)


def test_a_changed_journal_fails_whatever_the_replay_says(place: Place, tmp_path: Path) -> None:
    row = place.begin()
    place.play(row)
    place.submissions.finish(row)
    journal = tmp_path / "submissions" / row.name
    last = len(list(read(journal))) - 1
    journal.write_bytes(replace_record(journal, last, records.encode_closed("another reason", 0.0)))
    for verdict in (Verdict(VerdictState.VERIFIED), Verdict(VerdictState.NOT_REPLAYABLE, "no")):
        place.submissions.judge.verify(row, verdict)
        settled = place.submissions.find(row.name)
        assert (settled.state, settled.verdict) == (
            SubmissionState.FAILED,
            "mismatch",
        ) and "has changed since" in settled.reason


def test_a_large_board_is_built_once(place: Place) -> None:
    rows = [
        {
            "name": f"s{number}", "challenge_id": place.record.id, "version_id": place.record.version_id, "phase": "public",
            "entrant": f"e{number % 500}", "state": "graded", "score": float(number * 7919 % 10_007), "reason": "",
            "counts": True, "steps": 1, "trials": "[]", "verdict": "verified", "verdict_reason": "", "receipt": "",
            "left": True, "created_at": now(), "changed_at": now(), "finished_at": now(),
        }
        for number in range(3000)
    ]  # fmt: skip
    with place.database.writing() as session:
        session.execute(insert(Submission), rows)
    leaderboard = Leaderboard(place.database, place.competition)
    board = leaderboard.of(place.record)
    assert leaderboard.of(place.record) is board
    assert len(board.places) == 500 and board.rows()[0].tries == 6
    scores = [row.score for row in board.rows()]
    assert scores == sorted(scores, reverse=True)
    with place.database.writing() as session:
        top = session.scalars(select(Submission).where(Submission.name == board.rows(0, 1)[0].submission)).one()
        top.state, top.changed_at = SubmissionState.FAILED, now()
    changed = leaderboard.of(place.record)
    assert (
        changed.tag != board.tag
        and changed.rows() == Leaderboard(place.database, place.competition).of(place.record).rows()
    )
    assert changed.rows(0, 1)[0].submission != top.name


@pytest.mark.guarantee("the clock is set back")
def test_a_board_is_updated_even_if_the_clock_is_set_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    boards = Leaderboard(place.database, place.competition)
    tags = []
    for hours in (0, 1, 2):
        for module in (leaderboard, submissions, judging):
            monkeypatch.setattr(module, "now", lambda hours=hours: now() - datetime.timedelta(hours=hours))
        row = place.begin()
        place.play(row)
        place.submissions.judge.verify(place.submissions.finish(row))
        board = boards.of(place.record)
        tags.append(board.tag)
        assert board.rows() == Leaderboard(place.database, place.competition).of(place.record).rows()
        assert (board.rows()[0].tries, board.rows()[0].verdict) == (hours + 1, "verified")
    assert len(set(tags)) == 3


def test_a_submission_with_a_lost_journal_is_void_and_blocks_no_others(place: Place, tmp_path: Path) -> None:
    first, second = place.begin(), place.begin()
    for row in (first, second):
        place.play(row)
        place.submissions.finish(row)
    (tmp_path / "submissions" / first.name).unlink()
    while (waiting := place.submissions.judge.next_to_verify()) is not None:
        verify(place.submissions, waiting)
    outcomes = [place.submissions.find(row.name) for row in (first, second)]
    assert [(one.state, one.counts) for one in outcomes] == [
        (SubmissionState.VOID, False),
        (SubmissionState.GRADED, True),
    ]
