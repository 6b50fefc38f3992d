"""The catalogue: which environments may be made, by which ids, and that a request never imports anything."""

import contextlib
import os
import sys
import threading
import types
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gymserve import environments
from gymserve.environments import Catalogue, arguments
from gymserve.protocol.errors import EnvironmentFailed, GymserveError, InvalidRequest, SettingsError, UnknownEnvironment
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.spaces import describe
from tests.client.trajectories import same
from tests.support.servers import wait_for


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(
        ["tests.support.environments.faulty"], kwargs={"Counting-v0": ["file"]}, shared=["SharedFaulty-v0"]
    )


@pytest.mark.parametrize(
    ("requested", "resolved"),
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
def test_old_ids_resolve_to_newer_versions(catalogue: Catalogue, requested: str, resolved: str) -> None:
    entry = catalogue.resolve(requested)
    assert (entry.id, entry.requested) == (resolved, requested)
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


def test_a_future_version_is_unknown(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownEnvironment):
        catalogue.resolve("CartPole-v11")


def test_an_unknown_id_gets_a_suggestion(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownEnvironment, match=r"did you mean CartPole-v1"):
        catalogue.resolve("Cartpole-v1")


@pytest.mark.parametrize(
    ("requested", "shape", "frameskip", "repeated"),
    [
        ("Breakout-ram-v0", (128,), (2, 5), 0.25),
        ("BreakoutDeterministic-v4", (210, 160, 3), 4, 0.0),
        ("Breakout-ramDeterministic-v0", (128,), 4, 0.25),
        ("Breakout-ramNoFrameskip-v4", (128,), 1, 0.0),
    ],
)
def test_an_old_atari_id_keeps_its_meaning(
    catalogue: Catalogue, requested: str, shape: tuple[int, ...], frameskip: Any, repeated: float
) -> None:
    entry = catalogue.resolve(requested)
    kwargs = entry.spec.kwargs
    assert entry.kind == "dedicated" and entry.id not in catalogue.ids()
    assert (kwargs["frameskip"], kwargs["repeat_action_probability"]) == (frameskip, repeated)
    env = catalogue.make(Recipe(env_id=requested, environment=entry.id))
    assert env.reset(seed=1)[0].shape == shape
    env.close()


@pytest.mark.parametrize("env_id", ["CartPole-ram-v1", "CartPoleDeterministic-v0", "Nothing-ram-v4", "Breakout-ram-v5"])
def test_similar_ids_are_not_old_atari_ids(catalogue: Catalogue, env_id: str) -> None:
    with pytest.raises(UnknownEnvironment):
        catalogue.resolve(env_id)


def test_a_missing_package_is_named_with_the_command_that_installs_it(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownEnvironment, match=r'jax is missing here: pip install "gymnasium\[jax\]"'):
        catalogue.resolve("phys2d/CartPole-v1")


def test_a_module_that_cannot_be_imported_prevents_startup() -> None:
    with pytest.raises(SettingsError, match="ENVIRONMENT_MODULES: no_such_module cannot be imported"):
        Catalogue(["no_such_module"])


def test_light_environments_share_hosts_and_unknown_ones_do_not(catalogue: Catalogue) -> None:
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
    huge = (["F"] * 20_000, ["F" * 1000] * 1000, "F" * 10_001, {"F" * 10_001: 0}, [["F" * 2000] * 3, ["F" * 2000] * 3])
    for value in huge:  # FrozenLake takes 97 s for a million fields
        with pytest.raises(InvalidRequest, match="more than 10000 elements and characters in all"):
            catalogue.check_kwargs(lake, {"desc": value})
    with pytest.raises(InvalidRequest, match="more than"):
        catalogue.check_kwargs(lake, {"desc": ["F" * 5_000], "map_name": "F" * 5_000})
    with pytest.raises(InvalidRequest, match="kwargs must be an object"):
        catalogue.check_kwargs(lake, [1])


def test_no_environment_takes_a_path(catalogue: Catalogue) -> None:
    assert "xml_file" not in catalogue.allowed_kwargs(catalogue.resolve("HalfCheetah-v5"))
    assert catalogue.allowed_kwargs(catalogue.resolve("Counting-v0")) == ["file"]  # the organiser allows it
    assert catalogue.allowed_kwargs(catalogue.resolve("Faulty-v0")) == []


@pytest.mark.parametrize("env_id", ["CartPole-v1", "FrozenLake-v1"])
@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_vector_environments_have_the_requested_mode(catalogue: Catalogue, env_id: str, mode: str) -> None:
    env = environments.make(catalogue.resolve(env_id), num_envs=3, autoreset=mode, max_episode_steps=2)
    assert env.metadata["autoreset_mode"].value == mode
    env.reset(seed=1)
    for _ in range(2):
        truncated = env.step(np.zeros(3, int))[3]
    assert truncated.all()


def as_gymnasium_makes(env_id: str, mode: AutoresetMode, **more: Any) -> Any:
    """Gymnasium's vector environment with this mode, set by the entry point's own parameter, or else by Gymnasium's."""
    with contextlib.suppress(TypeError):
        return gymnasium.make_vec(env_id, 2, autoreset_mode=mode, **more)
    env = gymnasium.make_vec(env_id, 2, **more)
    if env.metadata["autoreset_mode"] is mode:
        return env
    env.close()
    return gymnasium.make_vec(env_id, 2, "sync", vector_kwargs={"autoreset_mode": mode}, **more)


def outcome(make: Callable[[], Any]) -> Any:
    """The properties of a vector environment and its first steps, or "refused" if it cannot be made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium warns of old versions
        try:
            env = make()
        except (GymserveError, TypeError, ValueError):
            return "refused"
    env.action_space.seed(3)
    facts = [
        isinstance(env.unwrapped, SyncVectorEnv),
        env.metadata,
        env.single_observation_space,
        env.observation_space,
    ]
    facts += [env.action_space, env.reset(seed=3)]
    facts += (
        [env.step(env.action_space.sample()) for _ in range(4)] if env.metadata["autoreset_mode"] != DISABLED else []
    )
    env.close()
    return facts


def one_of_each_class(catalogue: Catalogue) -> list[str]:
    """One id for each class and set of arguments; Atari's hundreds of ids have one class, and would take half an hour."""
    ids: dict[Any, str] = {}
    for env_id in catalogue.ids():
        spec = gymnasium.registry[env_id]
        ids.setdefault((str(spec.entry_point), str(spec.vector_entry_point), *sorted(spec.kwargs)), env_id)
    return list(ids.values())


DISABLED = AutoresetMode.DISABLED
VECTORS = ["CartPole-v1", "FrozenLake-v1", "Pendulum-v1", "ALE/Pong-v5"]


@pytest.mark.parametrize("more", [{}, {"max_episode_steps": 3}], ids=str)
@pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("env_ids", [VECTORS, pytest.param(None, marks=pytest.mark.long)], ids=["some", "all"])
def test_vector_environments_equal_those_of_gymnasium(
    catalogue: Catalogue, env_ids: list[str] | None, mode: AutoresetMode, more: dict[str, Any]
) -> None:
    for env_id in env_ids or (catalogue.ids() if "EVERY_ID" in os.environ else one_of_each_class(catalogue)):
        try:
            environment = catalogue.resolve(env_id)
        except UnknownEnvironment:
            continue
        if not isinstance(environment.spec.entry_point, str):
            continue  # registered by a test
        ours = outcome(lambda: environments.make(environment, num_envs=2, autoreset=mode.value, **more))  # noqa: B023
        theirs = outcome(lambda: as_gymnasium_makes(environment.id, mode, **more))  # noqa: B023
        assert same(ours, theirs), env_id


def test_copies_take_the_arguments_of_the_vector_constructor(catalogue: Catalogue) -> None:
    pong = catalogue.resolve("ALE/Pong-v5")
    catalogue.check_kwargs(pong, {"img_height": 64, "frameskip": 2})
    env = environments.make(pong, num_envs=2, kwargs={"img_height": 64}, autoreset="SameStep")
    assert env.single_observation_space.shape == (4, 64, 84)
    for refused in ({"max_episode_steps": 5}, {"render_mode": "rgb_array"}, {"autoreset": "Disabled"}):
        with pytest.raises(InvalidRequest, match="ALE/Pong-v5 cannot be made so"):
            environments.make(pong, num_envs=2, **refused)
    with pytest.raises(InvalidRequest, match="num_threads"):
        catalogue.check_kwargs(pong, {"num_threads": 100})


def test_an_existing_vector_entry_point_is_used(catalogue: Catalogue) -> None:
    assert (
        type(environments.make(catalogue.resolve("CartPole-v1"), num_envs=3).unwrapped).__name__ == "CartPoleVectorEnv"
    )


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"render_mode": "human"}, "needs a screen"),
        ({"render_mode": "hologram"}, "render_mode must be one of human, rgb_array"),
        ({"num_envs": 2, "autoreset": "Never"}, "autoreset_mode must be one of"),
    ],
)
def test_refusals_say_why(catalogue: Catalogue, parameters: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        environments.make(catalogue.resolve("CartPole-v1"), **parameters)


def test_an_error_of_the_constructor_is_reported(catalogue: Catalogue) -> None:
    with pytest.raises((EnvironmentFailed, InvalidRequest), match="FrozenLake-v1 cannot be made"):
        environments.make(catalogue.resolve("FrozenLake-v1"), kwargs={"map_name": "nowhere"})


def test_a_row_lists_aliases_and_missing_packages(catalogue: Catalogue) -> None:
    rows = {row["id"]: row for row in catalogue.rows(catalogue.ids())}
    pole = rows["CartPole-v1"]
    assert pole["max_episode_steps"] == 500 and pole["vector_entry_point"] and pole["missing"] is None
    assert "LunarLander-v2" in rows["LunarLander-v3"]["aliases"] and rows["Pong-v0"]["aliases"] == []
    assert rows["phys2d/CartPole-v1"]["missing"] == "jax" and "pip install" in rows["phys2d/CartPole-v1"]["install"]
    assert not [env_id for env_id in rows if env_id.startswith("remote/")]


@pytest.mark.parametrize(("env_id", "kwargs"), [("CartPole-v1", {}), ("FrozenLake-v1", {"map_name": "8x8"})])
def test_spaces_describe_the_environment(catalogue: Catalogue, env_id: str, kwargs: dict[str, str]) -> None:
    env = gymnasium.make(env_id, **kwargs)
    spaces = catalogue.spaces(env_id, kwargs)
    assert spaces["action_space"] == describe(env.action_space)
    assert spaces["observation_space"] == describe(env.observation_space)
    assert spaces["render_modes"] == env.metadata["render_modes"]


MODULE = "class Env:\n    def __init__(self, size=1): ..."


def test_threads_can_import_parts_of_a_package_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "halved"
    package.mkdir()
    (package / "first.py").write_text(MODULE)
    (package / "second.py").write_text(f"from halved import first\n{MODULE}")
    monkeypatch.syspath_prepend(tmp_path)
    meetings = types.ModuleType("meetings")
    monkeypatch.setitem(sys.modules, "meetings", meetings)
    meetings.begun, meetings.more = threading.Event(), threading.Event()
    (package / "__init__.py").write_text(
        "import meetings\nmeetings.begun.set()\nmeetings.more.wait(0.3)\nfrom halved.second import Env\n"
    )
    specs = [gymnasium.spec("CartPole-v1")] * 2
    for index, name in enumerate(("first", "second")):
        gymnasium.register(f"Halved{index}-v0", entry_point=f"halved.{name}:Env")
        specs[index] = gymnasium.registry.pop(f"Halved{index}-v0")
        monkeypatch.setitem(gymnasium.registry, f"Halved{index}-v0", specs[index])
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(arguments.names, specs[0])
        wait_for(meetings.begun.is_set)
        other = pool.submit(arguments.names, specs[1])  # holds its own module while it waits for the package
        assert one.result() == other.result() == ["size"]


def test_a_row_says_that_its_module_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue
) -> None:
    (tmp_path / "untold.py").write_text("raise OSError('no display')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(arguments, "load_env_creator", lambda entry: __import__("untold"))
    arguments._names.cache_clear()
    (row,) = catalogue.rows(["CartPole-v1"])
    assert row["missing"] == "CartPole-v1 cannot be imported: OSError: no display"
    monkeypatch.undo()
    (row,) = catalogue.rows(["CartPole-v1"])
    assert row["missing"] is None and row["kwargs"]
