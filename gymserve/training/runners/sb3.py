"""`python -m gymserve.training.runners.sb3 FOLDER`: trains with Stable-Baselines3 or sb3-contrib, as its plan says."""

import contextlib
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from gymserve.system import imports
from gymserve.system.files import replacing
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners.folder import DIVERGED, SPACES, Folder, MetricsFile

NOT_NUMBERS = ("found invalid values", "probability tensor contains")  # torch, of a policy's output


def main(path: Path) -> int:
    """Runs the experiment in a folder; returns the exit code."""
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
    """Why a run failed, in a line."""
    text = str(error).partition("\n")[0]
    if any(each in text for each in NOT_NUMBERS):
        return (
            f"{DIVERGED}, so its policy chooses nothing any more: lower learning_rate, normalize observations and rewards, "
            "or look for NaN in what the environment gives"
        )
    return f"{type(error).__name__}: {text}"


def train(folder: Folder, plan: TrainingPlan) -> None:
    """Trains until the plan is carried out, or a signal asks otherwise, and says what became of it."""
    from gymserve.training.runners.watching import Board, Lines, Paused, Stopped, Watch, Wishes

    wishes = Wishes()  # before anything that takes long
    import torch
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.save_util import save_to_pkl

    from gymserve.training.runners import making
    from gymserve.training.runners.checkpoint import Restored

    torch.set_num_threads(1)
    kind = getattr(importlib.import_module(plan.package), plan.algorithm)
    imports.freeze()
    env = making.make(plan, training=True)
    save_to_pkl(folder.path / SPACES, making.spaces_of(env, plan))
    newest = folder.checkpoint()
    restored = Restored(kind, newest, env, plan) if newest else None
    model = restored.model if restored else _new(kind, folder, plan, env)
    metrics = MetricsFile(folder.metrics)
    outputs: list[Any] = [Lines(metrics)]
    if plan.tensorboard:
        outputs.append(Board(folder.tensorboard, since=model.num_timesteps if restored else None))
    model.set_logger(Logger(None, outputs))
    watch = Watch(
        plan,
        folder,
        metrics,
        wishes,
        evaluation=lambda: making.make(plan, training=False, taken=True),
        restored=restored,
    )
    more: dict[str, Any] = {"use_masking": _masks(env)} if plan.algorithm == "MaskablePPO" else {}
    try:
        if (left := plan.total_timesteps - model.num_timesteps) > 0:
            with contextlib.suppress(Stopped):
                model.learn(left, callback=watch, reset_num_timesteps=restored is None, **more)
        finish(folder, plan, model, watch, stopped=wishes.stop)
    except Paused:
        model.logger.close()
        folder.end(ExperimentState.PAUSED, timesteps=model.num_timesteps, exit_code=0)
    finally:
        metrics.close()
        env.close()
        watch.close()


def _new(kind: Any, folder: Folder, plan: TrainingPlan, env: Any) -> Any:
    """A model at its very beginning, or where its parent ended."""
    model = kind(env=env, seed=plan.seed, **arguments(plan, env))
    if plan.parent_model:
        from gymserve.training.runners import inheriting

        inheriting.take_over(model, folder.path / "parent")
    return model


def finish(folder: Folder, plan: TrainingPlan, model: Any, watch: Any, *, stopped: bool) -> None:
    """Keeps the model, and evaluates one that is trained to the end, whose best episode is kept too."""
    from gymserve.training.runners import best_episode

    with replacing(folder.path / "model.zip") as fresh:
        model.save(fresh)
    if model.get_vec_normalize_env() is not None:
        model.get_vec_normalize_env().save(str(folder.path / "normalize.pkl"))
    found = {} if stopped or not plan.evaluation.episodes else watch.evaluate()
    if found and (best := watch.best_episode()) is not None:
        best_episode.keep(best, plan, folder.path)
    model.logger.close()
    state = ExperimentState.STOPPED if stopped else ExperimentState.COMPLETED
    folder.end(state, timesteps=model.num_timesteps, evaluation=found, exit_code=0)


def arguments(plan: TrainingPlan, env: Any) -> dict[str, Any]:
    """The constructor's arguments, for what a plan says in plain data."""
    from gymserve.training.runners import plain

    given = {"policy": plan.policy, **plan.hyperparameters, "device": plan.device, "verbose": 0}
    return plain.arguments(given, env)


def _masks(env: Any) -> bool:
    from sb3_contrib.common.maskable.utils import is_masking_supported

    return bool(is_masking_supported(env))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
