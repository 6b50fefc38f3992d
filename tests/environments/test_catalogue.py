"""What may be made, under which names, and that a request never imports anything."""

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from gymserve import environments
from gymserve.environments import Catalogue
from gymserve.errors import EnvironmentFailed, InvalidRequest, SettingsError, UnknownEnvironment
from gymserve.spaces import describe


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(["tests.faulty_environments"], kwargs={"Counting-v0": ["file"]}, shared=["SharedFaulty-v0"])


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("CartPole-v1", "CartPole-v1"),
        ("CartPole-v0", "CartPole-v0"),
        ("CartPole", "CartPole-v1"),
        ("FrozenLake-v0", "FrozenLake-v1"),
        ("Pendulum-v0", "Pendulum-v1"),
        ("Blackjack-v0", "Blackjack-v1"),
        ("LunarLander-v2", "LunarLander-v3"),
        ("HalfCheetah-v2", "HalfCheetah-v5"),
        ("Pusher-v4", "Pusher-v5"),
        ("Pong-v0", "Pong-v0"),
        ("ALE/Pong-v5", "ALE/Pong-v5"),
    ],
)
def test_old_ids_live_on(catalogue: Catalogue, asked: str, found: str) -> None:
    entry = catalogue.resolve(asked)
    assert (entry.id, entry.requested) == (found, asked)
    environments.make(entry).close()


@pytest.mark.parametrize(
    "env_id",
    [
        "os:Env-v0", "planted_module:Env-v0", "../CartPole-v1", "a/../CartPole-v1", "CartPole-v1\0", "CartPole-v1 ",
        "СartPole-v1", "CartPole‐v1", "", "x" * 1000, "CartPole-v1/", "/CartPole-v1", "a/b/c-v1", "\n", "remote/CartPole-v1",
    ],
)  # fmt: skip
def test_a_malformed_id_is_refused_and_imports_nothing(
    catalogue: Catalogue, env_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted_module.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    with pytest.raises(UnknownEnvironment, match="Attempted to look up malformed environment ID '"):
        catalogue.resolve(env_id)
    assert set(sys.modules) == before and not (tmp_path / "imported").exists()


@pytest.mark.parametrize("env_id", [None, 5, True, ["CartPole-v1"], {"id": 1}, 1.5])
def test_an_id_of_another_type_is_refused(catalogue: Catalogue, env_id: object) -> None:
    with pytest.raises(UnknownEnvironment):
        catalogue.resolve(env_id)


def test_a_version_to_come_is_unknown(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownEnvironment):
        catalogue.resolve("CartPole-v11")


def test_an_unknown_id_is_met_with_the_nearest(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownEnvironment, match=r"did you mean CartPole-v1"):
        catalogue.resolve("Cartpole-v1")


def test_what_is_missing_is_told_with_the_command_that_brings_it(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownEnvironment, match=r'jax is missing here: pip install "gymnasium\[jax\]"'):
        catalogue.resolve("phys2d/CartPole-v1")


def test_a_module_that_cannot_be_imported_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="ENVIRONMENT_MODULES: no_such_module cannot be imported"):
        Catalogue(["no_such_module"])


def test_light_environments_share_and_strangers_do_not(catalogue: Catalogue) -> None:
    kinds = {env_id: catalogue.resolve(env_id).kind for env_id in ("CartPole-v1", "FrozenLake-v1", "LunarLander-v3")}
    assert set(kinds.values()) == {"shared"}
    for env_id in ("HalfCheetah-v5", "ALE/Pong-v5", "Faulty-v0"):
        assert catalogue.resolve(env_id).kind == "dedicated"
    assert catalogue.resolve("SharedFaulty-v0").kind == "shared"


