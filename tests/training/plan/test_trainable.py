"""A created experiment is trainable: a configuration trains, or is refused with the name of what is wrong."""

import itertools
import signal
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from gymserve.environments import Catalogue
from gymserve.protocol.errors import GymserveError, InvalidRequest, Untrainable
from gymserve.protocol.spaces import describe, from_description
from gymserve.store.models import Experiment
from gymserve.training.plan import stored
from gymserve.training.plan.checker import Checker
from gymserve.training.runners import dry_run, sb3
from gymserve.training.runners.blank import Blank
from gymserve.training.runners.folder import Folder
from tests.training.environments.demanding import KINDS

VECTOR, FOUR = spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(4)
TWO, REAL = spaces.Discrete(2), spaces.Box(-1, 1, (2,), np.float32)
PICTURE = spaces.Box(0, 255, (40, 36, 3), np.uint8)
GOALS = spaces.Dict({"observation": VECTOR, "achieved_goal": REAL, "desired_goal": REAL})
MIXED = spaces.Dict({"a": VECTOR, "b": FOUR})
HALF_BOUNDED = spaces.Box(np.array([-1, -np.inf], np.float32), np.ones(2, np.float32))
HINDSIGHT = {"replay_buffer_class": "HerReplayBuffer", "buffer_size": 1000}
NEW = itertools.count()


def box(low: Any, high: Any, shape: tuple[int, ...], dtype: Any = np.float32) -> spaces.Box:
    return spaces.Box(low, high, shape, dtype)


def case(observations: Any, actions: Any, algorithm: str = "PPO", **settings: Any) -> Any:
    """Return spaces, and an experiment's settings for them; names that are not settings are hyper-parameters."""
    own = {"normalize", "frame_stack", "n_envs", "max_episode_steps", "atari", "total_timesteps", "vectorisation"}
    chosen = {name: settings.pop(name) for name in own & settings.keys()}
    return (
        observations,
        actions,
        {"algorithm": algorithm, "environment": "CartPole-v1", **chosen, "hyperparameters": settings},
    )


