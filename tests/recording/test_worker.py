"""The process that makes videos: whatever an environment does when it is rendered, the orders behind it are carried out."""

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

import pytest

from gymserve.recording.jobs import Order
from gymserve.recording.media import FAILED, MADE, MAKING, WAITING, Media
from gymserve.settings import Settings
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
        """A graded submission's journal, and the order to film it."""
        journal = play(self.folder / f"played-{name}", environment, graded=True) / "journal"
        (self.folder / "submissions").mkdir(exist_ok=True)
        shutil.copy(journal, self.folder / "submissions" / name)
        self.media.order_submission(name, title="cart", challenge=7)

    def state(self, name: str) -> str:
        return str(self.media.standing(name)["state"])


@pytest.fixture
def work() -> Iterator[Start]:
    """Starts workers as a server does; they are ended at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(data: Data) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "gymserve.recording.worker"], stdin=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdin is not None
        process.stdin.write(data.settings.to_json(secrets=True) + "\n")
        process.stdin.flush()
        return process

    yield start
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)


def until(data: Data, work: Start, condition: Callable[[], bool]) -> int:
    """Has workers work, one after another where they die, until something is so; how many it took."""
    number = 0
    while not condition():
        process = work(data)
        number += 1
        wait_for(lambda process=process: condition() or process.poll() is not None, 300)
    return number


def test_a_submission_is_filmed(tmp_path: Path, work: Start) -> None:
    data = Data(tmp_path)
    data.submit("good", "CartPole-v1")
    assert data.state("good") == WAITING
    until(data, work, lambda: not data.media.has_work())
    told = data.media.standing("good")
    assert (told["state"], told["reason"], told["agrees"], told["episodes"]) == (MADE, "", True, 2)
    assert set(told["files"]) == {
        "video.webm", "video.mp4", "video.gif", "thumbnail.mp4", "thumbnail.jpg", "poster.jpg"
    }  # fmt: skip
    for name, size in told["files"].items():
        file, found = data.media.open("good", name)
        with file:
            assert found == size == len(file.read())
    assert not list((tmp_path / "media" / "orders").iterdir())


@pytest.mark.long
def test_one_that_hangs_is_ended_by_the_kernel(tmp_path: Path) -> None:
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
def test_a_full_disk_is_waited_for(disk: Path, work: Start, left: int) -> None:
    data = Data(disk)
    data.submit("waiting", "LunarLander-v3")
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize > left:
            file.write(b"x" * 4096)
    process = work(data)
    wait_for(lambda: not data.media.has_work(), 300)
    told = data.media.standing("waiting")
    assert told["state"] == WAITING and ("full" in told["reason"]) == (left > 0) and process.poll() is None
    filler.unlink()
    order = data.media.orders.find("submission", "waiting")
    assert order is not None
    data.media.orders.place(order)  # it is due at once, and not in a minute
    wait_for(lambda: data.state("waiting") == MADE, 300)


SHARE = """
import os, sys
from pathlib import Path
from gymserve.recording import priority
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
if "leads" in sys.argv:
    os.setsid()
if "video" in sys.argv:
    priority.step_back()
print("ready", flush=True)
sys.stdin.readline()  # so that both begin together
while True:
    pass
"""


@pytest.mark.long
@pytest.mark.parametrize("leads", [True, False])  # its session: with the kernel's autogroups each gets an equal share
def test_making_videos_takes_a_small_share_of_a_busy_processor(leads: bool) -> None:
    """Neither nothing, so that videos are made while training uses all processors, nor much."""
    session = ["leads"] * leads
    pair = [
        subprocess.Popen([sys.executable, "-c", SHARE, *session, *role], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for role in (["video"], [])
    ]

    def seconds(process: "subprocess.Popen[bytes]") -> float:
        told = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")

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
    assert 0.02 < share < 0.4  # a ninth, where both run on the same processor


@pytest.mark.guarantee("an environment crashes, leaks or fails while it is filmed")
@pytest.mark.parametrize(
    ("environment", "settings", "words"),
    [
        ("Crashing-v0", {}, "rendering ended the process"),
        pytest.param("Leaking-v0", {"MEDIA_MEMORY_MB": 500}, "MEDIA_MEMORY_MB = 500", marks=pytest.mark.long),
    ],
)
def test_one_that_ends_the_process_is_given_up_after_three_attempts(
    tmp_path: Path, work: Start, environment: str, settings: dict[str, Any], words: str
) -> None:
    data = Data(tmp_path, **settings)
    data.submit("bad", environment)
    data.submit("good", "Painting-v0")
    workers = until(data, work, lambda: not data.media.has_work())
    told = data.media.standing("bad")
    assert workers == 4 and told["state"] == FAILED
    assert "given up after 3 attempts" in told["reason"] and words in told["reason"]
    assert data.state("good") == MADE
    data.media.order_submission("bad", title="cart", challenge=7, again=True)
    assert data.state("bad") == WAITING


@pytest.mark.guarantee("an environment crashes, leaks or fails while it is filmed")
@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ("Raising-v0", "the environment cannot be rendered: RuntimeError"),
        pytest.param("Hidden-v0", "Hidden-v0 makes no pictures", marks=pytest.mark.long),
    ],
)
def test_one_that_cannot_be_rendered_fails_at_once(tmp_path: Path, work: Start, environment: str, reason: str) -> None:
    data = Data(tmp_path)
    data.submit("bad", environment)
    assert until(data, work, lambda: not data.media.has_work()) == 1
    assert (data.media.standing("bad")["state"], data.media.standing("bad")["reason"]) == (FAILED, reason)


@pytest.mark.guarantee("who makes videos is killed")
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
        assert len(frames(Path(file.name))) == data.media.standing("good")["frames"]


def test_nothing_is_ordered_where_media_are_off(tmp_path: Path) -> None:
    data = Data(tmp_path, MEDIA=False)
    data.media.order_submission("one", title="cart", challenge=7)
    data.media.order_monitor("token", title="x", directory="d", monitor=1, every=1)
    assert not data.media.has_work() and "MEDIA is off" in data.media.standing("one")["reason"]


def test_an_orders_file_is_plain(tmp_path: Path) -> None:
    data = Data(tmp_path)
    data.media.order_submission("one", title="cart", challenge=7)
    (path,) = (tmp_path / "media" / "orders").iterdir()
    assert Order(**json.loads(path.read_text())) == data.media.orders.find("submission", "one")
