"""`python -m gymserve.training.runners.sb3 FOLDER`: trains with Stable-Baselines3 or sb3-contrib, as the order says."""

import contextlib
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from gymserve.training.runners.folder import Folder, MetricsFile


def main() -> int:
    folder = Folder(Path(sys.argv[1]))
    folder.note_process(os.getpid())
    order = folder.order()
    try:
        train(folder, order)
    except MemoryError:
        folder.end("failed", reason="it ran out of memory", exit_code=1)
        return 1
    except Exception as error:
        traceback.print_exc()
        text = str(error).partition("\n")[0]
        folder.end("failed", reason=f"{type(error).__name__}: {text}"[:500], exit_code=1)
        return 1
    return 0


def train(folder: Folder, order: dict[str, Any]) -> None:
    """Trains until the order is filled, or a signal asks otherwise, and says what became of it."""
    from gymserve.training.runners.watching import Board, Lines, Paused, Stopped, Watch, Wishes

    wishes = Wishes()  # before anything that takes long
    import torch
    from stable_baselines3.common.logger import Logger

    from gymserve.training.runners import making
    from gymserve.training.runners.checkpoint import Restored

    torch.set_num_threads(1)
    kind = getattr(importlib.import_module(order["package"]), order["algorithm"])
    env = making.make(order, training=True)
    newest = folder.checkpoint()
    told = {"device": order["device"], "hyperparameters": order["hyperparameters"]}
    restored = Restored(kind, newest, env, **told) if newest else None
    model = restored.model if restored else _new(kind, folder, order, env)
    metrics = MetricsFile(folder.metrics)
    outputs: list[Any] = [Lines(metrics)]
    if order["tensorboard"]:
        outputs.append(Board(folder.tensorboard, since=model.num_timesteps if restored else None))
    model.set_logger(Logger(None, outputs))
    watch = Watch(
        order,
        folder,
        metrics,
        wishes,
        evaluation=lambda: making.make(order, training=False, taken=True),
        restored=restored,
    )
    more: dict[str, Any] = {"use_masking": _masks(env)} if order["algorithm"] == "MaskablePPO" else {}
    try:
        if (left := order["total_timesteps"] - model.num_timesteps) > 0:
            with contextlib.suppress(Stopped):
                model.learn(left, callback=watch, reset_num_timesteps=restored is None, **more)
        finish(folder, order, model, watch, stopped=wishes.stop)
    except Paused:
        model.logger.close()
        folder.end("paused", timesteps=model.num_timesteps, exit_code=0)
    finally:
        metrics.flush()
        env.close()
        watch.close()


def _new(kind: Any, folder: Folder, order: dict[str, Any], env: Any) -> Any:
    """A model at its very beginning, or where its parent ended."""
    model = kind(env=env, seed=order["seed"], **arguments(order, env))
    if order.get("parent_model"):
        from gymserve.training.runners import inheriting

        inheriting.take_over(model, folder.path / "parent")
    return model


def finish(folder: Folder, order: dict[str, Any], model: Any, watch: Any, *, stopped: bool) -> None:
    """Keeps the model, and evaluates one that is trained to the end, whose best episode is kept too."""
    from gymserve.training.runners import taking

    fresh = folder.path / "model.new.zip"
    model.save(fresh)
    os.replace(fresh, folder.path / "model.zip")
    if model.get_vec_normalize_env() is not None:
        model.get_vec_normalize_env().save(str(folder.path / "normalize.pkl"))
    found = {} if stopped or not order["evaluation"]["episodes"] else watch.evaluate()
    if found and (best := watch.best_episode()) is not None:
        taking.keep(best, order, folder.path)
    model.logger.close()
    state = "stopped" if stopped else "completed"
    folder.end(state, timesteps=model.num_timesteps, evaluation=found, exit_code=0)


def arguments(order: dict[str, Any], env: Any) -> dict[str, Any]:
    """The constructor's arguments, for what an order says in plain data."""
    from gymserve.training.runners import plain

    given = {"policy": order["policy"], **order["hyperparameters"], "device": order["device"], "verbose": 0}
    return plain.arguments(given, env)


def _masks(env: Any) -> bool:
    from sb3_contrib.common.maskable.utils import is_masking_supported

    return bool(is_masking_supported(env))


if __name__ == "__main__":
    sys.exit(main())
