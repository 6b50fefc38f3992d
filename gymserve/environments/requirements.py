"""What environments need in addition to Gymnasium, and the command that installs it."""

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from gymnasium.envs.registration import EnvSpec

from gymserve.environments import opensim


class Files(NamedTuple):
    """Files that do not come with a package: their name, whether they are present, and the command that fetches them."""

    name: str
    present: Callable[[], bool]
    install: str


class Requirement(NamedTuple):
    """Modules that must be importable, the command that installs them (None: there is none), and files."""

    modules: tuple[str, ...]
    install: str | None
    files: Files | None = None


_BY_MODULE = {
    "gymnasium.envs.classic_control": Requirement(("pygame",), 'pip install "gymnasium[classic-control]"'),
    "gymnasium.envs.toy_text": Requirement(("pygame",), 'pip install "gymnasium[toy-text]"'),
    "gymnasium.envs.box2d": Requirement(("Box2D", "pygame"), 'pip install "gymnasium[box2d]"'),
    "gymnasium.envs.mujoco": Requirement(("mujoco", "imageio"), 'pip install "gymnasium[mujoco]"'),
    "gymnasium.envs.phys2d": Requirement(("jax",), 'pip install "gymnasium[jax]"'),
    "gymnasium.envs.tabular": Requirement(("jax",), 'pip install "gymnasium[jax]"'),
    "ale_py": Requirement(("ale_py",), "pip install ale-py"),
    "gymserve.environments.car_race": Requirement(("PIL",), "pip install pillow"),
    "gymserve.environments.opensim": Requirement(
        ("opensim",), 'pip install "gymserve[opensim]"', Files("the OpenSim models", opensim.present, opensim.FETCH)
    ),
    "gymserve.environments.offloading": Requirement((), None),
}
_OUTDATED = {"Pusher-v4": "mujoco<3"}
NONE = Requirement((), None)


def entry_module(spec: EnvSpec) -> str:
    """The module of a spec's entry point; "" for a placeholder that only says that the environment was moved."""
    if isinstance(spec.entry_point, str):
        return spec.entry_point.partition(":")[0]
    module: str = getattr(spec.entry_point, "__module__", "")
    return "" if module.startswith("gymnasium.") and getattr(spec.entry_point, "__name__", "")[:1] == "_" else module


def required(spec: EnvSpec) -> Requirement:
    module = entry_module(spec)
    return next((need for prefix, need in _BY_MODULE.items() if module.startswith(prefix)), NONE)


def is_built_in(spec: EnvSpec) -> bool:
    """Whether the meaning of its arguments is known here, so that agents may pass them."""
    return required(spec) is not NONE


def missing(spec: EnvSpec) -> str | None:
    """The first requirement that is missing; None if the environment can be made."""
    if spec.id in _OUTDATED:
        return _OUTDATED[spec.id]
    if not entry_module(spec):
        return "the package that Gymnasium moved it to"
    need = required(spec)
    missing_module = next((module for module in need.modules if not _installed(module)), None)
    if missing_module is None and need.files is not None and not need.files.present():
        return need.files.name
    return missing_module


def install(spec: EnvSpec) -> str | None:
    """The command that installs the first missing requirement; None if there is none."""
    need = required(spec)
    if need.files is not None and all(_installed(module) for module in need.modules):
        return need.files.install
    return need.install


@cache
def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
