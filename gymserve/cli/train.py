"""`gym_http_server.py train`: an experiment without a server, or beside one."""

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

LEASE = "training"  # who holds it runs the scheduler
SHOW_SECONDS = 2.0


def train(database: Database, settings: Settings, asked: argparse.Namespace) -> None:
    """Creates an experiment, follows it to its end, and tells what came out. Ctrl-C stops it."""
    try:
        hyperparameters = json.loads(asked.hyperparameters)
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
    given: dict[str, Any] = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    row = experiments.create(None, {**given, "title": asked.name, "hyperparameters": hyperparameters})
    row = experiments.start(row)
    print(f"experiment {row.name}, in {folder / row.name}", flush=True)
    row = _follow(experiments, Metrics(database), settings, row)
    print(f"{row.state} after {row.timesteps} timesteps" + (f": {row.reason}" if row.reason else ""))
    print(json.dumps(experiments.results(row)["final_evaluation"]))


def _follow(experiments: Experiments, metrics: Metrics, settings: Settings, row: Experiment) -> Experiment:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # as the scheduler does
    interrupts: list[int] = []  # not as exceptions, which could come anywhere and leave the experiment behind
    signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    supervision, shown = supervision_of(settings), time.monotonic()
    while ExperimentState((row := experiments.again(row)).state).is_active:
        if interrupts:
            interrupts.clear()
            with contextlib.suppress(Conflict, InvalidRequest):  # it has ended meanwhile
                row = experiments.stop(row)
        if (lease := try_lock(Path(settings.DATA) / LEASE)) is not None:  # else a server does it
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
