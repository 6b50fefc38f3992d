"""Runs of the sb3 runner without a server: a plan, its process and its files."""

import json
from pathlib import Path
from typing import Any

from gymserve.system import interpreters
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners import processes
from gymserve.training.runners.folder import Folder
from gymserve.training.runners.processes import Child
from gymserve.training.runners.warm import Warm

PLAN: dict[str, Any] = {
    "package": "stable_baselines3", "policy": "MlpPolicy", "hyperparameters": {}, "seed": 1,
    "total_timesteps": 1000, "n_envs": 1, "evaluation": {"every": 0, "episodes": 0, "deterministic": True},
    "checkpoint_every": 0, "tensorboard": False, "device": "cpu",
}  # fmt: skip
SECONDS = 600.0  # generous, for a busy machine
SB3 = "gymserve.training.runners.sb3"
PAUSING = "tests.training.runners.pausing"


def start(run: "Run", warm: Warm | None, **own: str) -> Child | None:
    """Start a runner in its own folder; return None if one is already running."""
    return processes.start(run.folder, SB3, interpreters.variables(own), directory=run.folder.path, warm=warm)


class Run:
    """One experiment's folder, and the processes that `warm` forks for it."""

    def __init__(self, path: Path, **plan: Any) -> None:
        self.folder = Folder(path)
        self.folder.prepare(TrainingPlan.from_dict({**PLAN, **plan, "modules": [PAUSING, *plan.get("modules", ())]}))

    def start(self, warm: Warm, *, pause_after: int = 0) -> Child:
        self.folder.prepare(self.folder.training_plan())
        self.folder.keep_metrics(self.folder.metrics_to_keep())
        child = start(self, warm, PAUSE_AFTER=str(pause_after))
        assert child is not None
        return child

    def to_the_end(self, warm: Warm) -> dict[str, Any]:
        self.start(warm).wait(SECONDS)
        return self._outcome()

    def until_paused(self, warm: Warm, after: int) -> dict[str, Any]:
        """Run until it has written `after` lines of metrics and pauses itself there (a signal from outside might be late)."""
        self.start(warm, pause_after=after).wait(SECONDS)
        return self._outcome()

    def _outcome(self) -> dict[str, Any]:
        outcome = self.folder.outcome()
        assert outcome is not None, self.folder.log.read_text()
        return outcome

    def lines(self) -> list[list[Any]]:
        """(timestep, values), without values that depend on time."""
        if not self.folder.metrics.exists():
            return []
        rows = []
        for line in self.folder.metrics.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                timestep, values = json.loads(line)
                rows.append([timestep, {name: value for name, value in values.items() if name != "time/fps"}])
        return rows