def test_kwargs_are_plain_data_under_allowed_names(catalogue: Catalogue) -> None:
    lake = catalogue.resolve("FrozenLake-v1")
    catalogue.check_kwargs(lake, {"map_name": "8x8", "is_slippery": False})
    env = environments.make(lake, kwargs={"map_name": "8x8", "is_slippery": False})
    assert env.observation_space.n == 64
    with pytest.raises(InvalidRequest, match="'mapname' is not among .*map_name"):
        catalogue.check_kwargs(lake, {"mapname": "8x8"})
    with pytest.raises(InvalidRequest, match="must be finite"):
        catalogue.check_kwargs(lake, {"success_rate": float("inf")})
    with pytest.raises(InvalidRequest, match="more than"):
        catalogue.check_kwargs(lake, {"desc": ["F"] * 20_000})
    with pytest.raises(InvalidRequest, match="kwargs must be an object"):
        catalogue.check_kwargs(lake, [1])


def test_no_environment_takes_a_path(catalogue: Catalogue) -> None:
    assert "xml_file" not in catalogue.allowed_kwargs(catalogue.resolve("HalfCheetah-v5"))
    assert catalogue.allowed_kwargs(catalogue.resolve("Counting-v0")) == ["file"]  # where the organiser says so
    assert catalogue.allowed_kwargs(catalogue.resolve("Faulty-v0")) == []


@pytest.mark.parametrize("env_id", ["CartPole-v1", "FrozenLake-v1"])
@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_vector_environments_have_the_mode_that_was_asked_for(catalogue: Catalogue, env_id: str, mode: str) -> None:
    env = environments.make(catalogue.resolve(env_id), num_envs=3, autoreset=mode, max_episode_steps=2)
    assert env.metadata["autoreset_mode"].value == mode
    env.reset(seed=1)
    for _ in range(2):
        truncated = env.step(np.zeros(3, int))[3]
    assert truncated.all()


def test_vector_entry_point_is_taken_where_there_is_one(catalogue: Catalogue) -> None:
    assert (
        type(environments.make(catalogue.resolve("CartPole-v1"), num_envs=3).unwrapped).__name__ == "CartPoleVectorEnv"
    )


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"render_mode": "human"}, "needs a screen"),
        ({"render_mode": "hologram"}, "render_mode must be one of human, rgb_array"),
        ({"autoreset": "NextStep"}, "num_envs must be more than 1"),
        ({"num_envs": 2, "autoreset": "Never"}, "autoreset_mode must be one of"),
    ],
)
def test_what_cannot_be_made_says_why(catalogue: Catalogue, parameters: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        environments.make(catalogue.resolve("CartPole-v1"), **parameters)  # type: ignore[arg-type]


def test_a_constructor_that_fails_is_the_environments_fault(catalogue: Catalogue) -> None:
    with pytest.raises((EnvironmentFailed, InvalidRequest), match="FrozenLake-v1 cannot be made"):
        environments.make(catalogue.resolve("FrozenLake-v1"), kwargs={"map_name": "nowhere"})


def test_a_row_tells_aliases_and_what_is_missing(catalogue: Catalogue) -> None:
    rows = {row["id"]: row for row in catalogue.rows(catalogue.ids())}
    pole = rows["CartPole-v1"]
    assert pole["max_episode_steps"] == 500 and pole["vector_entry_point"] and pole["missing"] is None
    assert "LunarLander-v2" in rows["LunarLander-v3"]["aliases"] and rows["Pong-v0"]["aliases"] == []
    assert rows["phys2d/CartPole-v1"]["missing"] == "jax" and "pip install" in rows["phys2d/CartPole-v1"]["install"]
    assert not [env_id for env_id in rows if env_id.startswith("remote/")]


@pytest.mark.parametrize(("env_id", "kwargs"), [("CartPole-v1", {}), ("FrozenLake-v1", {"map_name": "8x8"})])
def test_spaces_are_those_of_the_environment(catalogue: Catalogue, env_id: str, kwargs: dict[str, str]) -> None:
    env = gymnasium.make(env_id, **kwargs)  # type: ignore[arg-type]
    told = catalogue.spaces(env_id, kwargs)
    assert told["action_space"] == describe(env.action_space)
    assert told["observation_space"] == describe(env.observation_space)
    assert told["render_modes"] == env.metadata["render_modes"]
