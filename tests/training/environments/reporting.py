"""An environment that reports on its process."""

import json
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

numpy_module: Any = np
numpy_module.imports = getattr(np, "imports", 0) + 1  # state that a run leaves in a library


class Reporting(gymnasium.Env[np.ndarray, int]):
    """Writes `report.json` into the working directory when it is created; its episodes last ten steps."""

    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)

    def __init__(self) -> None:
        print("what a program prints", flush=True)
        report = {
            "directory": os.getcwd(),
            "leads its session and group": os.getsid(0) == os.getpgid(0) == os.getpid(),
            "variables": dict(os.environ),
            "descriptors": sorted({os.readlink(f"/proc/self/fd/{name}") for name in _descriptors()}),
            "signals": [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD)],
            "threads": threading.active_count(),
            "imports of other runs": numpy_module.imports,
            "random": [random.random(), float(np.random.random())],
        }
        Path("report.json").write_text(json.dumps(report))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.left = 10
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> Any:
        self.left -= 1
        return np.zeros(1, np.float32), 1.0, self.left == 0, False, {}


def _descriptors() -> list[str]:
    """List the open descriptors, except the one reading the list and those of files in the run's folder."""
    names = []
    for name in os.listdir("/proc/self/fd"):
        if os.path.exists(f"/proc/self/fd/{name}") and not os.readlink(f"/proc/self/fd/{name}").startswith(os.getcwd()):
            names.append(name)
    return names


gymnasium.register("Reporting-v0", entry_point=Reporting, disable_env_checker=True)
