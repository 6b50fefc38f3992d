"""Plays journals for the tests of recordings, of graded and of plain instances, in this process."""

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
SEED = 8_123_456_789_012_345  # a trial's; so large that it cannot be mistaken for another number


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
    """Plays an episode for each seed, in an instance like those of a host; returns the instance's folder.

    Args:
        steps: the most steps of an episode.
        action: the action of every step; None: random ones.
        more: other fields of the recipe.
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
