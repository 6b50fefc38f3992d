"""Experiments that start from a model: what they inherit, what must match, and the model's ancestry."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gymserve.protocol.errors import Conflict, Untrainable
from gymserve.protocol.wire import JSONObject, JSONValue
from gymserve.training.plan.training_plan import TrainingPlan

FOLDER = "parent"  # in an experiment's folder, with the parent model's files
FILES = ("model.zip", "normalize.pkl")
SEEN = ("normalize", "frame_stack", "atari")  # settings that shape a policy's observations
SHAPING = ("policy", "policy_kwargs", "use_sde")  # hyper-parameters that shape a policy's weights
USUAL = ("n_envs", "vectorisation")
PLACE = ("environment", "server", "env_kwargs", "max_episode_steps")
MOST = 100  # models in a recorded lineage


@dataclass(frozen=True)
class Parent:
    """A model that an experiment starts from.

    Args:
        card: `{"model_id", "title", "version", "experiment_id", "timesteps"}` of the model.
        plan: the plan that trained it.
        folder: its folder.
    """

    card: dict[str, object]
    algorithm: str
    plan: TrainingPlan
    folder: Path

    def completed(self, settings: Mapping[str, JSONValue]) -> JSONObject:
        """Complete an experiment's settings with the model's.

        Raises:
            Untrainable: a setting contradicts the model's weights.
        """
        chosen = {name: value for name, value in settings.items() if value is not None}
        algorithm = chosen.get("algorithm", self.algorithm)
        if str(algorithm).lower() != self.algorithm.lower():
            raise Untrainable(f"the model's algorithm is {self.algorithm}: {algorithm!r:.50} cannot continue it")
        own = {**self.plan.hyperparameters, "policy": self.plan.policy}
        wanted = chosen.get("hyperparameters", {})
        for name in SHAPING:
            if name in wanted and wanted[name] != own.get(name):
                raise Untrainable(f"{name} shapes the model's weights: it must be the same as the model's")
        wanted = {**own, **wanted}
        for name in SEEN:
            if name in chosen and (chosen[name] or None) != (getattr(self.plan, name) or None):
                raise Untrainable(f"{name} shapes what the model sees: it must be the same as the model's")
        names = (*SEEN, *USUAL, *(() if "environment" in chosen else PLACE))
        inherited = {name: value for name in names if (value := getattr(self.plan, name)) is not None}
        return {**inherited, **chosen, "algorithm": self.algorithm, "hyperparameters": wanted}

    def check(
        self, row: Mapping[str, object] | None, own: Mapping[str, object] | None, *, environment: object, server: object
    ) -> None:
        """Check that the model can act and see in another environment.

        Args:
            row: that environment's row with its spaces; None if it is another server's.
            own: the row of the environment that the model was trained in.
            environment, server: that environment, as named in the settings.

        Raises:
            Untrainable: it cannot, or this server cannot tell.
        """
        if row is None or own is None:
            if (server, environment) != (self.plan.server, self.plan.env_id):
                raise Untrainable("the spaces of another server's environment are unknown here: use the model's own")
            return
        check_spaces(own, row)

    def ancestry(self) -> JSONObject:
        """Return what the experiment's plan records of the model; `lineage` starts with the model itself."""
        lineage = [self.card, *self.plan.lineage]
        return {"parent_model": self.card["model_id"], "lineage": lineage[:MOST]}


def copy_files(source: Path, target: Path) -> None:
    """Copy the files that a runner starts from, since the model may be deleted before the run.

    Raises:
        Conflict: the model is gone.
    """
    target.mkdir(parents=True, mode=0o700)
    try:
        for name in FILES:
            if name == "model.zip" or (source / name).exists():
                shutil.copyfile(source / name, target / name)
    except FileNotFoundError as error:
        raise Conflict("the model to start from is gone") from error


def check_spaces(own: Mapping[str, JSONValue], other: Mapping[str, JSONValue]) -> None:
    """Check that a model trained in one environment of the catalogue can act in another one.

    Raises:
        Untrainable: their spaces differ.
    """
    for name in ("observation_space", "action_space"):
        if other[name] != own[name]:
            expected, actual = _short(own[name]), _short(other[name])
            raise Untrainable(
                f"the model's {name.replace('_', ' ')} is {expected}, and that of {other['id']} is {actual}: they must be equal"
            )


def _short(space: Mapping[str, object]) -> str:
    """Describe a space briefly, with the properties that may differ."""
    names = ("shape", "n", "start", "nvec", "dtype", "low", "high")
    properties = ", ".join(f"{name} {space[name]!s:.60}" for name in names if space.get(name) is not None)
    return f"{space['name']} ({properties})" if properties else str(space["name"])
