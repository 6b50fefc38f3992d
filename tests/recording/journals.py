"""Journals that tests of recording share: of graded and of plain instances, played in this process."""

import time
from pathlib import Path
from typing import Any

from gymserve.environments import Catalogue
from gymserve.hosts.instance import revival
from gymserve.hosts.pulse import Pulse
from gymserve.hosts.versions import versions
from gymserve.protocol.recipe import Recipe, Trial
from gymserve.protocol.spaces import codec

CATALOGUE = Catalogue(["tests.support.environments.painting"])
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
        more: of the recipe.
    """
    recipe = Recipe(
        env_id=environment,
        environment=CATALOGUE.resolve(environment).id,
        num_envs=num_envs,
        autoreset_mode="NextStep" if num_envs > 1 else None,
        trials=tuple(Trial(seed or 0) for seed in seeds) if graded else (),
        created=time.time(),
        versions=versions(),
        **{"max_episode_steps": 30, **more},
    )
    pulse = Pulse()
    instance = revival.begin("s0-" + "a" * 22, folder, recipe, CATALOGUE, limit=1 << 30, pulse=pulse.page)
    instance.recorded.env.action_space.seed(5)
    for seed in seeds:
        instance.reset(None if graded else seed, None, None)
        if action is None:
            instance.recorded.env.action_space.seed(5)
        taken = 0
        while instance.recorded.state == "running" and (steps is None or taken < steps):
            chosen = instance.recorded.env.action_space.sample() if action is None else action
            instance.step(chosen, codec(instance.recorded.env.action_space).pack(chosen), None)
            taken += 1
    instance.close("test")
    return folder
