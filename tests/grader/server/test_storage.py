"""Stored journals and videos count against their account's limit and are deleted in the end."""

import datetime
import os
from pathlib import Path

import pytest
from sqlalchemy import update

from gymserve.grader.challenges.states import SubmissionState
from gymserve.grader.server.submissions.storage import Storage
from gymserve.protocol import errors
from gymserve.recording.media import MADE, Media
from gymserve.store.models import Account, Submission, now
from tests.grader.server.place import TOML, Place

DAY = datetime.timedelta(days=1)


@pytest.fixture
def media(place: Place, tmp_path: Path) -> Media:
    """Videos, on a server that keeps journals and videos for 30 days."""
    made = Media(tmp_path)
    place.submissions.storage = Storage(place.database, place.competition, tmp_path, made, days=30.0, megabytes=1000.0)
    return made


def end_long_ago(place: Place, media: Media, account_id: int | None = None) -> Submission:
    """A submission with a journal and a video that are 40 days old."""
    row = place.submissions.submit(place.record, account_id=account_id, entrant="a")[0]
    place.play(row)
    ended = place.submissions.finish(row)
    (media.submissions.draft(row.name) / "video.mp4").write_bytes(bytes(1 << 16))
    media.submissions.publish(row.name, {"state": MADE})
    for path in paths(place, row):
        os.utime(path, ((old := now() - 40 * DAY).timestamp(), old.timestamp()))
    return ended


def paths(place: Place, row: Submission) -> list[Path]:
    storage = place.submissions.storage
    return [path for path in (storage.journals / row.name, storage.videos / row.name) if path.exists()]


def account(place: Place, name: str) -> int:
    with place.database.writing() as session:
        session.add(row := Account(email=name, email_key=name, password_hash="-", role="participant"))
    return row.id


@pytest.mark.guarantee("submissions, their videos and the audit log grow")
def test_stored_submissions_count_against_the_accounts_limit(place: Place, media: Media) -> None:
    before, one, other = (account(place, name) for name in ("before", "one", "other"))
    row, storage = end_long_ago(place, media, one), place.submissions.storage
    assert storage._bytes(row.name) >= (1 << 16) + 4096
    storage.megabytes = 1
    place.submissions.submit(place.record, account_id=one, entrant="a")
    storage.megabytes = 0.05
    with pytest.raises(errors.LimitReached, match=r"ACCOUNT_STORAGE_MB = 0\.05.*SUBMISSION_DAYS = 30"):
        place.submissions.submit(place.record, account_id=one, entrant="a")
    refused = place.submissions.list(place.record)[0]
    assert (refused.state, refused.counts) == ("void", False)  # the slot is given back
    for who in (before, other):
        place.submissions.submit(place.record, account_id=who, entrant="b")
    place.submissions.submit(place.record, account_id=None, entrant="nobody's")
    for path in paths(place, row):
        media.remove_submission(row.name, 0) if path.is_dir() else path.unlink()
    place.submissions.submit(place.record, account_id=one, entrant="a")


@pytest.mark.guarantee("submissions, their videos and the audit log grow")
def test_old_journals_and_videos_are_deleted_but_scores_stay(place: Place, media: Media) -> None:
    row = end_long_ago(place, media)
    storage = place.submissions.storage
    states = ((SubmissionState.VERIFYING, 2), (SubmissionState.NOT_REPLAYABLE, 2), (SubmissionState.GRADED, 0))
    for state, left in states:
        with place.database.writing() as session:
            values = {"state": state, "receipt": "{}"}
            session.execute(update(Submission).where(Submission.id == row.id).values(values))
        storage.sweep()
        assert len(paths(place, row)) == left, state
    assert place.submissions.find(row.name).score == row.score
    place.competition.define(TOML + '[[phases]]\nname = "public"\ncloses = 2020-01-01T00:00:00Z\n', owner_id=None)
    with pytest.raises(errors.NotFound, match="SUBMISSION_DAYS"):
        place.submissions.judge.bundle(place.submissions.find(row.name))


@pytest.mark.parametrize(("closed", "left"), [(-DAY, 2), (20 * DAY, 2), (31 * DAY, 0)])
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_files_are_kept_while_the_phase_lasts_and_for_some_days_after_it(
    place: Place, media: Media, closed: datetime.timedelta, left: int
) -> None:
    row = end_long_ago(place, media)
    place.submissions.judge.verify(row)
    phase = f'[[phases]]\nname = "public"\ncloses = {(now() - closed).isoformat()}\n'
    place.competition.define(TOML + phase, owner_id=None)
    place.submissions.storage.sweep()
    assert len(paths(place, row)) == left


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_only_old_files_without_a_row_are_deleted(place: Place, media: Media) -> None:
    young = end_long_ago(place, media)
    for path in paths(place, young):
        os.utime(path)
    storage = place.submissions.storage
    unknown, recent, partial, ours = "ab" * 12, "cd" * 12, f".1-2.{young.name}", media.jobs.folder
    ours.mkdir(parents=True)
    for path in (storage.journals / unknown, storage.journals / partial):
        path.touch()
    (storage.videos / unknown).mkdir()
    for path in (storage.journals / unknown, storage.journals / partial, storage.videos / unknown, ours):
        os.utime(path, (0, 0))
    (storage.journals / recent).touch()
    os.utime(storage.journals / recent, ((then := now() - 29 * DAY).timestamp(), then.timestamp()))
    place.submissions.judge.verify(young)
    storage.sweep()
    assert {path.name for path in storage.journals.iterdir()} == {young.name, recent}
    assert {path.name for path in storage.videos.iterdir()} == {young.name, "orders"}