REFUSED: dict[str, tuple[Any, str]] = {
    "normalised numbers": (case(FOUR, TWO, normalize=True), "normalize: norm_obs needs .*norm_obs.: false"),
    "normalised mixture": (case(MIXED, TWO, normalize=True), "normalize: norm_obs needs"),
    "normalised pictures": (case(PICTURE, TWO, normalize=True), "normalize: norm_obs turns pictures into floats"),
    "stacked numbers": (case(FOUR, TWO, frame_stack=4), "frame_stack needs .* leave frame_stack out"),
    "unbounded actions": (case(VECTOR, box(-np.inf, np.inf, (2,))), "actions have no finite bounds .* declare some"),
    "half-bounded actions": (case(VECTOR, HALF_BOUNDED, "SAC"), "no finite bounds"),
    "whole actions": (case(VECTOR, box(-3, 3, (2,), np.int64)), "whole numbers in a Box .* MultiDiscrete"),
    "bytes as actions": (case(VECTOR, box(0, 3, (2,), np.uint8), "SAC"), "whole numbers in a Box"),
    "no actions": (case(VECTOR, box(-1, 1, (0,))), "actions hold nothing"),
    "no observations": (case(box(-1, 1, (0,)), TWO), "observations hold nothing"),
    "pictures of vectors": (case(VECTOR, TWO, policy="CnnPolicy"), "policy: CnnPolicy needs pictures .* leave policy"),
    "small pictures": (case(box(0, 255, (8, 8, 3), np.uint8), TWO, policy="CnnPolicy"), "at least 36 x 36"),
    "real pictures": (case(box(0, 1, (40, 36, 3)), TWO, policy="CnnPolicy"), "uint8 Box"),
    "parts of a vector": (case(VECTOR, TWO, policy="MultiInputPolicy"), "MultiInputPolicy needs a Dict"),
    "parts of a nested Dict": (case(KINDS["Nested"][0], TWO, policy="MultiInputPolicy"), "MultiInputPolicy needs a Dict"),
    "a vector of parts": (case(MIXED, TWO, policy="MlpPolicy"), "MlpPolicy cannot read a Dict"),
    "state-dependent choice": (case(VECTOR, TWO, use_sde=True), "use_sde needs continuous actions"),
    "hindsight without goals": (case(VECTOR, REAL, "SAC", **HINDSIGHT), "HerReplayBuffer needs a Dict of observation"),
    "hindsight of other parts": (case(MIXED, REAL, "SAC", **HINDSIGHT), "HerReplayBuffer needs a Dict of observation"),
    "hindsight too early": (case(GOALS, REAL, "SAC", **HINDSIGHT), "learning_starts is 100: it must be at least 500"),
    "hindsight too short": (
        case(GOALS, REAL, "SAC", replay_buffer_class="HerReplayBuffer", buffer_size=50, learning_starts=500),
        "buffer_size 50 holds no whole episode",
    ),
    "episodes of two copies": (case(VECTOR, REAL, "SAC", n_envs=2, train_freq=[1, "episode"]), "needs n_envs = 1, not 2"),
    "a roll-out of one": (case(VECTOR, TWO, n_steps=1), "n_steps.* must be greater than 1"),
    "one of a batch": (case(VECTOR, TWO, batch_size=1), "batch_size.* must be greater than 1"),
    "half a batch": (case(VECTOR, TWO, batch_size=64.0), "batch_size must be an integer from 1"),
    "a discount of 7": (case(VECTOR, TWO, gamma=7), "gamma must be a finite number from 0 to 1, not 7"),
    "a negative rate": (case(VECTOR, TWO, learning_rate=-1), "learning_rate must be a number from 0 to 100"),
    "a falling rate too high": (case(VECTOR, TWO, learning_rate="lin_500"), "learning_rate must be a number from 0 to 100"),
    "averages beyond": (case(VECTOR, REAL, "SAC", tau=1.5), "tau must be a finite number from 0 to 1"),
    "no steps between": (case(VECTOR, REAL, "SAC", gradient_steps=-2), "gradient_steps must be an integer from -1"),
    "more of the best than of all": (case(VECTOR, TWO, "ARS", n_delta=2, n_top=8), "n_top must be at most n_delta, 2"),
    "no such network": (case(VECTOR, TWO, policy_kwargs={"net_arch": {"qf": [8]}}), "net_arch of PPO must be a list, or an"),
    "half of the networks": (case(VECTOR, REAL, "SAC", policy_kwargs={"net_arch": {"pi": [8]}}), "an object of pi and qf"),
    "networks of a table": (case(VECTOR, TWO, "DQN", policy_kwargs={"net_arch": {"pi": [8]}}), "of DQN must be a list, not"),
    "no such part": (case(VECTOR, TWO, policy_kwargs={"lstm_hidden_size": 8}), "lstm_hidden_size"),
    "memory of both kinds": (case(VECTOR, TWO, "DQN", optimize_memory_usage=True), "optimize_memory_usage"),
    "texts of any length": (case(spaces.Sequence(VECTOR), TWO), "cannot read observations of a Sequence"),
    "continuous for a table": (case(VECTOR, REAL, "DQN"), "DQN needs an action space of the kind Discrete"),
    "choices for an actor": (case(VECTOR, TWO, "SAC"), "SAC needs an action space of the kind Box"),
    "Atari's wrapper elsewhere": (case(VECTOR, TWO, atari=True), "CartPole-v1 is not one of them"),
}  # fmt: skip
TRAINED: dict[str, Any] = {
    "usual": case(VECTOR, TWO),
    "rewards alone": case(FOUR, TWO, normalize={"norm_obs": False}),
    "normalised": case(VECTOR, REAL, normalize=True),
    "normalised parts": case(GOALS, REAL, normalize=True),
    "stacked": case(VECTOR, TWO, frame_stack=4),
    "stacked pictures": case(PICTURE, TWO, "DQN", frame_stack=4, buffer_size=100),
    "small pictures": case(box(0, 255, (8, 8, 3), np.uint8), TWO),
    "grey pictures": case(box(0, 255, (40, 36), np.uint8), TWO),
    "vectors of pictures": case(PICTURE, TWO, policy="MlpPolicy"),
    "actions of two axes": case(VECTOR, KINDS["Pair"][1], "SAC"),
    "double precision": case(VECTOR, box(-1, 1, (2,), np.float64), "TD3"),
    "state-dependent": case(VECTOR, REAL, use_sde=True),
    "hindsight": case(GOALS, REAL, "SAC", max_episode_steps=2, **HINDSIGHT),
    "episodes": case(VECTOR, REAL, "SAC", train_freq=[1, "episode"]),
    "a roll-out of two copies": case(VECTOR, TWO, n_steps=1, n_envs=2),
    "one step of A2C": case(VECTOR, TWO, "A2C", n_steps=1),
    "one of a batch of DQN": case(VECTOR, TWO, "DQN", batch_size=1),
    "a batch beyond the roll-out": case(VECTOR, TWO, batch_size=4096, n_steps=64),
    "no discount": case(VECTOR, TWO, gamma=1),
    "a falling rate": case(VECTOR, TWO, learning_rate="lin_0.001"),
    **{f"{name} of PPO": case(*KINDS[name]) for name in KINDS},
    "Shifted of DQN": case(*KINDS["Shifted"], "DQN"),
    "Single of SAC": case(*KINDS["Single"], "SAC"),
    **{
        f"{name} acts": case(VECTOR, REAL, name)
        for name in ("SAC", "TD3", "DDPG", "TQC", "CrossQ", "ARS", "TRPO", "A2C")
    },
    **{f"{name} chooses": case(VECTOR, TWO, name) for name in ("DQN", "QRDQN", "RecurrentPPO", "MaskablePPO", "TRPO")},
}


