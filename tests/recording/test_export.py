"""Exported data sets equal a run in one process, and load like any other Minari data set."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
import pytest

from gymserve.cli.main import main
from gymserve.protocol.errors import InvalidRequest, NotReplayable
from gymserve.recording.export import export
from gymserve.recording.video.episodes import records_of
from tests.recording.journals import CATALOGUE, SEED, play
from tests.support.environments.painting import Painting


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    yield tmp_path / "datasets"


def same(one: Any, other: Any) -> bool:
    """Whether two values of a space, or lists of them, are exactly equal."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return np.array_equal(one, other)


@pytest.mark.parametrize(
    "environment", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1", "LunarLander-v3", "HalfCheetah-v5"]
)
def test_a_data_set_equals_the_run(environment: str, tmp_path: Path) -> None:
    export([records_of(play(tmp_path / "run", environment, seeds=(7, 8)))], CATALOGUE, "test/run-v0")
    loaded = minari.load_dataset("test/run-v0")
    env = gymnasium.make(environment, max_episode_steps=30)
    assert loaded.total_episodes == 2 and loaded.observation_space == env.observation_space
    assert loaded.env_spec.id == env.spec.id and loaded.env_spec.max_episode_steps == 30
    for seed, episode in zip((7, 8), loaded.iterate_episodes(), strict=True):
        env.action_space.seed(5)
        observation, _ = env.reset(seed=seed)
        observations, actions, rest, done = [observation], [], [], False
        while not done:
            actions.append(env.action_space.sample())
            observation, reward, terminated, truncated, _ = env.step(actions[-1])
            observations.append(observation)
            rest.append((float(reward), terminated, truncated))
            done = terminated or truncated
        assert loaded.storage.get_episode_metadata([episode.id]).__next__()["seed"] == seed
        assert same(episode.actions, np.stack(actions))
        loaded_rest = zip(episode.rewards, episode.terminations, episode.truncations, strict=True)
        assert [(float(a), bool(b), bool(c)) for a, b, c in loaded_rest] == rest
        if isinstance(env.observation_space, gymnasium.spaces.Tuple):
            observations = tuple(np.stack(part) for part in zip(*observations, strict=True))
            assert same(tuple(episode.observations), observations)
        else:
            assert same(episode.observations, np.stack(observations))
    env.close()


def test_dictionary_observations_are_exported(tmp_path: Path) -> None:
    gymnasium.register(
        "MappingOfExport-v0", entry_point="tests.client.environments.mapping:Mapping", disable_env_checker=True
    )
    export([records_of(play(tmp_path / "run", "MappingOfExport-v0", seeds=(7,)))], CATALOGUE, "test/mapping-v0")
    (episode,) = minari.load_dataset("test/mapping-v0").iterate_episodes()
    assert isinstance(episode.observations, dict)


def test_several_journals_make_one_data_set(tmp_path: Path) -> None:
    journals = [
        records_of(play(tmp_path / "one", "CartPole-v1", seeds=(1,), steps=4)),
        records_of(play(tmp_path / "two", "CartPole-v1", seeds=(SEED, SEED + 1), graded=True)),
    ]
    export(journals, CATALOGUE, "test/two-v0", author="Ada")
    loaded = minari.load_dataset("test/two-v0")
    first = next(loaded.iterate_episodes())
    assert loaded.total_episodes == 3 and len(first) == 4
    assert first.truncations[-1] and not first.terminations.any()  # it was not finished
    seeds = [each["seed"] for each in loaded.storage.get_episode_metadata(range(3))]
    assert seeds == [1, SEED, SEED + 1]


def test_journals_that_cannot_be_exported_are_refused(tmp_path: Path) -> None:
    cart = records_of(play(tmp_path / "cart", "CartPole-v1"))
    with pytest.raises(InvalidRequest, match="CartPole-v1 and Pendulum-v1"):
        export([cart, records_of(play(tmp_path / "pendulum", "Pendulum-v1"))], CATALOGUE, "test/a-v0")
    with pytest.raises(InvalidRequest, match="no episode with a step"):
        export([records_of(play(tmp_path / "none", "CartPole-v1", seeds=()))], CATALOGUE, "test/b-v0")
    with pytest.raises(InvalidRequest, match="Minari"):
        export([cart], CATALOGUE, "a name with blanks")
    export([cart], CATALOGUE, "test/c-v0")
    with pytest.raises(InvalidRequest, match="already"):
        export([cart], CATALOGUE, "test/c-v0")


def test_a_run_that_does_not_replay_is_not_exported(tmp_path: Path) -> None:
    __import__("tests.support.environments.faulty")
    with pytest.raises(NotReplayable, match="from step 1 on"):
        export([records_of(play(tmp_path / "run", "Forgetful-v0", seeds=(1,), action=0))], CATALOGUE, "test/d-v0")
    assert "test/d-v0" not in minari.list_local_datasets()


def test_the_command_exports(tmp_path: Path, datasets: Path) -> None:
    journal = play(tmp_path / "run", "CartPole-v1")
    arguments = ["dataset", str(journal), "--name", "test/command-v0", "--algorithm", "random"]
    made = subprocess.run(
        [sys.executable, "-m", "gymserve.cli", *arguments],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert made.returncode == 0 and "test/command-v0: 2 episodes" in made.stdout, made.stderr
    assert minari.load_dataset("test/command-v0").storage.metadata["algorithm_name"] == "random"


def test_an_entry_point_that_is_a_class_is_stored_by_its_name(tmp_path: Path) -> None:
    export([records_of(play(tmp_path / "run", "Painting-v0", steps=3))], CATALOGUE, "test/class-v0")
    loaded = minari.load_dataset("test/class-v0")
    assert loaded.total_episodes == 2 and loaded.env_spec is not None
    assert loaded.env_spec.entry_point == "tests.support.environments.painting:Painting"
    recovered = loaded.recover_environment()
    assert type(recovered.unwrapped).__name__ == "Painting"


def test_an_entry_point_without_a_name_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = gymnasium.envs.registration.EnvSpec(
        "Nameless-v0", entry_point=lambda: Painting(), max_episode_steps=5, disable_env_checker=True
    )
    monkeypatch.setitem(gymnasium.registry, "Nameless-v0", spec)
    export([records_of(play(tmp_path / "run", "Nameless-v0", steps=3))], CATALOGUE, "test/nameless-v0")
    loaded = minari.load_dataset("test/nameless-v0")
    assert loaded.total_episodes == 2 and loaded.env_spec is None


@pytest.mark.parametrize("follow", [False, True])
def test_modules_may_precede_or_follow_the_command(tmp_path: Path, follow: bool, capsys: Any) -> None:
    journal = str(play(tmp_path / "run", "Painting-v0", steps=3))
    modules, command = (
        ["--modules", "tests.support.environments.painting"],
        ["dataset", journal, "--name", "test/modules-v0"],
    )
    assert main([*command, *modules] if follow else [*modules, *command]) == 0
    assert "test/modules-v0: 2 episodes" in capsys.readouterr().out
    wrong = ["--modules", "tests.no_such_module"]
    assert main([*command, *wrong] if follow else [*wrong, *command]) == 1
    assert "no_such_module" in capsys.readouterr().err
