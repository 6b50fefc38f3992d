"""The process that makes videos: whatever an environment does when it is rendered, the other jobs are done."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gymserve.recording.jobs import SUBMISSION, VideoJob
from gymserve.recording.media import FAILED, MADE, MAKING, WAITING, Media
from gymserve.settings import SECRET, Settings
from tests.recording.journals import play
from tests.recording.test_video import frames
from tests.support.servers import small_disk, wait_for

Start = Callable[..., subprocess.Popen[str]]


class Data:
    """A server's data directory, without the server."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = Settings(
            DATA=str(folder), ENVIRONMENT_MODULES=["tests.support.environments.painting"], **settings
        )
        self.media = Media.of(self.settings, folder)

    def submit(self, name: str, environment: str) -> None:
        """Plays a graded submission's journal, and requests its video."""
        journal = play(self.folder / f"played-{name}", environment, graded=True) / "journal"
        (self.folder / "submissions").mkdir(exist_ok=True)
        shutil.copy(journal, self.folder / "submissions" / name)
        self.media.request_submission_video(name, title="cart", challenge=7)

    def state(self, name: str) -> str:
        return str(self.media.status(name)["state"])


@pytest.fixture
def work() -> Iterator[Start]:
    """Starts workers as a server does, and ends them after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(data: Data) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "gymserve.recording.worker"], stdin=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdin is not None
        process.stdin.write(data.settings.to_json(secrets=SECRET) + "\n")
        process.stdin.flush()
        return process

    yield start
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)


def until(data: Data, work: Start, condition: Callable[[], bool]) -> int:
    """Runs workers, one after another if they die, until a condition holds; returns their number."""
    number = 0
    while not condition():
        process = work(data)
        number += 1
        wait_for(lambda process=process: condition() or process.poll() is not None, 300)
    return number


def test_a_submission_gets_its_video(tmp_path: Path, work: Start) -> None:
    data = Data(tmp_path)
    data.submit("good", "CartPole-v1")
    assert data.state("good") == WAITING
    until(data, work, lambda: not data.media.has_work())
    status = data.media.status("good")
    assert (status["state"], status["reason"], status["agrees"], status["episodes"]) == (MADE, "", True, 2)
    assert set(status["files"]) == {
        "video.webm", "video.mp4", "video.gif", "thumbnail.mp4", "thumbnail.jpg", "poster.jpg"
    }  # fmt: skip
    for name, size in status["files"].items():
        file, opened_size = data.media.open("good", name)
        with file:
            assert opened_size == size == len(file.read())
    assert not list((tmp_path / "media" / "orders").iterdir())


@pytest.mark.long
def test_a_hanging_environment_is_ended_by_the_kernel(tmp_path: Path) -> None:
    data = Data(tmp_path)
    data.submit("bad", "Hanging-v0")
    program = "from gymserve.recording import worker; worker.SILENT_SECONDS = 2.0; worker.main()"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(data.settings.to_json() + "\n")
    process.stdin.flush()
    assert process.wait(300) == -signal.SIGALRM
    process.stdin.close()
    assert data.state("bad") == MAKING  # one attempt of three


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        yield disk


@pytest.mark.long
@pytest.mark.parametrize("left", [40_000, 0])  # bytes: too few for a video; for anything
def test_a_video_waits_for_space_on_a_full_disk(disk: Path, work: Start, left: int) -> None:
    data = Data(disk)
    data.submit("waiting", "LunarLander-v3")
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize > left:
            file.write(b"x" * 4096)
    process = work(data)
    wait_for(lambda: not data.media.has_work(), 300)
    status = data.media.status("waiting")
    assert status["state"] == WAITING and ("full" in status["reason"]) == (left > 0) and process.poll() is None
    filler.unlink()
    job = data.media.jobs.find("submission", "waiting")
    assert job is not None
    data.media.jobs.put(job)  # make it due now instead of in a minute
    wait_for(lambda: data.state("waiting") == MADE, 300)


SHARE = """
import os, sys
from pathlib import Path
from gymserve.recording import priority
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
if "leads" in sys.argv:
    os.setsid()
if "video" in sys.argv:
    priority.lower()
print("ready", flush=True)
sys.stdin.readline()  # both begin together
while True:
    pass
