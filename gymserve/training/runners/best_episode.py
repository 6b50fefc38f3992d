"""The best episode of an evaluation, saved as a journal from which a video can be made."""

import contextlib
import time
from pathlib import Path
from typing import SupportsFloat

import gymnasium

from gymserve.hosts.versions import versions
from gymserve.journal import Journal, Reset, replay
from gymserve.journal.records import digest, encode_created, encode_reset, encode_step
from gymserve.protocol.generics import Value
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.spaces import codec
from gymserve.system.files import replacing
from gymserve.training.plan.training_plan import TrainingPlan

FILE = "best.journal"  # in an experiment's folder
MOST_BYTES = 2**30


class BestEpisode(gymnasium.Wrapper):
    """A wrapper around the bare environment that records the current episode and the best finished one, as journal records.

    Returns are the environment's own, before any wrapper changes them.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self._observations, self._actions = codec(env.observation_space), codec(env.action_space)
        self.forget()

    def forget(self) -> None:
        """Forget all episodes; recording starts again with the next reset."""
        self._now: list[bytes] = []
        self._total = 0.0
        self._best: tuple[float, list[bytes]] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Value, dict[str, object]]:
        generators = replay.get_generators(self.env) if seed is None else None
        observation, info = replay.reset(self.env, seed, options, None)
        seen = digest(self._observations.pack(observation))
        self._now, self._total = [encode_reset(Reset(None, seen, time.time(), seed, options, generators))], 0.0
        return observation, info

    def step(self, action: Value) -> tuple[Value, SupportsFloat, bool, bool, dict[str, object]]:
        packed = self._actions.pack(action)
        answer = self.env.step(action)
        observation, reward, terminated, truncated, _ = answer
        seen, over = digest(self._observations.pack(observation)), bool(terminated or truncated)
        ended = (bool(terminated), bool(truncated), time.time() if over else None)
        self._now.append(encode_step(None, seen, packed, float(reward), *ended))
        self._total += float(reward)
        if over and (self._best is None or self._total > self._best[0]):
            self._best = self._total, self._now
        return answer

    def best(self) -> list[bytes]:
        """Return the records of the best episode, or of the current one if none has ended."""
        return self._now if self._best is None else self._best[1]


def keep(records: list[bytes], plan: TrainingPlan, folder: Path) -> None:
    """Write the journal of one episode in a plan's environment; skip it if the disk is full."""
    recipe = Recipe(
        env_id=plan.env_id,
        environment=plan.env_id,
        kwargs=plan.env_kwargs,
        max_episode_steps=plan.max_episode_steps,
        created=time.time(),
        versions=versions(),
    )
    with contextlib.suppress(OSError), replacing(folder / FILE) as fresh:
        journal = Journal.create(fresh, encode_created(recipe), limit=MOST_BYTES)
        for record in records:
            journal.append(record)
        journal.close()
