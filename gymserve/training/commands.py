"""`gym_http_server.py train`: an experiment without a server, or beside one."""

import argparse
import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gymserve.environments import Catalogue
from gymserve.errors import Conflict, InvalidRequest
from gymserve.settings import Settings
from gymserve.store import Database
from gymserve.store.models import Experiment
from gymserve.training.experiments import AT_REST, Experiments
from gymserve.training.metrics import Metrics
from gymserve.training.orders import Checker
from gymserve.training.runners import programs
from gymserve.training.scheduler import TICK_SECONDS, supervision_of

LEASE = "training"  # who holds it runs the scheduler
SHOW_SECONDS = 2.0


def train(database: Database, settings: Settings, asked: argparse.Namespace) -> None:
    """Creates an experiment, follows it to its end, and tells what came out. Ctrl-C stops it."""
    try:
        hyperparameters = json.loads(asked.hyperparameters)
    except ValueError:
        raise InvalidRequest("--hyperparameters must be a JSON object") from None
    catalogue = Catalogue.of(settings)
    checker = Checker(settings, catalogue, programs.read(settings.RUNNERS), catalogue.spaces)
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
    while (row := experiments.again(row)).state not in AT_REST:
        if interrupts:
            interrupts.clear()
            with contextlib.suppress(Conflict, InvalidRequest):  # it has ended meanwhile
                row = experiments.stop(row)
        with _lease(Path(settings.DATA)) as ours:  # else a server does it
            if ours:
                supervision.tick()
        time.sleep(TICK_SECONDS)
        if time.monotonic() > shown + SHOW_SECONDS:
            shown = time.monotonic()
            mean = metrics.summary(row)["avg_reward_last_100"]
            print(f"{row.timesteps:>12} timesteps, mean return {mean if mean is None else round(mean, 2)}", flush=True)
    return row


@contextlib.contextmanager
def _lease(data: Path) -> Iterator[bool]:
    """Holds the scheduler's lease, if nobody does: gives whether it does now."""
    descriptor = os.open(data / LEASE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
