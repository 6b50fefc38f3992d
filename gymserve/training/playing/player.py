"""`python -m gymserve.training.playing.player`: plays submissions with models, each in a thread, in ordinary instances.

It reads the server's settings as JSON from standard input, and exits when that closes. The next player continues what it was
playing.
"""

import contextlib
import logging
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from gymserve.hosts.pool.instances import Instances
from gymserve.protocol import errors
from gymserve.protocol.generics import Value
from gymserve.system.background import ATTEMPTS, begin, work
from gymserve.training.playing.assignments import Assignment, Assignments

LOOK_SECONDS = 0.2
log = logging.getLogger("gymserve.training")


def main() -> int:
    """Play until there has been nothing to do for a while."""
    configuration = begin()
    data = Path(configuration.DATA).resolve()
    players = Players(Assignments(data / "playing"), Instances.of(configuration), data / "models")
    work(players.look, pause=LOOK_SECONDS)
    return 0


class Players:
    """The threads that play.

    Args:
        models: the folder of all models.
    """

    def __init__(self, assignments: Assignments, instances: Instances, models: Path) -> None:
        self.assignments, self.instances, self.models = assignments, instances, models
        self._threads: dict[str, threading.Thread] = {}

    def look(self) -> bool:
        """Start the assignments that are not being played yet; return whether any is being played."""
        self._threads = {name: thread for name, thread in self._threads.items() if thread.is_alive()}
        for assignment in self.assignments.waiting():
            if assignment.submission not in self._threads:
                thread = threading.Thread(target=self.carry_out, args=(assignment,), daemon=True)
                self._threads[assignment.submission] = thread
                thread.start()
        return bool(self._threads)

    def carry_out(self, assignment: Assignment) -> None:
        """Play a submission to its end; close one that cannot be played, which its state then shows."""
        try:
            seq = self.instances.describe(assignment.token)["seq"] or 0
            if seq != assignment.seq:  # it has made progress since
                assignment = replace(assignment, attempts=0, seq=seq)
            if assignment.attempts >= ATTEMPTS:
                raise errors.EnvironmentFailed(f"given up after {ATTEMPTS} attempts that ended the process")
            self.assignments.begin(assignment)
            play(self.instances, assignment.token, self.models / assignment.model)
        except errors.UnknownInstance:
            pass  # it was closed or has expired
        except Exception as error:
            log.warning("submission %s cannot be played on: %s: %s", assignment.submission, type(error).__name__, error)
        with contextlib.suppress(errors.GymserveError):
            self.instances.close(assignment.token)
        self.assignments.remove(assignment)


def play(instances: Instances, token: str, model: Path) -> None:
    """Play an instance's remaining trials with the model in a folder.

    A policy with a memory (recurrent, or with stacked observations) that resumes within a trial starts with an empty one.

    Raises:
        UnknownInstance: the instance is gone.
        GymserveError: it cannot be played further.
    """
    import torch

    from gymserve.training.inference.model_server import Loaded
    from gymserve.training.playing.graded import GradedTrials, Over
    from gymserve.training.runners import vector_env

    torch.set_num_threads(1)
    loaded = Loaded(model, model / "model.zip")
    state: Value = None
    starts = np.ones(1, bool)
    with contextlib.suppress(Over):
        env = vector_env.around(GradedTrials(instances, token), loaded.plan)
        observation: Value = env.reset()
        while True:
            shown = observation if loaded.normal is None else loaded.normal.normalize_obs(observation)
            actions, state = loaded.model.predict(shown, state=state, episode_start=starts, deterministic=True)
            observation, _, starts, _ = env.step(actions)


if __name__ == "__main__":
    sys.exit(main())
