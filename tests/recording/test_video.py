"""Videos show the recorded run as far as it fits, say if a frame does not show it, and reveal no secret."""

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from gymserve.grader.challenges import seeds
from gymserve.grader.proofs import bundle
from gymserve.journal import episodes_of
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest
from gymserve.recording.video import rendering
from gymserve.recording.video.captions import ALARM
from gymserve.recording.video.cutting import cut
from gymserve.recording.video.episodes import make_environment, records_of
from gymserve.recording.video.rendering import VideoMetadata, VideoSpec, render_video
from tests import ROOT
from tests.grader import journals as graded
from tests.recording.journals import CATALOGUE, SEED, play


def frames(path: Path) -> list[np.ndarray]:
    """A video's pictures, decoded: (height, width, 3) uint8 each."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def render(journal: Path, folder: Path, **more: Any) -> VideoMetadata:
    folder.mkdir(exist_ok=True)
    return render_video(VideoSpec("a title", episodes_of(records_of(journal)), **more), CATALOGUE, folder)


def is_alarmed(frame: np.ndarray) -> bool:
    """Whether the caption's upper half is red."""
    corner = frame[-46:-30, -12:].reshape(-1, 3).mean(0)
    return bool(np.abs(corner - ALARM).max() < 30)


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("FrozenLake-v1", "Painting-v0")]


@pytest.mark.parametrize("environment", ["CartPole-v1", *LONG])
def test_every_file_is_playable_and_shows_all_episodes(environment: str, tmp_path: Path) -> None:
    about = render(play(tmp_path / "run", environment), tmp_path / "out")
    assert about["shown"] == [1, 2] and about["complete"] and about["agrees"] and about["speed"] == 1
    for name in (rendering.WEBM, rendering.MP4):
        shown = frames(tmp_path / "out" / name)
        assert len(shown) == about["frames"] and shown[0].shape == (about["height"], about["width"], 3)
        assert not any(is_alarmed(frame) for frame in shown)
    assert all(frame.shape == (200, 268, 3) for frame in frames(tmp_path / "out" / rendering.SMALL_MP4))
    with (
        Image.open(tmp_path / "out" / rendering.GIF) as gif,
        Image.open(tmp_path / "out" / rendering.SMALL_JPG) as small,
    ):
        assert gif.format == "GIF" and 1 < gif.n_frames <= 100 and gif.width <= 320
        assert small.size == (268, 200)
    with Image.open(tmp_path / "out" / rendering.POSTER) as poster:
        assert poster.size == (about["width"], about["height"])


def test_a_video_shows_what_the_environment_renders(tmp_path: Path) -> None:
    """Compares each picture with a run in this process; the caption below differs each time."""
    journal = play(tmp_path / "run", "Painting-v0", seeds=(3,), action=2)
    render(journal, tmp_path / "out")
    (episode,) = episodes_of(records_of(journal))
    env = make_environment(episode, CATALOGUE, render=True)
    env.reset(seed=3)
    shown = frames(tmp_path / "out" / rendering.WEBM)
    captions = []
    for step in range(11):
        if step:
            env.step(2)
        expected = env.render().repeat(7, 0).repeat(7, 1).astype(int)  # enlarged by a whole number
        assert np.abs(shown[step][:-48].astype(int) - expected).mean() < 3, step
        captions.append(shown[step][-48:].astype(int))
    env.close()
    assert all(np.abs(one - other).max() > 40 for one, other in itertools.pairwise(captions))
    assert (
        len(shown) == 11 + 20 and np.abs(shown[-1].astype(int) - shown[10]).mean() < 3
    )  # the last picture stays for a second


def test_a_graded_trial_starts_on_a_fresh_environment(tmp_path: Path) -> None:
    journal = play(tmp_path / "run", "LunarLander-v3", seeds=(SEED, SEED + 1), graded=True)
    assert render(journal, tmp_path / "out")["agrees"]


@pytest.mark.guarantee("a video's replay is not the graded run")
def test_frames_that_differ_from_the_recorded_run_say_so(tmp_path: Path) -> None:
    about = render(play(tmp_path / "run", "Vain-v0", seeds=(1,)), tmp_path / "out")
    alarmed = [is_alarmed(frame) for frame in frames(tmp_path / "out" / rendering.MP4)]
    assert not about["agrees"] and alarmed[:3] == [False] * 3 and all(alarmed[3:])
    red = frames(tmp_path / "out" / rendering.SMALL_MP4)[-1][:3, 100:160].reshape(-1, 3).mean(0)
    assert red[0] > 100 and red[1] < 60


@pytest.mark.guarantee("videos are searched for seeds and dates")
def test_files_contain_no_seeds_and_no_dates(tmp_path: Path) -> None:
    seeds = (SEED, SEED + 12_345)
    render(play(tmp_path / "run", "CartPole-v1", seeds=seeds, graded=True), tmp_path / "out")
    needles = [form for seed in seeds for form in (str(seed).encode(), f"{seed:x}".encode(), seed.to_bytes(8, "little"),
                                                   seed.to_bytes(8, "big"))]  # fmt: skip
    for path in (tmp_path / "out").iterdir():
        data = path.read_bytes()
        assert not any(needle in data for needle in (*needles, b"creation", b"Exif")), path
    with av.open(str(tmp_path / "out" / rendering.MP4)) as container:
        assert "creation_time" not in container.metadata | container.streams[0].metadata
    first = (tmp_path / "out" / rendering.MP4).read_bytes()
    render(tmp_path / "run", tmp_path / "again")
    assert first == (tmp_path / "again" / rendering.MP4).read_bytes()  # so it contains nothing but the pictures


