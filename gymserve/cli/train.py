"""`gymserve train`: runs an experiment, with or without a running server."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import click

from gymserve.accounts import Accounts
from gymserve.cli.accounts import open_accounts
from gymserve.cli.settings import read_settings
from gymserve.environments import Catalogue
from gymserve.protocol.errors import Conflict, InvalidRequest
from gymserve.settings import Settings
from gymserve.store.models import Experiment
from gymserve.system.locks import try_lock
from gymserve.system.terminal.commands import DATA, FAILED, SETTINGS, with_options
from gymserve.training.experiments.lifecycle import Experiments
from gymserve.training.experiments.metrics import Metrics
from gymserve.training.plan import programs
from gymserve.training.plan.checker import Checker
from gymserve.training.plan.states import ExperimentState
from gymserve.training.scheduling.scheduler import TICK_SECONDS, supervision_of

LEASE = "training"  # the process that holds this lock runs the scheduler
SHOW_SECONDS = 2.0


@click.command
@click.argument("name")
@click.option("--algorithm", required=True, help="For example PPO.")
@click.option("--environment", required=True, help="For example CartPole-v1.")
@click.option("--timesteps", "total_timesteps", type=int, help="How long to train.  [default: the algorithm's]")
@click.option("--seed", type=int, help="The same seed gives the same run.  [default: a random one]")
@click.option("--n-envs", type=int, help="Copies of the environment.  [default: the algorithm's]")
@click.option("--tuned", is_flag=True, default=None, help="Start with hyperparameters that are known to learn well.")
@click.option("--hyperparameters", default="{}", metavar="JSON", help="Hyperparameters by name.")
@with_options(SETTINGS, DATA)
def train(name: str, hyperparameters: str, **params: object) -> int:
    """Trains a policy, and shows its progress until it ends; Ctrl-C stops it.

    \b
    Example: gymserve train pole --algorithm PPO --environment CartPole-v1 --tuned
    """
    try:
        chosen = json.loads(hyperparameters)
    except ValueError:
        raise InvalidRequest("--hyperparameters must be a JSON object") from None
    settings = read_settings()
    with open_accounts(settings) as accounts:
        experiments, metrics = _experiments(settings, accounts), Metrics(accounts.database)
        params = {key: value for key, value in params.items() if value is not None}
        row = experiments.start(experiments.create(None, {**params, "title": name, "hyperparameters": chosen}))
        click.echo(f"experiment {row.name}, in {experiments.folder / row.name}")
        row = _follow(experiments, metrics, settings, row)
        click.echo(f"{row.state} after {row.timesteps} timesteps" + (f": {row.reason}" if row.reason else ""))
        if evaluation := experiments.results(row)["final_evaluation"]:
            click.echo(json.dumps(evaluation))
        return FAILED if row.state == ExperimentState.FAILED else 0


def _experiments(settings: Settings, accounts: Accounts) -> Experiments:
    catalogue = Catalogue.of(settings)
    checker = Checker(
        catalogue,
        programs.read(settings.RUNNERS),
        catalogue.spaces,
        minutes=settings.DEFAULT_TIMEOUT_MINUTES,
        servers=settings.TRAINING_SERVERS,
    )
    folder = Path(settings.DATA).resolve() / "experiments"
    return Experiments(accounts.database, checker, folder, most=settings.ACCOUNT_EXPERIMENTS)


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
            text = "no episode has ended yet" if mean is None else f"mean return {mean:.2f}"
            click.echo(f"{row.timesteps:>12} timesteps, {text}")
    return row
