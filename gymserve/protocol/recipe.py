"""Recipes: how an instance's environment is made. The first record of every journal is one."""

import json
import time
from typing import Annotated, Self

import msgspec

from gymserve.protocol.wire import JSONValue

MAX_COPIES = 1 << 20
MAX_TRIALS = 10_000


class Trial(msgspec.Struct, frozen=True):
    """One graded episode of a recipe.

    Attributes:
        seed: the secret seed, from 0 to 2**63 - 1.
        options: the options of the reset.
        kwargs: the kwargs of the environment, which override the recipe's own.
    """

    seed: int
    options: dict[str, object] | None = None
    kwargs: dict[str, object] = {}


class Wrapper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of Gymnasium's wrappers around a recipe's environment.

    Attributes:
        name: its name in `gymnasium.wrappers`.
        kwargs: its arguments, as plain data for JSON.
    """

    name: str
    kwargs: dict[str, object] = {}


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How an instance's environment is made.

    Attributes:
        env_id: the environment as requested.
        environment: the environment's id in the catalogue.
        kwargs: the arguments of the environment.
        seed: the seed of a first reset without one.
        num_envs: the number of copies; more than 1, or an `autoreset_mode`, make a vector instance.
        max_episode_steps: the time limit, or None for the environment's own.
        autoreset_mode: "NextStep", "SameStep" or "Disabled" for a vector instance.
        global_seed: the seed of the process' own random generators (see `system.randomness`) when the environment is made;
            the first trial's seed for a graded instance. None, as in old journals: they are never seeded.
        wrappers: the wrappers around the environment or each copy, the innermost first.
        clip_actions: whether actions outside of the space are clipped instead of refused.
        trials: the trials of a graded instance, in order; empty for a plain one.
        allowance: how long the agent of a graded instance may take, see `hosts.instance.allowance`.
        created: the time of the instance's creation, in seconds since 1970.
        versions: package → version, of the server that created the instance.
    """

    env_id: str
    environment: str
    kwargs: dict[str, object] = {}
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
    def from_dict(cls, data: JSONValue) -> Self:
        """The inverse of `to_dict`; unknown fields of newer versions are ignored.

        Raises:
            ValueError: `data` is not a recipe.
        """
        try:
            # The first journals have only `env_id`.
            recipe = msgspec.convert({"environment": data.get("env_id"), **data}, cls)
        except (msgspec.ValidationError, AttributeError) as error:
            raise ValueError(f"this is not a recipe: {error}") from error
        if recipe.is_graded and recipe.is_vector:
            raise ValueError(f"this is not a recipe: trials need a plain instance, not a vector of {recipe.num_envs}")
        return recipe

    def to_dict(self) -> dict[str, object]:
        """Converts the recipe to plain data for the journal; optional fields are left out if they are not set."""
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
        """Whether the instance is graded by secret trials."""
        return bool(self.trials)

    @property
    def is_vector(self) -> bool:
        """Whether the instance is a vector instance."""
        return self.num_envs > 1 or self.autoreset_mode is not None

    @property
    def copies(self) -> int:
        """The number of copies of a vector instance, or 0 for a plain one."""
        return self.num_envs if self.is_vector else 0

    def age(self) -> float:
        """Seconds since the instance was created."""
        return time.time() - self.created

    def for_trial(self, index: int) -> Self:
        """The recipe of a trial's environment; the recipe itself for a plain instance.

        Args:
            index: the trial, from 0; out of range, the first or last trial's recipe is returned.
        """
        if not self.is_graded:
            return self
        trial = self.trials[min(max(index, 0), len(self.trials) - 1)]
        global_seed = None if self.global_seed is None else trial.seed
        return self.replace(kwargs={**self.kwargs, **trial.kwargs}, global_seed=global_seed)

    def reset_seed(self, seed: object, episode: int) -> int | None:
        """The seed of the process' own random generators for a reset, or None if they are not seeded.

        Args:
            seed: the reset's seed.
            episode: the number of resets before.
        """
        if self.global_seed is None:
            return None
        return seed if type(seed) is int else (self.global_seed + episode * _GOLDEN) % 2**63

    def replace(self, **changes: object) -> Self:
        """Returns a copy with some attributes changed."""
        return msgspec.structs.replace(self, **changes)

    @property
    def kind(self) -> str:
        """The fields that decide how the first environment is made, as JSON. Equal kinds make equal environments."""
        first = self.for_trial(0)
        making = {name: getattr(first, name) for name in _MAKING}
        return json.dumps(making, sort_keys=True, default=msgspec.to_builtins)

    @classmethod
    def of_kind(cls, kind: str) -> Self:
        """Makes a recipe of this kind."""
        making = json.loads(kind)
        return msgspec.convert({"env_id": making["environment"], **making}, cls)


_GOLDEN = 0x9E3779B97F4A7C15  # spreads the seeds of successive episodes
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