@pytest.mark.parametrize("fps", [None, 0, float("nan"), 1, 4, 20, 30, 50, 60, 100, 125, 1000])
def test_a_cut_is_no_longer_than_allowed_and_shows_all_that_fits(fps: float | None) -> None:
    for lengths in ([1], [10], [10_000_000], [100] * 3, [500] * 50, [5, 100_000, 5], [3] * 5000):
        plan = cut(lengths, fps, 60.0)
        assert 1 <= plan.rate <= 30 and plan.frames <= 60 * plan.rate and plan.speed in (1, 2, 4, 8)
        assert plan.shown[0] == 0 and plan.shown == sorted(set(plan.shown)) and plan.shown[-1] < len(lengths)
        assert len(plan.shown) < 2 or plan.shown[-1] == len(lengths) - 1
        if fps and fps >= 1:  # compares the video's steps a second with the environment's
            assert float(plan.rate) * plan.stride == pytest.approx(fps * plan.speed, rel=0.01)


@pytest.mark.long
def test_long_runs_are_sped_up_before_they_are_cut(tmp_path: Path) -> None:
    assert cut([1000], 20, 60.0).speed == 1 and cut([4000], 20, 60.0).speed == 4
    journal = play(tmp_path / "run", "Pendulum-v1", seeds=(1,), max_episode_steps=200)
    about = render(journal, tmp_path / "out", seconds=2.0)
    assert about["speed"] == 8 and about["seconds"] <= 2.0 and about["complete"]
    short = render(journal, tmp_path / "short", seconds=1.2)
    assert short["seconds"] <= 1.2 and not short["complete"] and short["shown"] == [1]


def test_a_video_ends_when_its_processor_time_is_used_up(tmp_path: Path) -> None:
    about = render(play(tmp_path / "run", "Painting-v0", seeds=(1, 2, 3)), tmp_path / "out", work_seconds=0.0)
    assert (
        about["shown"] == [1]
        and not about["complete"]
        and about["frames"] == len(frames(tmp_path / "out" / rendering.WEBM))
    )


def test_videos_that_cannot_be_made_say_why(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="Hidden-v0 makes no pictures"):
        render(play(tmp_path / "hidden", "Hidden-v0"), tmp_path / "out")
    with pytest.raises(EnvironmentFailed, match="cannot be rendered: RuntimeError") as raised:
        render(play(tmp_path / "raising", "Raising-v0", graded=True), tmp_path / "out")
    assert "state" not in str(raised.value)
    with pytest.raises(InvalidRequest, match="vector instance"):
        render(play(tmp_path / "vector", "CartPole-v1", seeds=(1,), num_envs=2, steps=0), tmp_path / "out")
    with pytest.raises(InvalidRequest, match="no episode"):
        render(play(tmp_path / "empty", "CartPole-v1", seeds=()), tmp_path / "out")


def command(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gymserve.cli", "--modules", "tests.support.environments.painting", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.needs("egl")
@pytest.mark.long
def test_a_walker_stays_in_the_picture(tmp_path: Path) -> None:
    """Gymnasium's default camera lets HalfCheetah run away; the tracking camera keeps it in the middle."""
    journal = play(tmp_path / "run", "HalfCheetah-v5", seeds=(1,), max_episode_steps=100, action=np.ones(6, np.float32))
    assert command("video", journal, "-o", tmp_path / "run.mp4", "--seconds", 2).returncode == 0
    last = frames(tmp_path / "run.mp4")[-1][:480].astype(int)
    reddish = (last[..., 0] - last[..., 2]) > 40  # only the cheetah is
    assert reddish[:, 100:380].sum() > 1000


def test_the_command_makes_a_video_of_a_journal_or_a_bundle(tmp_path: Path) -> None:
    journal = play(tmp_path / "run", "Painting-v0", seeds=(1, 2))
    made = command("video", journal, "-o", tmp_path / "run.webm", "--episode", 2)
    assert made.returncode == 0 and "31 frames" in made.stdout and not made.stderr
    assert len(frames(tmp_path / "run.webm")) == 31
    assert command("video", journal / "journal", "-o", tmp_path / "run.gif").returncode == 0
    graded_journal = graded.play(tmp_path)
    packed = bundle.build(
        journal=graded_journal.read_bytes(), challenge=graded.CARTPOLE, phase_key=graded.PHASE_KEY,
        receipt=graded.issue(graded_journal),
    )  # fmt: skip
    (tmp_path / "s1.zip").write_bytes(packed)
    made = command("video", tmp_path / "s1.zip", "-o", tmp_path / "s1.mp4")
    assert made.returncode == 0 and "4 of 4 episodes" in made.stdout
    plan = seeds.plan(graded.CARTPOLE, "public", graded.PHASE_KEY, "s1")
    assert not any(str(trial["seed"]) in made.stdout for trial in plan)


README = str(ROOT / "README.md")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("video", "nowhere", "-o", "x.webm"), 2, "nowhere"),
        (("video", README, "-o", "x.webm"), 1, "is not a journal"),
        (("video", README, "-o", "x.avi"), 1, "must end in .webm, .mp4, .gif"),
        (("dataset", README, "--name", "x-v0"), 1, "is not a journal"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: tuple[str, ...], status: int, words: str) -> None:
    refused = command(*arguments)
    assert refused.returncode == status and words in refused.stderr and "Traceback" not in refused.stderr
