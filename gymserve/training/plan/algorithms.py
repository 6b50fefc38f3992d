"""The algorithms of Stable-Baselines3 and sb3-contrib, read from the libraries' source code, without importing torch.

Names, defaults, parameter types, policies and action spaces are those of the installed versions.
"""

import ast
import difflib
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from gymnasium import spaces

from gymserve.protocol.errors import Untrainable
from gymserve.protocol.generics import Space
from gymserve.training.plan.view import PLAIN

PACKAGES = ("stable_baselines3", "sb3_contrib")
INSTALL = 'pip install "gymserve[train]"'
OURS = {  # parameters that the runner sets
    "self", "policy", "env", "tensorboard_log", "verbose", "seed", "device", "_init_setup_model",
    "rollout_buffer_class", "rollout_buffer_kwargs",
}  # fmt: skip
LEAST_PIXELS = 36  # minimum width and height for the library's convolutions


@dataclass(frozen=True)
class Algorithm:
    """An algorithm, as its class declares it.

    Attributes:
        package: the library that contains it.
        defaults: hyper-parameter → default, as plain data.
        kinds: hyper-parameter → its annotation, such as `float | Schedule`.
        policies: the names of its policies.
        actions: the kinds of action space that it supports.
    """

    name: str
    package: str
    description: str
    defaults: dict[str, object]
    kinds: dict[str, str]
    policies: tuple[str, ...]
    actions: tuple[str, ...]

    def policy_for(self, observations: Space) -> str:
        """Return the algorithm's policy for an observation space.

        Raises:
            Untrainable: it has none.
        """
        kind = type(observations).__name__
        if isinstance(observations, spaces.Dict):
            wanted = "MultiInput"
        elif is_picture(observations):
            wanted = "Cnn"
        elif isinstance(observations, PLAIN):
            wanted = "Mlp"
        else:
            raise Untrainable(f"{self.name} cannot read observations of a {kind} space")
        policy = next((name for name in self.policies if name.startswith(wanted)), None)
        if policy is None:
            raise Untrainable(f"{self.name} has no policy for these observations ({kind}): {', '.join(self.policies)}")
        return policy

    def check_actions(self, actions: dict[str, object]) -> None:
        """Check that the algorithm supports an action space.

        Raises:
            Untrainable: it does not.
        """
        if actions["name"] not in self.actions:
            fitting = [each.name for each in everything() if actions["name"] in each.actions]
            raise Untrainable(
                f"{self.name} needs an action space of the kind {' or '.join(self.actions)}, and this environment's is "
                f"{actions['name']}: "
                + (f"use one of {', '.join(fitting)}" if fitting else "no algorithm here supports it")
            )


def is_picture(space: Space) -> bool:
    """Return whether the library's convolutions can read observations of a space."""
    picture = isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3
    return picture and min(sorted(space.shape or ())[1:]) >= LEAST_PIXELS


def missing() -> str | None:
    """Return what is not installed and how to install it; None if nothing is missing."""
    lacking = [package for package in ("torch", *PACKAGES) if importlib.util.find_spec(package) is None]
    return f"{', '.join(lacking)} is not installed: {INSTALL}" if lacking else None


@cache
def everything() -> tuple[Algorithm, ...]:
    """Return all installed algorithms, sorted by name."""
    algorithms: dict[str, Algorithm] = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            algorithms |= _of_package(package, Path(spec.origin).parent, algorithms)
    return tuple(algorithms[name] for name in sorted(algorithms))


def available() -> tuple[Algorithm, ...]:
    """Return all algorithms, if their libraries are installed.

    Raises:
        Untrainable: a library is missing; the message says how to install it.
    """
    if (reason := missing()) is not None:
        raise Untrainable(reason)
    return everything()


def find(name: object) -> Algorithm:
    """Return the algorithm with this name, ignoring case.

    Raises:
        Untrainable: there is none.
    """
    names = {each.name.lower(): each for each in available()}
    if not isinstance(name, str) or name.lower() not in names:
        near = difflib.get_close_matches(str(name).lower()[:50], names, 1, 0.5)
        hint = f"did you mean {names[near[0]].name}?" if near else ""
        known = ", ".join(each.name for each in everything())
        raise Untrainable(f"there is no algorithm {name!r:.50}: {hint or f'GET /algorithms has {known}'}")
    return names[name.lower()]


def _of_package(package: str, folder: Path, known: dict[str, Algorithm]) -> dict[str, Algorithm]:
    public = _public(folder / "__init__.py")
    classes = {
        node.name: node
        for file in sorted(folder.glob("*/*.py"))
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name in public and _constructor(node) is not None
    }
    algorithms: dict[str, Algorithm] = {}
    for name, node in classes.items():
        if _own(node, "policy") and _own(node, "env"):
            bases = [ast.unparse(base) for base in node.bases]
            parents = [classes[base] for base in bases if base in classes]
            algorithms[name] = _read(package, node, parents)
    return algorithms


def _public(file: Path) -> set[str]:
    """Return the names in `__all__`."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"), None)


def _own(node: ast.ClassDef, parameter: str) -> bool:
    constructor = _constructor(node)
    return constructor is not None and parameter in {each.arg for each in constructor.args.args}


def _read(package: str, node: ast.ClassDef, parents: list[ast.ClassDef]) -> Algorithm:
    constructor = _constructor(node)
    assert constructor is not None
    arguments = constructor.args.args
    defaults = constructor.args.defaults
    pairs = [
        (argument, default)
        for argument, default in zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True)
        if argument.arg not in OURS
    ]
    lineage = [node, *parents]
    return Algorithm(
        name=node.name,
        package=package,
        description=_summary(node),
        defaults={argument.arg: ast.literal_eval(default) for argument, default in pairs},
        kinds={argument.arg: ast.unparse(argument.annotation or ast.Constant("Any")) for argument, _ in pairs},
        policies=next(filter(None, map(_policies, lineage)), ()),
        actions=next(filter(None, map(_actions, lineage)), ()),
    )


def _summary(node: ast.ClassDef) -> str:
    """Return the docstring's first sentence or two, without URLs."""
    first = re.split(r"\n\s*\n|\n:|\n(?:Paper|Reference|This implementation)", ast.get_docstring(node) or node.name)[0]
    return re.sub(r":?\s*https?://\S+", "", " ".join(first.split())).strip()


def _policies(node: ast.ClassDef) -> tuple[str, ...]:
    for each in node.body:
        match each:
            case ast.AnnAssign(target=ast.Name("policy_aliases"), value=ast.Dict(keys)):
                return tuple(str(key.value) for key in keys if isinstance(key, ast.Constant))
    return ()


def _actions(node: ast.ClassDef) -> tuple[str, ...]:
    for each in ast.walk(node):
        match each:
            case ast.keyword("supported_action_spaces", ast.Tuple(kinds)):
                return tuple(ast.unparse(kind).rpartition(".")[2] for kind in kinds)
    return ()
