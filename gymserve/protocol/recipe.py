"""A recipe: how an instance's environment is made. It is the first record of every journal."""

import json
import time
from typing import Annotated, Any, Self

import msgspec

MAX_COPIES = 1 << 20
MAX_TRIALS = 10_000


class Trial(msgspec.Struct, frozen=True):
    """One graded episode of a recipe.

    Attributes:
        seed: its secret seed, from 0 to 2**63 - 1.
        options: of its reset.
        kwargs: of its environment, over the recipe's own.
    """

    seed: int
    options: dict[str, Any] | None = None
    kwargs: dict[str, Any] = {}


class Wrapper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of Gymnasium's wrappers around a recipe's environment.

    Attributes:
        name: as in `gymnasium.wrappers`.
        kwargs: its arguments as JSON holds them.
    """

    name: str
    kwargs: dict[str, Any] = {}


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How an instance's environment is made.

    Attributes:
        env_id: the environment as it was asked for.
        environment: the id in the catalogue that this led to.
        kwargs: of the environment.
        seed: of the first reset that names none.
        num_envs: copies; more than 1, or a mode of autoreset, make a vector instance.
        max_episode_steps: None for the environment's own.
        autoreset_mode: of a vector instance: "NextStep", "SameStep" or "Disabled".
        global_seed: of the process' own random generators (see `randomness`) when the environment is made; of a graded
            instance it is the first trial's. None: neither here nor at resets are they seeded, as in old journals.
        wrappers: around the environment, innermost first; of a vector instance around each copy.
        clip_actions: actions outside of the space are clipped to it, not refused.
        trials: of a graded instance, in their order; empty for a plain one.
        allowance: of a graded instance: how long its agent may take, see `hosts.allowance`.
        created: when the instance was made, in seconds since 1970.
        versions: package → version, of the server that made it.
    """

    env_id: str
    environment: str
    kwargs: dict[str, Any] = {}
    seed: int | None = None
    num_envs: Annotated[int, msgspec.Meta(ge=1, le=MAX_COPIES)] = 1
    max_episode_steps: int | None = None
    render_mode: str | None = None
    autoreset_mode: str | None = None
    global_seed: int | None = None
    wrappers: tuple[Wrapper, ...] = ()
    clip_actions: bool = False
    trials: Annotated[tuple[Trial, ...], msgspec.Meta(max_length=MAX_TRIALS)] = ()
    allowance: dict[str, float | None] = {}
    created: float = 0.0
    versions: dict[str, str] = {}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """The inverse of `to_dict`; what a newer version has added is left out.

        Raises:
            ValueError: it is no recipe.
        """
        try:
            # The first journals named the environment only as it was asked for.
            recipe = msgspec.convert({"environment": data.get("env_id"), **data}, cls)
        except (msgspec.ValidationError, AttributeError) as error:
            raise ValueError(f"this is no recipe: {error}") from error
        if recipe.is_graded and recipe.is_vector:
            raise ValueError(
                f"this is no recipe: trials are of a plain environment, not of a vector of {recipe.num_envs}"
            )
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as the journal holds it: without what a plain instance does not have."""
        data = {name: getattr(self, name) for name in _ALWAYS}
        if self.is_graded:
            data["trials"] = [msgspec.structs.asdict(trial) for trial in self.trials]
            data["allowance"] = self.allowance
        if self.global_seed is not None:
            data["global_seed"] = self.global_seed
        if self.wrappers:
            data["wrappers"] = msgspec.to_builtins(self.wrappers)
        if self.clip_actions:
            data["clip_actions"] = True
        if self.created:
            data |= {"created": self.created, "versions": self.versions}
        return data

    @property
    def is_graded(self) -> bool:
        """Whether its instance goes through secret trials."""
        return bool(self.trials)

    @property
    def is_vector(self) -> bool:
        """Whether its instance has several copies of the environment."""
        return self.num_envs > 1 or self.autoreset_mode is not None

    @property
    def copies(self) -> int:
        """Those of a vector instance; 0 for a plain one."""
        return self.num_envs if self.is_vector else 0

    def age(self) -> float:
        """Seconds since its instance was made."""
        return time.time() - self.created

    def for_trial(self, index: int) -> Self:
        """The recipe of a trial's environment (from 0); before the first and after the last as its neighbour's.

        The recipe itself for a plain instance.
        """
        if not self.is_graded:
            return self
        trial = self.trials[min(max(index, 0), len(self.trials) - 1)]
        global_seed = None if self.global_seed is None else trial.seed
        return self.replace(kwargs={**self.kwargs, **trial.kwargs}, global_seed=global_seed)

    def reset_seed(self, seed: Any, episode: int) -> int | None:
        """What the process' own random generators are seeded with at a reset.

        Args:
            seed: the reset's.
            episode: how many resets there were before.
        """
        if self.global_seed is None:
            return None
        return seed if type(seed) is int else (self.global_seed + episode * _GOLDEN) % 2**63

    def replace(self, **changes: Any) -> Self:
        """The same recipe with some attributes changed."""
        return msgspec.structs.replace(self, **changes)

    @property
    def kind(self) -> str:
        """What decides how the first environment is made, as JSON: equal kinds make equal environments."""
        first = self.for_trial(0)
        making = {name: getattr(first, name) for name in _MAKING}
        return json.dumps(making, sort_keys=True, default=msgspec.to_builtins)

    @classmethod
    def of_kind(cls, kind: str) -> Self:
        """A recipe of this kind."""
        making = json.loads(kind)
        return msgspec.convert({"env_id": making["environment"], **making}, cls)


_GOLDEN = 0x9E3779B97F4A7C15  # so that episodes without a seed of their own have seeds far from each other
_MAKING = (
    "environment",
    "kwargs",
    "max_episode_steps",
    "render_mode",
    "num_envs",
    "autoreset_mode",
    "wrappers",
    "clip_actions",
)
_ALWAYS = (
    "env_id", "environment", "kwargs", "seed", "num_envs", "max_episode_steps", "render_mode", "autoreset_mode",
)  # fmt: skip
