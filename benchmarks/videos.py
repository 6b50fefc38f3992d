"""Measures how fast videos are made, including replay, drawing and all six files: `python -m benchmarks.videos`."""

import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

from gymserve.environments import Catalogue
from gymserve.grader.challenges import definition, seeds
from gymserve.grader.practice import running
from gymserve.journal import episodes_of
from gymserve.recording.video.episodes import records_of
from gymserve.recording.video.rendering import VideoSpec, render_video

ENVIRONMENTS = ("CartPole-v1", "LunarLander-v3", "HalfCheetah-v5", "ALE/Pong-v5", "osim/Run-v0")


def measure(environment: str, catalogue: Catalogue, folder: Path) -> tuple[float, float]:
    """(frames per second of processor time, frames per second of real time)."""
    challenge = definition.from_dict(
        {"name": "video", "environment": environment, "max_episode_steps": 200, "trials": {"number": 4}}
    )
    plan = seeds.practice_plan(challenge, 4)
    journal = running.play(challenge, plan, running.agent("random"), folder, catalogue)
    out = folder / "out"
    out.mkdir()
    began = time.perf_counter()
    metadata = render_video(VideoSpec("video", episodes_of(records_of(journal)), "trial", 4), catalogue, out)
    return metadata["frames"] / metadata["work_seconds"], metadata["frames"] / (time.perf_counter() - began)


def main() -> None:
    catalogue = Catalogue()
    print("| environment | frames/s of a processor | frames/s |\n| --- | --- | --- |")
    for environment in ENVIRONMENTS:
        with tempfile.TemporaryDirectory() as scratch:
            processor, clock = measure(environment, catalogue, Path(scratch))
        print(f"| {environment} | {processor:.0f} | {clock:.0f} |", flush=True)


if __name__ == "__main__":
    main()
