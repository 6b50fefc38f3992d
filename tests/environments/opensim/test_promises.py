"""Promises of every musculoskeletal environment."""

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from gymserve import environments
from gymserve.environments import Catalogue, opensim
from gymserve.environments.opensim.musculoskeletal import Musculoskeletal
from gymserve.environments.opensim.physics.simulation import SimulationFailed
from gymserve.protocol.errors import InvalidRequest

SIZES = {  # actions, observation, limit
    "osim/Arm2D-v0": (6, 16, 200),
    "osim/L2M2019-v0": (22, 339, 2500),
    "osim/Prosthetics-v0": (19, 160, 1000),
    "osim/Run-v0": (18, 41, 1000),
}
IDS = [
    pytest.param(env_id, marks=pytest.mark.long if env_id in ("osim/L2M2019-v0", "osim/Prosthetics-v0") else [])
    for env_id in SIZES
]

opensim.register()


def make(env_id: str, **kwargs: Any) -> Any:
    return gymnasium.make(env_id, disable_env_checker=True, **kwargs)


def play(env: Any, *, seed: int | None, steps: int = 12) -> list[Any]:
    """All results of an episode: observations, rewards, ends."""
    generator = np.random.default_rng(5)
    answers = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        answers += env.step(generator.random(env.action_space.shape[0], np.float32))[:4]
    return answers


def same(some: list[Any], others: list[Any]) -> bool:
    return len(some) == len(others) and all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("form", ["vector", "dict"])
@pytest.mark.parametrize("env_id", IDS)
def test_it_passes_gymnasiums_checks(env_id: str, form: str) -> None:
    env = gymnasium.make(env_id, observation=form)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(infinity|not symmetric|different from the unwrapped).*")
        check_env(env.unwrapped, skip_render_check=True)
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation)


@pytest.mark.parametrize("env_id", IDS)
def test_it_has_the_original_sizes(env_id: str) -> None:
    env = make(env_id)
    assert (env.action_space.shape[0], env.observation_space.shape[0], env.spec.max_episode_steps) == SIZES[env_id]
    assert len(env.unwrapped.observation_names) == len(set(env.unwrapped.observation_names)) == SIZES[env_id][1]


@pytest.mark.parametrize("env_id", IDS)
def test_episodes_replay_exactly(env_id: str) -> None:
    first, second = make(env_id), make(env_id)
    once = play(first, seed=0)
    assert same(once, play(second, seed=0))  # on a fresh model
    play(first, seed=1, steps=30)
    assert same(once, play(first, seed=0))  # on a used model


