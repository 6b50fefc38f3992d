"""`python -m gymserve.training.runners.dry_run FOLDER`: tries the plan in a folder once, with only the environment's spaces.

The model is built exactly as planned, and a smaller one takes a few steps and learns from them, which also finds what the
library refuses only later.
"""

import importlib
import os
import sys
import warnings
from pathlib import Path

import msgspec

from gymserve.protocol.generics import Space
from gymserve.protocol.spaces import from_description
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners.folder import Folder

SPACES = "spaces.json"  # in the folder: descriptions of the spaces of observations and actions
STEPS = 8  # per copy of the environment
SMALL = {  # maximum values, small enough for a few steps
    "n_steps": 4, "batch_size": 8, "buffer_size": 1000, "train_freq": 4, "gradient_steps": 1, "n_epochs": 1, "n_delta": 2,
    "n_top": 2, "n_quantiles": 50,
}  # fmt: skip


def main(path: Path) -> int:
    """Write whether the plan can be trained into the folder's outcome."""
    folder = Folder(path)
    folder.note_process(os.getpid())
    try:
        descriptions = msgspec.json.decode((path / SPACES).read_bytes())
        attempt(folder.training_plan(), *(from_description(each) for each in descriptions))
    except Exception as error:
        folder.end(ExperimentState.FAILED, reason=first_line(error)[:500])
        return 1
    folder.end(ExperimentState.COMPLETED)
    return 0


def attempt(plan: TrainingPlan, observations: Space, actions: Space) -> None:
    """Build the plan's model and train a smaller one for a moment.

    Raises:
        Exception: whatever the library raises.
    """
    import torch

    from gymserve.training.runners import vector_env
    from gymserve.training.runners.sb3 import arguments

    torch.set_num_threads(1)
    kind = getattr(importlib.import_module(plan.package), plan.algorithm)
    env = vector_env.blank(observations, actions, plan)
    exact = arguments(plan, env)
    if plan.hyperparameters.get("replay_buffer_class"):
        exact["buffer_size"] = SMALL["buffer_size"]  # HerReplayBuffer allocates a million objects at once
    kind(env=env, seed=plan.seed, **exact)
    small = _small(plan, kind)
    more = {"use_masking": False} if plan.algorithm == "MaskablePPO" else {}
    with warnings.catch_warnings(action="ignore"):  # the library warns about such a small model
        model = kind(env=vector_env.blank(observations, actions, small), seed=plan.seed, **arguments(small, env))
        model.learn(STEPS * plan.n_envs, **more)


def _small(plan: TrainingPlan, kind: type) -> TrainingPlan:
    """Return a plan that takes a moment and fails wherever the full one would."""
    import inspect

    known = {name: each.default for name, each in inspect.signature(kind).parameters.items()}
    hyperparameters = {**{name: known[name] for name in SMALL if name in known}, **plan.hyperparameters}
    for name, most in SMALL.items():
        if isinstance(hyperparameters.get(name), int):
            hyperparameters[name] = min(hyperparameters[name], most)
    if "learning_starts" in known:
        hyperparameters["learning_starts"] = 4 * plan.n_envs  # two episodes, which HerReplayBuffer needs
    return plan.replace(hyperparameters=hyperparameters)


def first_line(error: Exception) -> str:
    """Return the first non-empty line of an error's message."""
    if isinstance(error, MemoryError):
        return "its model, or its replay buffer, does not fit into this machine's memory"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
