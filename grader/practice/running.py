"""Plays a challenge's trials in this process, through the same graded instance as on a server, and scores its journal."""

import importlib
import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grader.challenges import seeds
from grader.challenges.challenge import CLIP, Challenge
from grader.scores import scoring
from gymserve.environments import Catalogue
from gymserve.hosts.instance import revival
from gymserve.hosts.instance.live import Instance
from gymserve.hosts.instance.recorded import RUNNING
from gymserve.hosts.instance.trials import parse_trials
from gymserve.hosts.pulse import Pulse
from gymserve.hosts.versions import versions
from gymserve.journal import read
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.recipe import Recipe
from gymserve.settings import Settings

Policy = Callable[[Any], Any]  # observation → action
Progress = Callable[[int, int], None]  # (trial, its steps so far)


def agent(name: str) -> Callable[[Any, Any], Policy]:
    """What makes the policy that `name` stands for, given the observation space and the action space.

    Args:
        name: "random", or `module:policy`: a function observation → action, or a class that is made with the two spaces
            and whose instances have `act(observation)`, and `reset()` if they want to hear of each trial's start.

    Raises:
        InvalidRequest: there is no such thing.
    """
    if name == "random":
        return _random
    module, colon, attribute = name.partition(":")
    if not colon:
        raise InvalidRequest(f"an agent is named module:policy (or is random), not {name!r:.100}")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidRequest(f"the agent {name} cannot be found: {error}") from error
    is_class = inspect.isclass(found)
    return found if is_class else lambda observations, actions: found


def _random(observations: Any, actions: Any) -> Policy:
    """The same random actions each time."""
    actions.seed(0)
    return lambda observation: actions.sample()


def recipe(challenge: Challenge, plan: list[dict[str, Any]], catalogue: Catalogue) -> Recipe:
    """The recipe of a graded instance.

    Raises:
        UnknownEnvironment: the catalogue has no such environment.
    """
    return Recipe(
        env_id=challenge.environment,
        environment=catalogue.resolve(challenge.environment).id,
        kwargs=challenge.kwargs,
        max_episode_steps=challenge.max_episode_steps,
        global_seed=plan[0]["seed"],
        clip_actions=challenge.actions == CLIP,
        trials=parse_trials(plan),
        created=time.time(),
        versions=versions(),
    )


def play(
    challenge: Challenge,
    plan: list[dict[str, Any]],
    make_policy: Callable[[Any, Any], Policy],
    folder: Path,
    catalogue: Catalogue,
    *,
    progress: Progress = lambda trial, steps: None,
    until: Callable[[], bool] = lambda: False,
) -> Path:
    """Plays every trial; returns the journal, in a new folder under `folder`.

    Args:
        until: asked before each trial but the first; stops there if it is true.

    Raises:
        InvalidValue: the policy's action is not in its space.
        EnvironmentFailed: the environment raised an error.
    """
    token = f"s0-{time.time_ns():022d}"
    instance = revival.begin(
        token,
        folder / token,
        recipe(challenge, plan, catalogue),
        catalogue,
        limit=Settings().JOURNAL_BYTES,
        pulse=Pulse().page,
    )
    env = instance.recorded.env
    policy = make_policy(env.observation_space, env.action_space)
    act = getattr(policy, "act", policy)
    begin = getattr(policy, "reset", lambda: None)
    try:
        for trial in range(1, len(plan) + 1):
            if trial > 1 and until():
                break
            begin()
            _play_trial(instance, act, lambda steps, trial=trial: progress(trial, steps))  # type: ignore[misc]
    finally:
        instance.close("the run is over")
    return folder / token / "journal"


def _play_trial(instance: Instance, act: Policy, progress: Callable[[int], None]) -> None:
    observation = instance.reset(None, None, None).observation
    observations, actions = instance.recorded.observations, instance.recorded.actions
    steps = 0
    while instance.recorded.state is RUNNING:
        packed = actions.pack(act(observations.unpack(observation, check=False)), name="action")
        observation = instance.step(actions.unpack(packed), packed, None).observation
        steps += 1
        progress(steps)
    progress(steps)


def practise(
    challenge: Challenge,
    make_policy: Callable[[Any, Any], Policy],
    number: int,
    folder: Path,
    catalogue: Catalogue,
    **more: Any,
) -> scoring.Result:
    """The result of `number` trials with practice seeds. As on a server, but nobody is told.

    Raises:
        ScoringFailed: the organiser's function did; and what `play` raises.
    """
    journal = play(challenge, seeds.practice_plan(challenge, number), make_policy, folder, catalogue, **more)
    return scoring.of_journal(read(journal), challenge.scoring)
