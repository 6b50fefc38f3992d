"""Experiments that begin from a model: what they take over from it, what it must fit, and where it came from itself."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gymserve.protocol.errors import Conflict, Untrainable
from gymserve.training.plan.training_plan import TrainingPlan

FOLDER = "parent"  # of an experiment, with the files that it begins from
FILES = ("model.zip", "normalize.pkl")
SEEN = ("normalize", "frame_stack", "atari")  # what shapes that which a policy is shown
SHAPING = ("policy", "policy_kwargs", "use_sde")  # hyper-parameters that shape its weights
USUAL = ("n_envs", "vectorisation")
PLACE = ("environment", "server", "env_kwargs", "max_episode_steps")
MOST = 100  # models of a lineage that are told


@dataclass(frozen=True)
class Parent:
    """A model that an experiment begins from.

    Args:
        card: `{"model_id", "title", "version", "experiment_id", "timesteps"}` of it.
        plan: what it was trained by.
        folder: its own.
    """

    card: dict[str, Any]
    algorithm: str
    plan: TrainingPlan
    folder: Path

    def completed(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """`asked`, with what it does not say as it was for the model.

        Raises:
            Untrainable: it says something that does not go with the model's weights.
        """
        given = {name: value for name, value in asked.items() if value is not None}
        algorithm = given.get("algorithm", self.algorithm)
        if str(algorithm).lower() != self.algorithm.lower():
            raise Untrainable(f"the model's algorithm is {self.algorithm}: {algorithm!r:.50} cannot go on with it")
        own = {**self.plan.hyperparameters, "policy": self.plan.policy}
        wanted = given.get("hyperparameters", {})
        for name in SHAPING:
            if name in wanted and wanted[name] != own.get(name):
                raise Untrainable(f"{name} shapes the model's weights: it cannot be another one than the model's")
        wanted = {**own, **wanted}
        for name in SEEN:
            if name in given and (given[name] or None) != (getattr(self.plan, name) or None):
                raise Untrainable(f"{name} shapes what the model sees: it cannot be another one than the model's")
        names = (*SEEN, *USUAL, *(() if "environment" in given else PLACE))
        inherited = {name: value for name in names if (value := getattr(self.plan, name)) is not None}
        return {**inherited, **given, "algorithm": self.algorithm, "hyperparameters": wanted}

    def check(
        self, row: Mapping[str, Any] | None, own: Mapping[str, Any] | None, *, environment: Any, server: Any
    ) -> None:
        """Whether it can act and see in another environment.

        Args:
            row: the environment's, with its spaces; None: it is another server's.
            own: that of the environment that the model was trained in.
            environment, server: the other one, as it was asked for.

        Raises:
            Untrainable: it cannot, or nobody here can tell.
        """
        if row is None or own is None:
            if (server, environment) != (self.plan.server, self.plan.env_id):
                raise Untrainable("the spaces of another server's environment are not known here: name the model's own")
            return
        check_spaces(own, row)

    def ancestry(self) -> dict[str, Any]:
        """What is kept of it with the experiment: `lineage` begins with the model itself."""
        lineage = [self.card, *self.plan.lineage]
        return {"parent_model": self.card["model_id"], "lineage": lineage[:MOST]}


def copy_files(source: Path, target: Path) -> None:
    """Copies what a runner begins from, for the model may be deleted before.

    Raises:
        Conflict: it is gone.
    """
    target.mkdir(parents=True, mode=0o700)
    try:
        for name in FILES:
            if name == "model.zip" or (source / name).exists():
                shutil.copyfile(source / name, target / name)
    except FileNotFoundError as error:
        raise Conflict("the model that it was to begin from is gone") from error


def check_spaces(own: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Whether a model that was trained in one environment of the catalogue can act in another one.

    Raises:
        Untrainable: their spaces differ.
    """
    for name in ("observation_space", "action_space"):
        if other[name] != own[name]:
            kind, told = _short(own[name]), _short(other[name])
            raise Untrainable(
                f"the model's {name.replace('_', ' ')} is {kind}, and that of {other['id']} is {told}: they must be equal"
            )


def _short(space: Mapping[str, Any]) -> str:
    """A space in a few words, with what may be different."""
    names = ("shape", "n", "start", "nvec", "dtype", "low", "high")
    told = ", ".join(f"{name} {space[name]!s:.60}" for name in names if space.get(name) is not None)
    return f"{space['name']} ({told})" if told else str(space["name"])
