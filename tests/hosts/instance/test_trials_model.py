"""A graded instance compared with a model, under any sequence of requests and lost processes."""

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gymserve.environments import Catalogue
from gymserve.hosts.instance import revival
from gymserve.hosts.instance.answers import binary
from gymserve.hosts.pulse import Pulse
from gymserve.journal import Ended, Reset, Step, read
from gymserve.protocol import errors
from gymserve.protocol.recipe import Recipe, Trial
from tests.support.environments.faulty import Telltale

CATALOGUE = Catalogue(["tests.support.environments.faulty"])
TOKEN = "s0-x"
TRIALS = 3


class Trials(RuleBasedStateMachine):
    """The model: the `rewards` of each started trial, whether the last trial is running, and the last seq."""

    @initialize(horizon=st.sampled_from([2, 5, None]))
    def begin(self, horizon: int | None) -> None:
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name) / TOKEN
        self.horizon = horizon or 10_000
        recipe = Recipe(
            env_id="Telltale-v0",
            environment="Telltale-v0",
            max_episode_steps=self.horizon,
            created=time.time(),
            trials=tuple(Trial(2**40 + k) for k in range(TRIALS)),
        )
        self.instance = revival.begin(TOKEN, self.folder, recipe, CATALOGUE, limit=1 << 30, pulse=Pulse().page)
        self.rewards: list[list[float]] = []
        self.running = False
        self.seq = -1
        self.last: tuple[str, Any, Any] | None = None  # the last request with a seq, its action and its answer

    def teardown(self) -> None:
        if hasattr(self, "scratch"):
            self.instance.unload()
            self.scratch.cleanup()

    @property
    def over(self) -> bool:
        return len(self.rewards) == TRIALS and not self.running

    def observation(self, time_step: Any) -> list[float] | None:
        return None if time_step.observation is None else np.frombuffer(time_step.observation).tolist()

    @rule(seed=st.none() | st.integers(0, 9), repeat=st.booleans())
    def reset(self, seed: int | None, repeat: bool) -> None:
        if repeat and self.last is not None and self.last[0] == "reset" and not self.over:
            assert binary(self.instance.reset(seed, None, self.seq), self.seq) == self.last[2]
            return
        size = len(list(read(self.folder / "journal")))
        over = self.over
        move = self.instance.reset(seed, {"x": 1}, self.seq + 1)
        if over or len(self.rewards) == TRIALS:
            self.running = False
            assert move.observation is None
            assert not over or len(list(read(self.folder / "journal"))) == size
            if not over:
                self.seq, self.last = self.seq + 1, None
            return
        self.seq += 1
        self.rewards.append([])
        self.running = True
        env = Telltale()
        assert self.observation(move) == env.reset(seed=2**40 + len(self.rewards) - 1)[0].tolist()
        self.last = ("reset", None, binary(move, self.seq))

    @rule(
        action=st.sampled_from([Telltale.GO] * 4 + [Telltale.NAN, Telltale.END, Telltale.INFINITE]),
        repeat=st.booleans(),
    )
    def step(self, action: int, repeat: bool) -> None:
        if repeat and self.last is not None and self.last[0] == "step":
            assert binary(self.instance.step(self.last[1], self.last[1], self.seq), self.seq) == self.last[2]
            return
        if not self.running:
            with pytest.raises(errors.Conflict):
                self.instance.step(action, action, None)
            return
        move = self.instance.step(action, action, self.seq + 1)
        self.seq += 1
        self.last = ("step", action, binary(move, self.seq))
        self.rewards[-1].append(move.reward)
        failed = not math.isfinite(move.reward)
        self.running = not (failed or action == Telltale.END or len(self.rewards[-1]) == self.horizon)
        assert (move.terminated or move.truncated) is not self.running

    @rule()
    def fail(self) -> None:
        if self.running:
            with pytest.raises(errors.EnvironmentFailed) as error:
                self.instance.step(Telltale.RAISE, Telltale.RAISE, None)
            assert "1099511" not in str(error.value)
            self.lose()

    @rule()
    def lose(self) -> None:
        """Revives the instance, as if its process had been killed."""
        self.instance.recorded.env.close()
        self.instance = revival.revive(TOKEN, self.folder, CATALOGUE, limit=1 << 30, seconds=60, pulse=Pulse().page)
        assert not self.instance.recorded.lost

    @invariant()
    def the_journal_agrees_with_the_model(self) -> None:
        if not hasattr(self, "instance"):
            return
        records = list(read(self.folder / "journal"))
        recorded: list[list[float]] = []
        for record in records:
            if isinstance(record, Reset):
                recorded.append([])
            elif isinstance(record, Step):
                recorded[-1].append(record.reward)
        assert repr(recorded) == repr(self.rewards)
        assert self.instance.graded is not None
        progress = self.instance.graded.progress
        assert (progress["trial"], progress["trials_over"]) == (len(self.rewards), self.over)
        assert progress["trial_steps"] == (len(recorded[-1]) if recorded else 0)
        ended = [record for record in records if isinstance(record, Ended)]
        assert len({record.trial for record in ended}) == len(ended)


Trials.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestTrials = Trials.TestCase
