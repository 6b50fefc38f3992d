"""The sub-command `gym_http_server.py train`: runs an experiment, with or without a running server."""

import argparse
import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from gymserve.environments import Catalogue
from gymserve.protocol.errors import Conflict, InvalidRequest
from gymserve.settings import Settings
from gymserve.store import Database
from gymserve.store.models import Experiment
from gymserve.system.locks import try_lock
from gymserve.training.experiments.lifecycle import Experiments
from gymserve.training.experiments.metrics import Metrics
from gymserve.training.plan import programs
from gymserve.training.plan.checker import Checker
from gymserve.training.plan.states import ExperimentState
from gymserve.training.scheduling.scheduler import TICK_SECONDS, supervision_of

LEASE = "training"  # the process that holds this lock runs the scheduler
SHOW_SECONDS = 2.0


def train(database: Database, settings: Settings, options: argparse.Namespace) -> None:
    """Creates an experiment, shows its progress until it ends, and prints its results; Ctrl-C stops it."""
    try:
        hyperparameters = json.loads(options.hyperparameters)
    except ValueError:
        raise InvalidRequest("--hyperparameters must be a JSON object") from None
    catalogue = Catalogue.of(settings)
    checker = Checker(
        catalogue,
        programs.read(settings.RUNNERS),
        catalogue.spaces,
        minutes=settings.DEFAULT_TIMEOUT_MINUTES,
        servers=settings.TRAINING_SERVERS,
    )
    folder = Path(settings.DATA).resolve() / "experiments"
    experiments = Experiments(database, checker, folder, most=settings.ACCOUNT_EXPERIMENTS)
    names = ("algorithm", "environment", "total_timesteps", "seed", "n_envs", "tuned")
    params: dict[str, Any] = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    row = experiments.create(None, {**params, "title": options.name, "hyperparameters": hyperparameters})
    row = experiments.start(row)
    print(f"experiment {row.name}, in {folder / row.name}", flush=True)
    row = _follow(experiments, Metrics(database), settings, row)
    print(f"{row.state} after {row.timesteps} timesteps" + (f": {row.reason}" if row.reason else ""))
    print(json.dumps(experiments.results(row)["final_evaluation"]))


def _follow(experiments: Experiments, metrics: Metrics, settings: Settings, row: Experiment) -> Experiment:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # like the scheduler
    interrupts: list[int] = []  # instead of exceptions, which could occur anywhere and leave the experiment running
    signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    supervision, shown = supervision_of(settings), time.monotonic()
    while ExperimentState((row := experiments.again(row)).state).is_active:
        if interrupts:
            interrupts.clear()
            with contextlib.suppress(Conflict, InvalidRequest):  # the experiment has ended in the meantime
                row = experiments.stop(row)
        if (lease := try_lock(Path(settings.DATA) / LEASE)) is not None:  # else a server runs the scheduler
            try:
                supervision.tick()
            finally:
                os.close(lease)
        time.sleep(TICK_SECONDS)
        if time.monotonic() > shown + SHOW_SECONDS:
            shown = time.monotonic()
            mean = metrics.summary(row)["avg_reward_last_100"]
            print(f"{row.timesteps:>12} timesteps, mean return {mean if mean is None else round(mean, 2)}", flush=True)
    return row
