"""The creation of instances: options are checked and turned into a recipe, and the recipe decides on a host."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from typing import Any, TypedDict

from gymserve import environments
from gymserve.environments.wrappers import check as check_wrappers
from gymserve.hosts import folders
from gymserve.hosts.instance.allowance import parse_allowance
from gymserve.hosts.instance.trials import parse_trials
from gymserve.protocol import errors
from gymserve.protocol.recipe import Recipe, Wrapper


class EnvironmentOptions(TypedDict, total=False):
    """How an instance's environment is made; the fields are those of `Recipe`."""

    seed: int | None
    kwargs: dict[str, Any] | None
    max_episode_steps: int | None
    render_mode: str | None
    num_envs: int
    autoreset_mode: str | None
    wrappers: Sequence[Wrapper]


class GradingOptions(TypedDict, total=False):
    """The options of a graded instance.

    Attributes:
        trials: `[{"seed": int, "options": dict | None, "kwargs": dict}, …]`, in order. They are the organiser's secret:
            no agent may set or see them. `max_episode_steps` limits each trial, and any kwargs are allowed.
        allowance: how long the agent may take, see `hosts.instance.allowance`.
        clip_actions: whether actions outside of the space are clipped instead of refused.
    """

    trials: list[dict[str, Any]] | None
    allowance: dict[str, float | None] | None
    clip_actions: bool


class InstanceOptions(EnvironmentOptions, GradingOptions, total=False):
    """All options of a new instance besides its environment."""


def plain_recipe(env_id: str, environment: str, making: EnvironmentOptions, *, most_envs: int) -> Recipe:
    """Returns the recipe of a plain instance.

    Args:
        environment: the environment's id in the catalogue.
        most_envs: the setting MAX_NUM_ENVS.

    Raises:
        InvalidRequest: the options are invalid.
    """
    num_envs, mode, wrappers = making.get("num_envs", 1), making.get("autoreset_mode"), making.get("wrappers", ())
    if num_envs > most_envs:
        raise errors.InvalidRequest(f"num_envs must be at most MAX_NUM_ENVS = {most_envs}, not {num_envs}")
    check_wrappers(wrappers)
    return Recipe(
        env_id=env_id,
        environment=environment,
        kwargs=making.get("kwargs") or {},
        seed=making.get("seed"),
        num_envs=num_envs,
        max_episode_steps=making.get("max_episode_steps"),
        render_mode=making.get("render_mode"),
        wrappers=tuple(wrappers),
        autoreset_mode="NextStep" if mode is None and num_envs > 1 else mode,
    )


def graded_recipe(recipe: Recipe, grading: GradingOptions) -> Recipe:
    """Returns the recipe with trials.

    Raises:
        InvalidRequest: the trials are malformed, or the recipe is that of a vector instance.
    """
    if recipe.is_vector:
        raise errors.InvalidRequest(
            "a graded instance cannot be a vector instance: num_envs must be 1, without autoreset_mode"
        )
    return recipe.replace(
        trials=parse_trials(grading.get("trials")),
        allowance=parse_allowance(grading.get("allowance") or {}),
        clip_actions=grading.get("clip_actions", False),
    )


def with_global_seed(recipe: Recipe) -> Recipe:
    """Returns the recipe with the seed of the process' own random generators."""
    first = recipe.trials[0].seed if recipe.is_graded else recipe.seed
    return recipe.replace(global_seed=secrets.randbits(63) if first is None else first)


def request_body(recipe: Recipe) -> str:
    """Returns the text that identifies a creation request. It is stored, so secret trials are hashed.

    Args:
        recipe: the recipe before `with_global_seed`.
    """
    body = json.dumps(recipe.to_dict(), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest() if recipe.is_graded else body


def host_of(recipe: Recipe, environment: environments.Environment) -> tuple[str, bool]:
    """Returns what decides on an instance's host: `kind` and `apart` of `PlaceInstance`."""
    if environment.kind == "dedicated":
        return recipe.kind, True
    if recipe.is_graded:  # another instance in its host could delay or crash it
        return folders.GRADED, True
    is_plain = not recipe.kwargs and not recipe.wrappers and not recipe.is_vector
    return "" if is_plain else recipe.kind, False
