"""What a new instance is to be: checked, made into a recipe, and into a request for a host."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from typing import Any, TypedDict

from gymserve import environments
from gymserve.environments.wrappers import check as check_wrappers
from gymserve.hosts import folders
from gymserve.hosts.instance.allowance import checked as checked_allowance
from gymserve.hosts.instance.trials import checked as checked_trials
from gymserve.protocol import errors
from gymserve.protocol.recipe import Recipe, Wrapper


class Making(TypedDict, total=False):
    """How an instance's environment is made; the same words as in `Recipe`."""

    seed: int | None
    kwargs: dict[str, Any] | None
    max_episode_steps: int | None
    render_mode: str | None
    num_envs: int
    autoreset_mode: str | None
    wrappers: Sequence[Wrapper]


class Grading(TypedDict, total=False):
    """What makes an instance a graded one.

    Attributes:
        trials: `[{"seed": int, "options": dict | None, "kwargs": dict}, …]`, in their order. They are the organiser's
            secret: no agent may give, see or change them. `max_episode_steps` is the horizon of each, and any kwargs are
            allowed.
        allowance: how long its agent may take, see `hosts.allowance`.
        clip_actions: actions outside of the space are clipped to it, not refused.
    """

    trials: list[dict[str, Any]] | None
    allowance: dict[str, float | None] | None
    clip_actions: bool


class Options(Making, Grading, total=False):
    """All that a new instance may be told beside its environment."""


def plain(env_id: str, environment: str, making: Making, *, most_envs: int) -> Recipe:
    """The recipe of a plain instance.

    Args:
        environment: the catalogue's id.
        most_envs: MAX_NUM_ENVS.

    Raises:
        InvalidRequest: there is no such instance.
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


def graded(recipe: Recipe, grading: Grading) -> Recipe:
    """The recipe with trials.

    Raises:
        InvalidRequest: they do not go with it, or are none.
    """
    if recipe.is_vector:
        raise errors.InvalidRequest("a graded instance is no vector: num_envs must be 1, without autoreset_mode")
    return recipe.replace(
        trials=checked_trials(grading.get("trials")),
        allowance=checked_allowance(grading.get("allowance") or {}),
        clip_actions=grading.get("clip_actions", False),
    )


def with_global_seed(recipe: Recipe) -> Recipe:
    """The recipe with what seeds the process' own random generators."""
    first = recipe.trials[0].seed if recipe.is_graded else recipe.seed
    return recipe.replace(global_seed=secrets.randbits(63) if first is None else first)


def request_body(recipe: Recipe) -> str:
    """What makes two creations the same request, before `with_global_seed`. It is kept, so it hides secret seeds."""
    body = json.dumps(recipe.to_dict(), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest() if recipe.is_graded else body


def host_of(recipe: Recipe, environment: environments.Environment) -> tuple[str, bool]:
    """What decides on an instance's host: `kind` and `apart` of `PlaceInstance`."""
    if environment.kind == "dedicated":
        return recipe.kind, True
    if recipe.is_graded:  # it shares a host with nobody, who could make it late, or lose it
        return folders.GRADED, True
    is_plain = not recipe.kwargs and not recipe.wrappers and not recipe.is_vector
    return "" if is_plain else recipe.kind, False
