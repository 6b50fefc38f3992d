"""RUNT's environment: its spaces, its physics, that it is deterministic, and that it can be learnt."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.monitor import Monitor

from gymserve.environments import Catalogue, make, offloading
from gymserve.environments.offloading import energy, radio
from gymserve.environments.offloading.discrete import joint_actions
from gymserve.protocol.errors import InvalidRequest

BOTH = (offloading.CONTINUOUS, offloading.DISCRETE)
STAY = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue()


def made(catalogue: Catalogue, env_id: str = offloading.CONTINUOUS, **kwargs: Any) -> Any:
    entry = catalogue.resolve(env_id)
    catalogue.check_kwargs(entry, kwargs)
    return make(entry, kwargs=kwargs)


def action(users: int, *, send: float, power: float = 1.0, flight: Any = STAY) -> Any:
    return np.concatenate([[send] * users, [1] * users, [power] * users, [0] * 5, flight]).astype(np.float32)


@pytest.mark.parametrize("env_id", BOTH)
@pytest.mark.parametrize("n_UE", [1, 5, 12])
def test_it_passes_gymnasiums_checks_with_the_documented_sizes(catalogue: Catalogue, env_id: str, n_UE: int) -> None:
    env = made(catalogue, env_id, n_UE=n_UE)
    check_env(env.unwrapped, skip_render_check=True)
    assert env.observation_space.shape == (4 * n_UE + 4,) and env.observation_space.dtype == np.float32
    assert (env.observation_space.low == 0).all() and (env.observation_space.high == 1).all()
    if env_id == offloading.CONTINUOUS:
        assert env.action_space.shape == (3 * n_UE + 8,)
    else:
        assert env.action_space.n == len(joint_actions(n_UE)) == 2 ** min(n_UE, 4) * 14
    assert env.spec.max_episode_steps == 100 and catalogue.resolve(env_id).kind == "shared"


@pytest.mark.parametrize("env_id", BOTH)
def test_an_episode_is_deterministic(catalogue: Catalogue, env_id: str) -> None:
    runs = []
    np.random.seed(1)
    for _ in range(2):
        env = made(catalogue, env_id)
        env.action_space.seed(3)
        steps = [env.reset(seed=7)[0].tolist()]
        for _ in range(100):
            observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
            assert env.observation_space.contains(observation) and reward < 0 and not terminated
            steps.append([observation.tolist(), reward, info])
        assert truncated
        runs.append(steps)
        np.random.random(5)  # must make no difference
    assert runs[0] == runs[1]


@pytest.mark.parametrize("env_id", BOTH)
def test_it_begins_in_a_given_state(catalogue: Catalogue, env_id: str) -> None:
    env = made(catalogue, env_id, n_UE=3)
    wanted = np.random.default_rng(5).random(16, np.float32)
    wanted[0] = 0.0  # the first user has no task
    observation, _ = env.reset(seed=1, options={"observation": wanted.tolist()})
    assert np.array_equal(observation, wanted)
    for wrong in ([0.5] * 15, [1.5] * 16, [float("nan")] * 16):
        with pytest.raises(ValueError, match="observation must be 16 numbers from 0 to 1"):
            env.reset(options={"observation": wrong})


@pytest.mark.parametrize(
    "kwargs",
    [{"n_UE": 0}, {"n_UE": 101}, {"n_UE": 2.5}, {"n_UE": True}, {"task_size_average": 0}, {"task_arrival_rate": 1.5},
     {"MEC_computation_capacity": -1}, {"UE_computation_capacity": "; touch x"}],
)  # fmt: skip
def test_invalid_arguments_are_refused_by_name(catalogue: Catalogue, kwargs: dict[str, Any]) -> None:
    for env_id in BOTH:
        with pytest.raises(InvalidRequest, match=next(iter(kwargs))):
            made(catalogue, env_id, **kwargs)


def test_a_task_on_the_server_takes_less_time_and_energy(catalogue: Catalogue) -> None:
    env = made(catalogue, n_UE=1, task_arrival_rate=1.0)
    infos = {}
    for send in (0.0, 1.0):
        env.reset(seed=2)
        infos[send] = env.step(action(1, send=send))[4]
    assert infos[1.0]["tasks"] == infos[0.0]["tasks"] == 1
    assert infos[1.0]["seconds"] < infos[0.0]["seconds"] and infos[1.0]["joules"] < infos[0.0]["joules"]


def test_a_task_is_given_up_after_twenty_seconds(catalogue: Catalogue) -> None:
    env = made(catalogue, n_UE=2, task_arrival_rate=1.0, UE_computation_capacity=1, MEC_computation_capacity=1)
    for send in (0.0, 1.0):
        env.reset(seed=2)
        assert [env.step(action(2, send=send))[4]["seconds"] for _ in range(3)] == [40.0] * 3


def test_the_surface_helps_and_its_phases_matter() -> None:
    users, station = np.array([[80.0, 0.0, 0.0], [0.0, 80.0, 0.0]]), np.array([0.0, 0.0, 10.0])
    above = radio.channel_gains(users, station, np.array([0.0, 0.0, 30.0]), np.zeros(5))
    corner = radio.channel_gains(users, station, np.array([-100.0, -100.0, 120.0]), np.zeros(5))
    assert (above > corner).all()
    factors = [radio.array_factor(np.arange(5) * turn, np.array([0.5]))[0] for turn in (0.0, -np.pi / 2)]
    assert factors[1] == pytest.approx(1.0) and factors[0] < 0.3
    powers = np.full(2, 0.5)
    alone, shared = (radio.rates(above, powers, np.array(who)) for who in ([True, False], [True, True]))
    assert alone[0] > shared[0] > alone[0] / 2 and alone[1] == 0


def test_flying_costs_as_much_as_in_the_paper() -> None:
    hover = energy.flying(np.zeros(3), 1.0)
    assert hover == pytest.approx(168.5, abs=0.1)  # watts: P0 + Pi of the paper's table
    assert energy.flying(np.array([10.0, 0.0, 0.0]), 1.0) < hover  # its power is least at some 10 m/s
    assert energy.flying(np.array([0.0, 0.0, 5.0]), 1.0) == pytest.approx(hover + 100.0)
    assert energy.computing(np.array([1e9]), 1e9)[0] == pytest.approx(1.0)


@pytest.mark.parametrize("users", [1, 2, 6])
def test_joint_actions_are_valid_actions(users: int) -> None:
    actions = joint_actions(users)
    assert len(np.unique(actions, axis=0)) == len(actions) and actions.dtype == np.float32
    assert (actions >= 0).all() and (actions <= 1).all() and actions.shape[1] == 3 * users + 8
    assert (actions[0, :users] == 0).all() and (actions[-1, :users] == 1).all()


@pytest.mark.long
def test_ppo_learns(catalogue: Catalogue) -> None:
    torch.set_num_threads(1)
    env = Monitor(made(catalogue, n_UE=2))
    hyperparameters = {"n_steps": 200, "batch_size": 50, "learning_rate": 1e-3, "gae_lambda": 0.8}
    model = PPO("MlpPolicy", env, seed=1, device="cpu", **hyperparameters)
    env.action_space.seed(1)
    random = [sum(_random_episode(env, seed)) for seed in range(10)]
    model.set_logger(Logger(None, []))  # else it would make a folder in /tmp
    model.learn(3000)
    env.reset(seed=100)
    trained = evaluate_policy(model, env, 10)[0]
    assert trained > np.mean(random) + 3 * np.std(random), (trained, random)


def _random_episode(env: gymnasium.Env[Any, Any], seed: int) -> list[float]:
    env.reset(seed=seed)
    rewards, done = [], False
    while not done:
        _, reward, _, done, _ = env.step(env.action_space.sample())
        rewards.append(float(reward))
    return rewards
