"""Journals that tests of recording share: of graded and of plain instances, played in this process."""

import time
from pathlib import Path
from typing import Any

from gymserve.environments import Catalogue
from gymserve.hosts import revival
from gymserve.hosts.pulse import Pulse
from gymserve.hosts.versions import versions
from gymserve.spaces import codec

CATALOGUE = Catalogue(["tests.painting_environments"])
SEED = 8_123_456_789_012_345  # of a trial; large enough to be told from other numbers


def play(
    folder: Path,
    environment: str,
    *,
    seeds: tuple[int | None, ...] = (1, 2),
    graded: bool = False,
    steps: int | None = None,
    action: Any = None,
    num_envs: int = 1,
    **more: Any,
) -> Path:
    """Plays an episode for each seed, in an instance as a host has it; returns its folder.

    Args:
        steps: of each episode at most.
        action: taken each time; None: a random one.
        more: of the instance's order.
    """
    meta: dict[str, Any] = {
        "env_id": environment, "environment": CATALOGUE.resolve(environment).id, "kwargs": {}, "seed": None,
        "num_envs": num_envs, "max_episode_steps": 30, "render_mode": None,
        "autoreset_mode": "NextStep" if num_envs > 1 else None, "created": time.time(), "versions": versions(), **more,
    }  # fmt: skip
    if graded:
        meta["trials"] = [{"seed": seed, "options": None, "kwargs": {}} for seed in seeds]
    pulse = Pulse()
    instance = revival.begin("s0-" + "a" * 22, folder, meta, CATALOGUE, limit=1 << 30, pulse=pulse.page)
    instance.env.action_space.seed(5)
    for seed in seeds:
        instance.reset(None if graded else seed, None, None)
        if action is None:
            instance.env.action_space.seed(5)
        taken = 0
        while instance.state == "running" and (steps is None or taken < steps):
            chosen = instance.env.action_space.sample() if action is None else action
            instance.step(chosen, codec(instance.env.action_space).pack(chosen), None)
            taken += 1
    instance.close("test")
    return folder
