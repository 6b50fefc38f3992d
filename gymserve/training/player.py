"""`python -m gymserve.training.player`: plays submissions with models, each in a thread, in the instances that agents use.

It reads the server's settings as JSON from standard input, and ends with it. What it was playing then is played on by the
next one.
"""

import contextlib
import logging
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gymserve import errors
from gymserve.background import begin
from gymserve.environments import Catalogue
from gymserve.hosts.instances import Instances
from gymserve.training.submitting import Order, Orders

ATTEMPTS = 3  # at a submission that ends the process, without getting on
IDLE_SECONDS = 30.0
LOOK_SECONDS = 0.2
log = logging.getLogger("gymserve.training")


def main() -> int:
    """Plays until there has been nothing to do for a while."""
    configuration = begin()
    data = Path(configuration.DATA).resolve()
    players = Players(Orders(data / "playing"), Instances(configuration, Catalogue.of(configuration)), data / "models")
    busy = time.monotonic()
    while time.monotonic() < busy + IDLE_SECONDS:
        if players.look():
            busy = time.monotonic()
        time.sleep(LOOK_SECONDS)
    return 0


class Players:
    """Args: models: the folder of all models."""

    def __init__(self, orders: Orders, instances: Instances, models: Path) -> None:
        self.orders, self.instances, self.models = orders, instances, models
        self._threads: dict[str, threading.Thread] = {}

    def look(self) -> bool:
        """Begins with what is not being played; whether anything is."""
        self._threads = {name: thread for name, thread in self._threads.items() if thread.is_alive()}
        for order in self.orders.waiting():
            if order.submission not in self._threads:
                thread = threading.Thread(target=self.carry_out, args=(order,), daemon=True)
                self._threads[order.submission] = thread
                thread.start()
        return bool(self._threads)

    def carry_out(self, order: Order) -> None:
        """Plays a submission to its end. One that cannot be played is closed as it stands, which its state then says."""
        try:
            seq = self.instances.describe(order.token)["seq"] or 0
            attempts = order.attempts + 1 if seq == order.seq else 1
            if attempts > ATTEMPTS:
                raise errors.EnvironmentFailed(f"given up after {ATTEMPTS} attempts that ended the process")
            self.orders.place(replace(order, attempts=attempts, seq=seq))
            play(self.instances, order.token, self.models / order.model)
        except errors.UnknownInstance:
            pass  # it was closed, or its time was up
        except Exception as error:
            log.warning("submission %s cannot be played on: %s: %s", order.submission, type(error).__name__, error)
        with contextlib.suppress(errors.GymserveError):
            self.instances.close(order.token)
        self.orders.done(order)


def play(instances: Instances, token: str, model: Path) -> None:
    """Plays what is left of an instance's trials with the model in a folder.

    A policy with a memory (recurrent, or of stacked observations) that goes on in the midst of a trial begins it anew.

    Raises:
        UnknownInstance: the instance is gone.
        GymserveError: it cannot be played on.
    """
    import torch

    from gymserve.training.answering import Loaded
    from gymserve.training.graded import Over, Trials
    from gymserve.training.runners import making

    torch.set_num_threads(1)
    loaded = Loaded(model, model / "model.zip")
    state: Any = None
    starts = np.ones(1, bool)
    with contextlib.suppress(Over):
        env = making.around(Trials(instances, token), loaded.order)
        observation: Any = env.reset()
        while True:
            shown = observation if loaded.normal is None else loaded.normal.normalize_obs(observation)
            actions, state = loaded.model.predict(shown, state=state, episode_start=starts, deterministic=True)
            observation, _, starts, _ = env.step(actions)


if __name__ == "__main__":
    sys.exit(main())