def created(observations: Any, actions: Any, settings: dict[str, Any]) -> Any:
    """Return an experiment's plan as a server makes it, with the dry run in this process."""

    def attempt(plan: Any, described: Any) -> None:
        try:
            dry_run.attempt(plan, *(from_description(each) for each in described))
        except Exception as error:  # like the dry run's process
            raise Untrainable(dry_run.first_line(error)) from error

    described = {"observation_space": describe(observations), "action_space": describe(actions)}
    checker = Checker(Catalogue(), {}, lambda env_id, kwargs: described, attempt, minutes=60.0, servers=())
    return stored.plan_of(Experiment(**checker.check("sb3", {"title": "t", **settings})))


@pytest.mark.guarantee("an experiment is created")
@pytest.mark.parametrize("name", REFUSED)
def test_untrainable_settings_are_refused_by_name(name: str) -> None:
    case, said = REFUSED[name]
    with pytest.raises((Untrainable, InvalidRequest), match=f"(?s){said}") as refused:
        created(*case)
    assert isinstance(refused.value, GymserveError) and "\n" not in str(refused.value)


@pytest.mark.filterwarnings("ignore")  # the library's warnings
@pytest.mark.parametrize(
    "name", [each if each == "usual" else pytest.param(each, marks=pytest.mark.long) for each in TRAINED]
)
def test_a_created_experiment_trains(tmp_path: Path, name: str) -> None:
    observations, actions, settings = TRAINED[name]
    plan = created(observations, actions, {"total_timesteps": 120, "tensorboard": False, **settings})
    env_id = f"Case{next(NEW)}-v0"
    gymnasium.register(env_id, entry_point=lambda: Blank(observations, actions), disable_env_checker=True)
    plan = plan.replace(resolved=env_id)
    Folder(tmp_path).prepare(plan)
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGUSR1)]
    sb3.train(Folder(tmp_path), plan)
    for number, handler in handlers:  # this process outlives the run
        signal.signal(number, handler)
    outcome = Folder(tmp_path).outcome()
    assert outcome is not None and outcome["state"] == "completed" and outcome["timesteps"] >= 120
