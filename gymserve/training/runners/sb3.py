"""`python -m gymserve.training.runners.sb3 FOLDER`: trains with Stable-Baselines3 or sb3-contrib, as planned."""

import contextlib
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymserve.system import imports
from gymserve.system.files import replacing
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners.folder import DIVERGED, SPACES, Folder, MetricsFile

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecEnv

    from gymserve.training.runners.callback import TrainingCallback

NOT_NUMBERS = ("found invalid values", "probability tensor contains")  # torch's messages about a policy's output


def main(path: Path) -> int:
    """Run the experiment in a folder; return the exit code."""
    folder = Folder(path)
    folder.note_process(os.getpid())
    plan = folder.training_plan()
    try:
        train(folder, plan)
    except MemoryError:
        folder.end(ExperimentState.FAILED, reason="it ran out of memory", exit_code=1)
        return 1
    except Exception as error:
        traceback.print_exc()
        folder.end(ExperimentState.FAILED, reason=_reason(error)[:500], exit_code=1)
        return 1
    return 0


def _reason(error: Exception) -> str:
    """Return the reason of a failure, in one line."""
    text = str(error).partition("\n")[0]
    if any(each in text for each in NOT_NUMBERS):
        return (
            f"{DIVERGED}, so its policy cannot choose actions: lower learning_rate, normalize observations and rewards, "
            "or look for NaN in the environment's observations and rewards"
        )
    return f"{type(error).__name__}: {text}"


def train(folder: Folder, plan: TrainingPlan) -> None:
    """Train until the plan is complete or a signal ends it, and write the outcome."""
    from gymserve.training.runners.callback import (
        Interrupts,
        MetricsWriter,
        Paused,
        Stopped,
        TensorBoard,
        TrainingCallback,
    )

    interrupts = Interrupts()  # handle signals before anything slow
    import torch
    from stable_baselines3.common.logger import KVWriter, Logger
    from stable_baselines3.common.save_util import save_to_pkl

    from gymserve.training.runners import vector_env
    from gymserve.training.runners.checkpoint import Restored

    torch.set_num_threads(1)
    kind = getattr(importlib.import_module(plan.package), plan.algorithm)
    imports.freeze()
    env = vector_env.make(plan, training=True)
    save_to_pkl(folder.path / SPACES, vector_env.spaces_of(env, plan))
    newest = folder.checkpoint()
    restored = Restored(kind, newest, env, plan) if newest else None
    model = restored.model if restored else _new(kind, folder, plan, env)
    metrics = MetricsFile(folder.metrics)
    outputs: list[KVWriter] = [MetricsWriter(metrics)]
    if plan.tensorboard:
        outputs.append(TensorBoard(folder.tensorboard, since=model.num_timesteps if restored else None))
    model.set_logger(Logger(None, outputs))
    callback = TrainingCallback(
        plan,
        folder,
        metrics,
        interrupts,
        evaluation=lambda: vector_env.make(plan, training=False, records_best=True),
        restored=restored,
    )
    # Any: only some algorithms have the argument.
    more: dict[str, Any] = {"use_masking": _masks(env)} if plan.algorithm == "MaskablePPO" else {}
    try:
        if (left := plan.total_timesteps - model.num_timesteps) > 0:
            with contextlib.suppress(Stopped):
                model.learn(left, callback=callback, reset_num_timesteps=restored is None, **more)
        finish(folder, plan, model, callback, stopped=interrupts.stop)
    except Paused:
        model.logger.close()
        folder.end(ExperimentState.PAUSED, timesteps=model.num_timesteps, exit_code=0)
    finally:
        metrics.close()
        env.close()
        callback.close()


def _new(kind: "type[BaseAlgorithm]", folder: Folder, plan: TrainingPlan, env: "VecEnv") -> "BaseAlgorithm":
    """Create a model, from scratch or from its parent."""
    model = kind(env=env, seed=plan.seed, **arguments(plan, env))
    if plan.parent_model:
        from gymserve.training.runners import parent_model

        parent_model.load(model, folder.path / "parent")
    return model


def finish(
    folder: Folder, plan: TrainingPlan, model: "BaseAlgorithm", callback: "TrainingCallback", *, stopped: bool
) -> None:
    """Save the model; evaluate it if it was trained to the end, and save the best evaluation episode."""
    from gymserve.training.runners import best_episode

    with replacing(folder.path / "model.zip") as fresh:
        model.save(fresh)
    if (normalized := model.get_vec_normalize_env()) is not None:
        normalized.save(str(folder.path / "normalize.pkl"))
    evaluation = {} if stopped or not plan.evaluation.episodes else callback.evaluate()
    if evaluation and (best := callback.best_episode()) is not None:
        best_episode.keep(best, plan, folder.path)
    model.logger.close()
    state = ExperimentState.STOPPED if stopped else ExperimentState.COMPLETED
    folder.end(state, timesteps=model.num_timesteps, evaluation=evaluation, exit_code=0)


def arguments(plan: TrainingPlan, env: "VecEnv") -> dict[str, Any]:  # Any: what the constructor takes
    """Return the constructor's arguments for a plan."""
    from gymserve.training.runners import plain

    hyperparameters = {"policy": plan.policy, **plan.hyperparameters, "device": plan.device, "verbose": 0}
    return plain.arguments(hyperparameters, env)


def _masks(env: "VecEnv") -> bool:
    from sb3_contrib.common.maskable.utils import is_masking_supported

    return bool(is_masking_supported(env))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
