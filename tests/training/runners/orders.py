"""Runs of the sb3 runner without a server: an order, its process, what it wrote."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from gymserve.training.runners.folder import Folder
from tests.servers import ROOT, wait_for

ORDER: dict[str, Any] = {
    "runner": "sb3", "package": "stable_baselines3", "policy": "MlpPolicy", "hyperparameters": {}, "seed": 1,
    "total_timesteps": 1000, "n_envs": 1, "evaluation": {"every": 0, "episodes": 0, "deterministic": True},
    "checkpoint_every": 0, "tensorboard": False, "device": "cpu",
}  # fmt: skip


class Run:
    """One experiment's folder, and the processes that work in it."""

    def __init__(self, path: Path, **order: Any) -> None:
        self.folder = Folder(path)
        self.folder.prepare(ORDER | order)

    def start(self) -> subprocess.Popen[bytes]:
        self.folder.prepare(self.folder.order())
        self.folder.keep_metrics(self.folder.metrics_to_keep())
        with open(self.folder.log, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "gymserve.training.runners.sb3", str(self.folder.path)],
                stdout=log, stderr=log, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def to_the_end(self) -> dict[str, Any]:
        self.start().wait(120)
        outcome = self.folder.outcome()
        assert outcome is not None, self.folder.log.read_text()
        return outcome

    def until_paused(self, after: int) -> dict[str, Any]:
        """Runs until it has written `after` lines of metrics, and pauses it."""
        process = self.start()
        wait_for(lambda: process.poll() is not None or len(self.lines()) >= after, 60)
        process.send_signal(signal.SIGUSR1)
        process.wait(60)
        outcome = self.folder.outcome()
        assert outcome is not None, self.folder.log.read_text()
        return outcome

    def lines(self) -> list[list[Any]]:
        """(timestep, values), but what depends on the clock."""
        if not self.folder.metrics.exists():
            return []
        rows = []
        for line in self.folder.metrics.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                timestep, values = json.loads(line)
                rows.append([timestep, {name: value for name, value in values.items() if name != "time/fps"}])
        return rows
