"""Concurrent or killed processes: a submission ends once, with the score of its whole journal."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from gymserve.grader.challenges.states import SubmissionState
from gymserve.grader.scores import scoring
from gymserve.grader.server.reports import crowdai
from gymserve.grader.server.submissions.settling import settle
from gymserve.grader.server.submissions.worker import verify
from gymserve.journal import read
from gymserve.protocol import errors
from gymserve.store.models import Submission
from tests.grader.server.place import Place


@pytest.mark.guarantee("two processes end one submission at the same moment")
def test_two_processes_that_finish_at_once_keep_the_whole_journal(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = place.begin()
    place.play(row)
    copy: Any = shutil.copyfile
    inside: list[Any] = []

    def interrupted(*files: Any) -> None:
        if not inside:
            inside.append(None)
            inside[0] = place.submissions.finish(row)  # as another process might do meanwhile
        copy(*files)

    monkeypatch.setattr(shutil, "copyfile", interrupted)
    ended = place.submissions.finish(row)
    assert (ended.state, ended.score) == (SubmissionState.VERIFYING, inside[0].score)
    kept = place.submissions.judge.journals
    assert [path.name for path in kept.iterdir()] == [row.name]
    assert scoring.score_journal(read(kept / row.name), place.record.challenge.scoring).score == ended.score


def test_a_full_disk_neither_ends_a_submission_nor_leaves_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    row = place.begin()
    place.play(row)

    def full(*files: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(errors.StorageFull, match="No space left"):
            place.submissions.finish(row)
    assert list(place.submissions.judge.journals.iterdir()) == []
    assert settle(place.submissions) == 1 and place.submissions.find(row.name).state == SubmissionState.VERIFYING


def test_a_submission_that_ends_while_it_is_read_stays_ended(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    row, other = place.begin(), place.begin()
    for each in (row, other):
        place.play(each, trials=1)
    describe = place.grader.instances.describe

    def describe_and_end(token: str) -> Any:
        description = describe(token)
        if token == row.token:
            place.submissions.finish(row)
        return description

    monkeypatch.setattr(place.grader.instances, "describe", describe_and_end)
    settle(place.submissions)
    assert [place.submissions.find(each.name).state for each in (row, other)] == [SubmissionState.VERIFYING, "running"]


def test_the_key_of_a_submission_that_could_not_begin_begins_another(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> str:
        raise errors.Unavailable("the supervisor was killed")

    with monkeypatch.context() as patched:
        patched.setattr(place.grader.instances, "create", away)
        for _ in range(2):
            with pytest.raises(errors.Unavailable):
                place.begin(key="k")
    row = place.begin(key="k")
    assert row.token is not None and place.begin(key="k").token == row.token
    assert sorted(each.state for each in place.submissions.list(place.record)) == [
        "created",
        SubmissionState.VOID,
        SubmissionState.VOID,
    ]


def test_two_creations_with_one_key_do_not_void_each_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    create = place.grader.instances.create
    first: list[Any] = []

    def slow(*what: Any, **more: Any) -> str:
        if not first:
            first.append(None)
            first.append(place.begin(key="k"))
            raise errors.Unavailable("the host was lost")
        return create(*what, **more)

    with monkeypatch.context() as patched:
        patched.setattr(place.grader.instances, "create", slow)
        with pytest.raises(errors.Unavailable):
            place.begin(key="k")
    row = place.begin(key="k")
    assert (row.id, row.token, row.state, row.counts) == (first[1].id, first[1].token, "created", True)


def test_an_instance_created_too_late_is_closed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    create, made = place.grader.instances.create, []

    def late(*what: Any, **more: Any) -> str:
        (row,) = place.submissions.list(place.record)
        place.submissions.end(row, SubmissionState.VOID, "the server stopped before its instance was created")
        made.append(create(*what, **more))
        return made[0]

    with monkeypatch.context() as patched:
        patched.setattr(place.grader.instances, "create", late)
        with pytest.raises(errors.Unavailable, match="took too long: try again"):
            place.begin(key="k")
    with pytest.raises(errors.UnknownInstance):
        place.grader.instances.describe(made[0])
    assert place.begin(key="k").token not in (None, made[0])


@pytest.mark.guarantee("a kept journal cannot be read, a scoring function is gone")
@pytest.mark.parametrize("damage", ["emptied", "not a journal"])
def test_an_unreadable_journal_does_not_block_others(place: Place, tmp_path: Path, damage: str) -> None:
    first, second = place.begin(), place.begin()
    for row in (first, second):
        place.play(row)
        place.submissions.finish(row)
    (tmp_path / "submissions" / first.name).write_bytes(b"" if damage == "emptied" else b"x" * 1000)
    assert verify_all(place) == 2
    outcomes = [place.submissions.find(row.name) for row in (first, second)]
    assert [(one.state, one.counts) for one in outcomes] == [
        (SubmissionState.VOID, False),
        (SubmissionState.GRADED, True),
    ]


def test_a_journal_with_another_score_fails(place: Place, tmp_path: Path) -> None:
    """A journal that is cut after a record still replays, as a run that ended earlier."""
    row = place.begin()
    place.play(row)
    place.submissions.finish(row)
    kept = tmp_path / "submissions" / row.name
    kept.write_bytes(kept.read_bytes()[:-200])
    verify_all(place)
    settled = place.submissions.find(row.name)
    assert settled.state == SubmissionState.FAILED and "has changed since" in settled.reason


@pytest.mark.guarantee("a kept journal cannot be read, a scoring function is gone")
def test_a_missing_scoring_function_costs_the_participant_nothing(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = place.begin()
    place.play(row)
    place.submissions.finish(row)

    def gone(*_: Any) -> Any:
        raise scoring.ScoringFailed("the scoring function x:y cannot be found")

    with monkeypatch.context() as patched:
        patched.setattr(scoring, "score_journal", gone)
        verify_all(place)
    settled = place.submissions.find(row.name)
    assert (settled.state, settled.counts) == (SubmissionState.VOID, False) and "x:y cannot be found" in settled.reason


def verify_all(place: Place) -> int:
    """Verifies submissions like the background worker until none waits, and returns their number."""
    number = 0
    while (waiting := place.submissions.judge.next_to_verify()) is not None:
        assert number < 10, "a submission blocks the others"
        verify(place.submissions, waiting)
        number += 1
    return number


def test_a_refused_submission_can_be_retried_with_its_key(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(row: Submission, token: str) -> None:
        place.submissions._give_back(row, "no slots", token)
        raise crowdai.Refused("no slots")

    with monkeypatch.context() as patched:
        patched.setattr(place.submissions, "_report_begun", refuse)
        with pytest.raises(crowdai.Refused):
            place.begin(key="k", remote_key="theirs")
    assert place.begin(key="k").token is not None
