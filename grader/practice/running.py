"""Plays a challenge's trials in this process, with the same graded instance as on a server, and scores the journal."""

import functools
import importlib
import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gymserve.environments import Catalogue
from gymserve.grader.challenges import seeds
from gymserve.grader.challenges.challenge import CLIP, Challenge
from gymserve.grader.scores import scoring
from gymserve.hosts.instance import revival
from gymserve.hosts.instance.live import LiveInstance
from gymserve.hosts.instance.recorded import RUNNING
from gymserve.hosts.instance.trials import parse_trials
from gymserve.hosts.pulse import Pulse
from gymserve.hosts.versions import versions
from gymserve.journal import read
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.generics import Space, Value
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.wire import JSONObject
from gymserve.settings import Settings

Policy = Callable[[Value], Value]  # observation → action
ProgressCallback = Callable[[int, int], None]  # (trial, its steps so far)


def agent(name: str) -> Callable[[Space, Space], Policy]:
    """A factory for the policy called `name`, which takes the observation space and the action space.

    Args:
        name: "random", or `module:policy`: either a function observation → action, or a class that is created with the
            two spaces and has `act(observation)`, and optionally `reset()`, which is called before each trial.

    Raises:
        InvalidRequest: the policy cannot be found.
    """
    if name == "random":
        return _random
    module, colon, attribute = name.partition(":")
    if not colon:
        raise InvalidRequest(f"an agent must be module:policy or random, not {name!r:.100}")
    try:
        policy: Any = getattr(importlib.import_module(module), attribute)  # Any: a function or a class
    except (ImportError, AttributeError) as error:
        raise InvalidRequest(f"the agent {name} cannot be found: {error}") from error
    is_class = inspect.isclass(policy)
    return policy if is_class else lambda observations, actions: policy


def _random(observations: Space, actions: Space) -> Policy:
    """A policy with the same random actions each time."""
    actions.seed(0)
    return lambda observation: actions.sample()


def recipe(challenge: Challenge, plan: list[JSONObject], catalogue: Catalogue) -> Recipe:
    """The recipe of a graded instance with these trials.

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
    plan: list[JSONObject],
    make_policy: Callable[[Space, Space], Policy],
    folder: Path,
    catalogue: Catalogue,
    *,
    progress: ProgressCallback = lambda trial, steps: None,
    until: Callable[[], bool] = lambda: False,
) -> Path:
    """Plays all trials and returns the journal, which is in a new folder under `folder`.

    Args:
        until: called before each trial but the first; stops playing by returning True.

    Raises:
        InvalidValue: an action is not in the action space.
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
            _play_trial(instance, act, functools.partial(progress, trial))
    finally:
        instance.close("the run is over")
    return folder / token / "journal"


def _play_trial(instance: LiveInstance, act: Policy, progress: Callable[[int], None]) -> None:
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
    make_policy: Callable[[Space, Space], Policy],
    number: int,
    folder: Path,
    catalogue: Catalogue,
    progress: ProgressCallback = lambda trial, steps: None,
) -> scoring.ScoringResult:
    """Plays `number` trials with practice seeds, and scores them as a server would.

    Raises:
        ScoringFailed: the organiser's function failed.
        InvalidValue: see `play`.
        EnvironmentFailed: see `play`.
    """
    plan = seeds.practice_plan(challenge, number)
    journal = play(challenge, plan, make_policy, folder, catalogue, progress=progress)
    return scoring.score_journal(read(journal), challenge.scoring)
