"""Video jobs are done in turn, none is lost, and their attempts are counted."""

import os
import time
from pathlib import Path

from gymserve.recording.jobs import MONITOR, SUBMISSION, VideoJob, VideoJobs


def test_submissions_go_first_then_the_longest_waiting(tmp_path: Path) -> None:
    jobs = VideoJobs(tmp_path / "orders")
    assert jobs.next() is None and not jobs.has_work()
    for job, age in (
        (VideoJob(MONITOR, "m", monitor=1), 9.0),
        (VideoJob(SUBMISSION, "b"), 5.0),
        (VideoJob(SUBMISSION, "a"), 1.0),
    ):
        jobs.put(job, wait_seconds=-age)
    subjects = []
    while (due := jobs.next()) is not None:
        subjects.append(due.subject)
        jobs.remove(due)
    assert subjects == ["b", "a", "m"]


def test_a_postponed_job_is_kept_but_not_due(tmp_path: Path) -> None:
    jobs = VideoJobs(tmp_path)
    jobs.put(VideoJob(SUBMISSION, "a", reason="later"), wait_seconds=60)
    assert not jobs.has_work() and jobs.next() is None
    job = jobs.find(SUBMISSION, "a")
    assert job is not None and job.reason == "later"


def test_an_attempt_is_counted_before_it_is_made(tmp_path: Path) -> None:
    jobs = VideoJobs(tmp_path)
    jobs.put(VideoJob(SUBMISSION, "a"))
    for attempt in (1, 2):
        job = jobs.next()
        assert job is not None
        assert jobs.begin(job, reason="it died").attempts == attempt
    again = VideoJobs(tmp_path).find(SUBMISSION, "a")  # as in another process
    assert again is not None and (again.attempts, again.reason) == (2, "it died")


def test_files_that_are_not_jobs_are_ignored(tmp_path: Path) -> None:
    jobs = VideoJobs(tmp_path)
    jobs.put(VideoJob(SUBMISSION, "b"))
    (tmp_path / "1-a").write_text("{torn")
    os.utime(tmp_path / "1-a", (time.time() - 60,) * 2)
    job = jobs.next()
    assert job is not None and job.subject == "b"
