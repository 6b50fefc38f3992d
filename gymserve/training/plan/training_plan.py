"""Plans: what the process of an experiment is to do, as plain data in its folder, and kept with its model."""

from typing import Any, Self

import msgspec

SB3 = "sb3"  # the runner of training plans; every other one is a program of the organiser's


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier processes of the experiment have taken."""

    seconds_before: float = 0.0
    cpu_before: float = 0.0


class ProgramPlan(Spent, frozen=True, kw_only=True):
    """A run of a program of the organiser's, see `runners.programs.Program` for the attributes.

    Attributes:
        command: the argument vector.
        variables: environment variables beside the inherited ones.
    """

    command: list[str]
    directory: str
    metrics: str
    results: str
    variables: dict[str, str] = {}


class Evaluation(msgspec.Struct, frozen=True):
    """Episodes with the policy as it is: at the end, and every so many timesteps (0: only at the end)."""

    every: int = 0
    episodes: int = 10
    deterministic: bool = True


class TrainingPlan(Spent, frozen=True, kw_only=True):
    """A run of Stable-Baselines3 or sb3-contrib.

    Attributes:
        package: the library that has the algorithm.
        hyperparameters: without `policy`.
        environment: as it was asked for.
        resolved: the id in the catalogue that this led to; None: another server has it.
        server: a name of TRAINING_SERVERS, which has the environment; None: this one.
        total_episodes: after which the run ends, if it has not before.
        normalize: arguments of VecNormalize; None: observations and rewards as they are.
        frame_stack: observations that the policy sees at once; 0: one.
        checkpoint_every: timesteps; 0: only when paused; None: by the clock.
        show: keep the episode that has just ended, to be looked at.
        parameter: as a project's experiment was asked for.
        parent_model: the id of the model that it begins from; `lineage`: that model's card, its parent's, and so on.
        modules: to be imported before environments are made.
    """

    package: str
    algorithm: str
    policy: str = "MlpPolicy"
    hyperparameters: dict[str, Any] = {}
    environment: str
    resolved: str | None = None
    server: str | None = None
    env_kwargs: dict[str, Any] = {}
    max_episode_steps: int | None = None
    seed: int = 42
    total_timesteps: int = 100_000
    total_episodes: int | None = None
    n_envs: int = 1
    vectorisation: str = "sync"
    normalize: dict[str, Any] | None = None
    frame_stack: int = 0
    atari: bool = False
    evaluation: Evaluation = Evaluation()
    checkpoint_every: int | None = None
    tensorboard: bool = True
    show: bool = False
    device: str = "auto"
    timeout_minutes: float | None = None
    parameter: Any = None
    parent_model: str | None = None
    lineage: list[dict[str, Any]] = []
    modules: list[str] = []

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """The inverse of `to_dict`; what a newer version has added is left out.

        Raises:
            ValueError: it is no plan.
        """
        try:
            return msgspec.convert({name: value for name, value in data.items() if value is not None}, cls)
        except (msgspec.ValidationError, AttributeError) as error:
            raise ValueError(f"this is no training plan: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what few plans have."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return {name: value for name, value in data.items() if value or name not in _SELDOM}

    def card(self) -> dict[str, Any]:
        """What is told of it with its model: nothing of this server's own."""
        return {name: value for name, value in self.to_dict().items() if name not in _OWN}

    def replace(self, **changes: Any) -> Self:
        """The same plan with some attributes changed."""
        return msgspec.structs.replace(self, **changes)

    @property
    def env_id(self) -> str:
        """The environment's id in the catalogue, or on the other server."""
        return self.resolved or self.environment

    @property
    def gamma(self) -> float:
        """The discount, which running averages of returns need as well."""
        return float(self.hyperparameters.get("gamma", 0.99))

    def with_hyperparameters(self, given: dict[str, Any]) -> Self:
        """The plan with other hyper-parameters (`policy` among them) where `given` has some."""
        merged = {**self.hyperparameters, "policy": self.policy, **given}
        return self.replace(policy=merged.pop("policy"), hyperparameters=merged)


_SELDOM = (
    "resolved", "parameter", "parent_model", "lineage", "modules", "seconds_before", "cpu_before", "timeout_minutes",
)  # fmt: skip
_OWN = ("modules", "seconds_before", "cpu_before")