"""


@pytest.mark.long
@pytest.mark.parametrize("leads", [True, False])  # a session: with the kernel's autogroups each gets an equal share
def test_making_videos_takes_a_small_share_of_a_busy_processor(leads: bool) -> None:
    """It gets a little, so that videos are made while training uses all processors, but not much."""
    session = ["leads"] * leads
    pair = [
        subprocess.Popen([sys.executable, "-c", SHARE, *session, *role], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for role in (["video"], [])
    ]

    def seconds(process: "subprocess.Popen[bytes]") -> float:
        return sum(psutil.Process(process.pid).cpu_times()[:2])

    try:
        for process in pair:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        before = [seconds(process) for process in pair]
        for process in pair:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        wait_for(lambda: seconds(pair[1]) - before[1] > 1.5, 300)  # of processor time, however long that takes
        share = (seconds(pair[0]) - before[0]) / (seconds(pair[1]) - before[1])
    finally:
        for process in pair:
            process.kill()
            process.communicate()
    assert 0.02 < share < 0.4  # a ninth, if both run on the same processor


@pytest.mark.guarantee("an environment crashes, leaks or fails while it is rendered")
@pytest.mark.parametrize(
    ("environment", "settings", "words"),
    [
        ("Crashing-v0", {}, "rendering ended the process"),
        pytest.param("Leaking-v0", {"MEDIA_MEMORY_MB": 500}, "MEDIA_MEMORY_MB = 500", marks=pytest.mark.long),
    ],
)
def test_a_video_that_ends_the_process_is_given_up_after_three_attempts(
    tmp_path: Path, work: Start, environment: str, settings: dict[str, Any], words: str
) -> None:
    data = Data(tmp_path, **settings)
    data.submit("bad", environment)
    data.submit("good", "Painting-v0")
    workers = until(data, work, lambda: not data.media.has_work())
    status = data.media.status("bad")
    assert workers == 4 and status["state"] == FAILED
    assert "given up after 3 attempts" in status["reason"] and words in status["reason"]
    assert data.state("good") == MADE
    data.media.request_submission_video("bad", title="cart", challenge=7, again=True)
    assert data.state("bad") == WAITING


@pytest.mark.guarantee("an environment crashes, leaks or fails while it is rendered")
@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ("Raising-v0", "the environment cannot be rendered: RuntimeError"),
        pytest.param("Hidden-v0", "Hidden-v0 makes no pictures", marks=pytest.mark.long),
    ],
)
def test_a_video_that_cannot_be_rendered_fails_at_once(
    tmp_path: Path, work: Start, environment: str, reason: str
) -> None:
    data = Data(tmp_path)
    data.submit("bad", environment)
    assert until(data, work, lambda: not data.media.has_work()) == 1
    assert (data.media.status("bad")["state"], data.media.status("bad")["reason"]) == (FAILED, reason)


@pytest.mark.guarantee("the video worker is killed")
def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path, work: Start) -> None:
    data = Data(tmp_path)
    data.submit("good", "LunarLander-v3")
    process = work(data)
    wait_for(lambda: (tmp_path / "media" / "good.new" / "video.webm").exists() or data.state("good") == MADE)
    process.kill()
    process.wait()
    until(data, work, lambda: not data.media.has_work())
    assert data.state("good") == MADE and not (tmp_path / "media" / "good.new").exists()
    file, _ = data.media.open("good", "video.mp4")
    with file:
        assert len(frames(Path(file.name))) == data.media.status("good")["frames"]


def test_a_server_that_stops_costs_a_video_no_attempt(tmp_path: Path, work: Start) -> None:
    data = Data(tmp_path)
    data.submit("long", "LunarLander-v3")
    process = work(data)

    def attempts() -> int | None:
        job = data.media.jobs.find(SUBMISSION, "long")
        return None if job is None else job.attempts

    wait_for(lambda: attempts() == 1)
    assert process.stdin is not None
    process.stdin.close()  # as a stopping server does
    assert process.wait(60) == 0
    assert attempts() == 0


def test_no_video_is_requested_if_media_are_off(tmp_path: Path) -> None:
    data = Data(tmp_path, MEDIA=False)
    data.media.request_submission_video("one", title="cart", challenge=7)
    data.media.request_monitor_videos("token", title="x", directory="d", monitor=1, every=1)
    assert not data.media.has_work() and "MEDIA is off" in data.media.status("one")["reason"]


def test_a_jobs_file_is_plain_json(tmp_path: Path) -> None:
    data = Data(tmp_path)
    data.media.request_submission_video("one", title="cart", challenge=7)
    (path,) = (tmp_path / "media" / "orders").iterdir()
    assert VideoJob(**json.loads(path.read_text())) == data.media.jobs.find("submission", "one")
