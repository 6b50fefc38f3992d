"""Plans: what an experiment's process runs, stored as plain data in its folder and with its model."""

from collections.abc import Mapping
from typing import Self

import msgspec

from gymserve.protocol.wire import JSONObject, JSONValue

SB3 = "sb3"  # the runner of training plans; any other runner is an organiser's program


class TimeSpent(msgspec.Struct, frozen=True, kw_only=True):
    """The time that earlier processes of the experiment have used."""

    seconds_before: float = 0.0
    cpu_before: float = 0.0


class ProgramPlan(TimeSpent, frozen=True, kw_only=True):
    """A run of an organiser's program; `plan.programs.Program` describes the attributes.

    Attributes:
        command: the argument vector.
        variables: environment variables in addition to the inherited ones.
    """

    command: list[str]
    directory: str
    metrics: str
    results: str
    variables: dict[str, str] = {}


class Evaluation(msgspec.Struct, frozen=True):
    """Evaluation episodes with the current policy: at the end, and every so many timesteps (0: only at the end)."""

    every: int = 0
    episodes: int = 10
    deterministic: bool = True


class TrainingPlan(TimeSpent, frozen=True, kw_only=True):
    """A run of Stable-Baselines3 or sb3-contrib.

    Attributes:
        package: the library that has the algorithm.
        hyperparameters: all except `policy`.
        environment: the environment as requested.
        resolved: its id in the catalogue; None if another server has it.
        server: the TRAINING_SERVERS name of the server that has the environment; None for this one.
        total_episodes: the number of episodes after which the run ends, if it has not ended before.
        normalize: arguments of VecNormalize; None leaves observations and rewards as they are.
        frame_stack: how many observations the policy sees at once; 0 means one.
        checkpoint_every: timesteps; 0: only when paused; None: by time.
        show: save a recently finished episode for viewers.
        parameter: the parameters that a project's experiment was created with.
        parent_model: the id of the model that it starts from; `lineage`: that model's card, its parent's, and so on.
        modules: imported before environments are made.
    """

    package: str
    algorithm: str
    policy: str = "MlpPolicy"
    hyperparameters: JSONObject = {}
    environment: str
    resolved: str | None = None
    server: str | None = None
    env_kwargs: JSONObject = {}
    max_episode_steps: int | None = None
    seed: int = 42
    total_timesteps: int = 100_000
    total_episodes: int | None = None
    n_envs: int = 1
    vectorisation: str = "sync"
    normalize: JSONObject | None = None
    frame_stack: int = 0
    atari: bool = False
    evaluation: Evaluation = Evaluation()
    checkpoint_every: int | None = None
    tensorboard: bool = True
    show: bool = False
    device: str = "auto"
    timeout_minutes: float | None = None
    parameter: JSONValue = None
    parent_model: str | None = None
    lineage: list[dict[str, object]] = []
    modules: list[str] = []

    @classmethod
    def from_dict(cls, data: JSONValue) -> Self:
        """Create a plan from `to_dict`'s data, ignoring fields of newer versions.

        Raises:
            ValueError: the data is not a plan.
        """
        try:
            return msgspec.convert({name: value for name, value in data.items() if value is not None}, cls)
        except (msgspec.ValidationError, AttributeError) as error:
            raise ValueError(f"this is not a training plan: {error}") from error

    def to_dict(self) -> JSONObject:
        """Convert to plain data, without rare fields that have no value."""
        data: JSONObject = msgspec.to_builtins(self)
        return {name: value for name, value in data.items() if value or name not in _SELDOM}

    def card(self) -> dict[str, object]:
        """Return what a model's card shows of the plan, without this server's own fields."""
        return {name: value for name, value in self.to_dict().items() if name not in _OWN}

    def replace(self, **changes: object) -> Self:
        """Return the plan with some attributes changed."""
        return msgspec.structs.replace(self, **changes)

    @property
    def env_id(self) -> str:
        """The environment's id in the catalogue, or on the other server."""
        return self.resolved or self.environment

    @property
    def gamma(self) -> float:
        """The discount factor, which running averages of returns need too."""
        return float(self.hyperparameters.get("gamma", 0.99))

    def with_hyperparameters(self, changes: Mapping[str, object]) -> Self:
        """Return the plan with some hyper-parameters (including `policy`) replaced."""
        merged = {**self.hyperparameters, "policy": self.policy, **changes}
        return self.replace(policy=merged.pop("policy"), hyperparameters=merged)


_SELDOM = (
    "resolved", "parameter", "parent_model", "lineage", "modules", "seconds_before", "cpu_before", "timeout_minutes",
)  # fmt: skip
_OWN = ("modules", "seconds_before", "cpu_before")
