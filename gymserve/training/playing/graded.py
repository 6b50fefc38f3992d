"""A submission's graded instance as an environment: each reset starts its next trial."""

import json
import time
from collections.abc import Callable
from typing import TypeVar

import gymnasium
import numpy as np
from gymnasium import spaces

from gymserve.hosts.pool.instances import Instances
from gymserve.journal import Reset, Step, episodes_of, read
from gymserve.protocol import errors
from gymserve.protocol.generics import Value
from gymserve.protocol.spaces import codec, from_description
from gymserve.protocol.wire import JSONObject

R = TypeVar("R")
PATIENCE_SECONDS = 120.0  # while the server restarts
PAUSE_SECONDS = 0.25


class Over(Exception):
    """The last trial has ended."""


class GradedTrials(gymnasium.Env):
    """A graded instance as an environment.

    Each call carries the next `seq`, so it is carried out exactly once even if a process is killed. If the instance has been
    played before, the first reset resumes there: the journal has the last call, and repeating it returns the same answer.

    Raises:
        UnknownInstance: the instance is gone.
    """

    def __init__(self, instances: Instances, token: str) -> None:
        self.instances, self.token = instances, token
        description = self._patiently(lambda: instances.describe(token))
        self.observation_space = from_description(description["observation_space"])
        self.action_space = from_description(description["action_space"])
        self._observations, self._actions = codec(self.observation_space), codec(self.action_space)
        self._seq: int = description["seq"] or 0
        self._last: object = None
        self._before: Reset | Step | None = None
        if description["trial"]:
            self._before = episodes_of(read(instances.folder(token) / "journal"))[-1].moves[-1]

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Value, dict[str, object]]:
        """Return the first observation of the next trial; the first call returns the current one of an unfinished trial.

        Raises:
            Over: there is no further trial.
            OutOfSequence: another client acts in the instance.
            EnvironmentFailed: the next trial's environment cannot be made.
        """
        before, self._before = self._before, None
        if before is not None:
            answer = self._again(before)
            if not answer.get("done"):
                return self._seen(answer["observation"]), {}
        self._seq += 1
        answer = self._ask(lambda: self.instances.reset(self.token, seq=self._seq))
        if answer["observation"] is None:
            raise Over
        return self._seen(answer["observation"]), {}

    def step(self, action: Value) -> tuple[Value, float, bool, bool, dict[str, object]]:
        """Act in the current trial.

        Raises:
            OutOfSequence: another client acts in the instance.
        """
        encoded = self._actions.to_json(action)
        self._seq += 1
        try:
            answer = self._ask(lambda: self.instances.step(self.token, encoded, seq=self._seq))
        except errors.OutOfSequence:
            raise
        except (errors.Conflict, errors.EnvironmentFailed):  # this trial cannot continue; the next reset ends it
            self._seq -= 1
            return self._last, 0.0, False, True, {}
        reward = float("nan") if answer["reward"] is None else float(answer["reward"])
        return self._seen(answer["observation"]), reward, answer["terminated"], answer["truncated"], {}

    def _again(self, record: Reset | Step) -> dict[str, object]:
        """Repeat the call of a record and return its answer."""
        if record.call != self._seq:
            raise errors.OutOfSequence("another client made the last call to the instance")
        if isinstance(record, Reset):
            return self._ask(lambda: self.instances.reset(self.token, seq=self._seq))
        encoded = self._actions.to_json(self._actions.unpack(record.action, check=False))
        return self._ask(lambda: self.instances.step(self.token, encoded, seq=self._seq))

    def _seen(self, data: object) -> object:
        """Convert an observation from JSON; some environments' observations lie outside of their spaces."""
        try:
            self._last = self._observations.from_json(data, name="observation")
        except errors.InvalidValue:
            if not isinstance(self.observation_space, spaces.Box):
                raise
            space = self.observation_space
            self._last = np.asarray(data, np.float64).astype(space.dtype).reshape(space.shape)
        return self._last

    def _ask(self, question: Callable[[], bytes]) -> JSONObject:
        answer: JSONObject = json.loads(self._patiently(question))
        return answer

    @staticmethod
    def _patiently(question: Callable[[], R]) -> R:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return question()
            except (errors.Unavailable, errors.TooFast) as error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(getattr(error, "retry_after", PAUSE_SECONDS))