@pytest.mark.parametrize("env_id", IDS[:2] + IDS[3:])  # Prosthetics draws nothing at difficulty 0
def test_another_seed_is_another_episode(env_id: str) -> None:
    env = make(env_id)
    first, second = (env.reset(seed=seed)[0] for seed in (0, 2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("env_id", IDS)
def test_episodes_without_a_seed_continue_the_random_sequence(env_id: str) -> None:
    first, second = make(env_id), make(env_id)
    for env in (first, second):
        env.reset(seed=4)
    np.random.seed(1)  # must make no difference
    assert same(play(first, seed=None, steps=2), play(second, seed=None, steps=2))


@pytest.mark.parametrize("env_id", IDS)
def test_instances_share_nothing(env_id: str) -> None:
    alone = play(make(env_id), seed=3)
    first, second = make(env_id), make(env_id)
    first.reset(seed=3)
    play(second, seed=9, steps=5)
    assert same(alone, play(first, seed=3))


@pytest.mark.parametrize(
    ("env_id", "kwargs", "limit"),
    [
        ("osim/L2M2019-v0", {"difficulty": 2}, 1000),
        ("osim/L2M2019-v0", {}, 2500),
        ("osim/Prosthetics-v0", {}, 300),
        ("osim/Prosthetics-v0", {"difficulty": 1}, 1000),
    ],
)
def test_an_episode_is_truncated_at_its_difficultys_limit(env_id: str, kwargs: dict[str, Any], limit: int) -> None:
    env = make(env_id, **kwargs).unwrapped
    assert env.limit == limit
    env.reset(seed=1)
    env.limit = 3
    ends = [env.step(np.zeros(env.action_space.shape))[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


@pytest.mark.parametrize("env_id", IDS)
def test_an_invalid_action_is_refused_and_changes_nothing(env_id: str) -> None:
    env = make(env_id)
    size = env.action_space.shape[0]
    env.reset(seed=1)
    for wrong, said in ((np.full(size, np.nan), "NaN"), (np.zeros(size - 1), f"{size} excitations")):
        with pytest.raises(ValueError, match=said):
            env.step(wrong)
    after = env.step(np.full(size, 0.5))
    env.reset(seed=1)
    assert np.array_equal(after[0], env.step(np.full(size, 0.5))[0])


@pytest.mark.parametrize("env_id", IDS)
def test_excitations_are_clipped(env_id: str) -> None:
    env = make(env_id)
    size = env.action_space.shape[0]
    answers = []
    for action in (np.full(size, 7.0), np.full(size, np.inf), np.ones(size)):
        env.reset(seed=1)
        answers.append(env.step(action)[0])
    assert np.array_equal(answers[0], answers[1]) and np.array_equal(answers[1], answers[2])


@pytest.mark.parametrize("env_id", IDS)
def test_the_dict_and_the_vector_come_from_the_same_simulation(env_id: str) -> None:
    vector, dictionary = make(env_id), make(env_id, observation="dict")
    rewards = []
    for env in (vector, dictionary):
        rewards.append([answer for answer in play(env, seed=6) if isinstance(answer, float)])
    assert rewards[0] == rewards[1]


class Failing:
    """A manager whose integrator gives up."""

    def integrate(self, time: float) -> None:
        raise RuntimeError("SimTK Exception thrown at Integrator.cpp:1:\n  Error detected by Simbody")


def test_a_simulation_that_fails_says_so_until_it_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    env: Musculoskeletal = make("osim/Arm2D-v0").unwrapped
    before = play(env, seed=1)
    monkeypatch.setattr(env.simulation, "manager", Failing())
    with pytest.raises(SimulationFailed, match=r"gave up in step 13: SimTK Exception .* Error detected"):
        env.step(np.zeros(6))
    with pytest.raises(SimulationFailed, match="reset the environment"):
        env.step(np.zeros(6))
    assert same(before, play(env, seed=1))


@pytest.mark.parametrize("env_id", IDS)
def test_a_state_that_is_not_finite_is_an_error(env_id: str) -> None:
    env: Musculoskeletal = make(env_id).unwrapped
    env.reset(seed=1)
    broken = env.snapshot()
    broken["simulation"]["state"][0] = float("nan")
    with pytest.raises(SimulationFailed, match="no longer finite in step 1|gave up in step 1"):
        env.restore(broken)
        env.step(np.zeros(env.action_space.shape or ()))


def test_kwargs_are_checked() -> None:
    catalogue = Catalogue()
    walk = catalogue.resolve("L2M2019Env")
    assert catalogue.allowed_kwargs(walk) == ["difficulty", "integrator_accuracy", "model", "observation"]
    for kwargs, said in (
        ({"difficulty": 4}, "difficulty must be 0, 1, 2 or 3, not 4"),
        ({"model": "4D"}, "model must be '3D' or '2D'"),
        ({"observation": "sung"}, "observation must be one of vector, dict"),
        ({"integrator_accuracy": 0}, "integrator_accuracy must be from 1e-9 to 0.1"),
    ):
        with pytest.raises(InvalidRequest, match=said):
            environments.make(walk, kwargs=kwargs)


def test_old_ids_are_aliases_and_each_has_a_host_of_its_own() -> None:
    catalogue = Catalogue()
    for old, new in opensim.ALIASES.items():
        entry = catalogue.resolve(old)
        assert (entry.id, entry.requested, entry.kind) == (new, old, "dedicated")
        assert old in catalogue.rows([new])[0]["aliases"]
