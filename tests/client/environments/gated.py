"""An environment whose steps a test holds back, and counts."""

import os
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

GO, WAIT, FAIL, END = range(4)


class Gated(gymnasium.Env[np.ndarray, int]):
    """Counts its steps, and writes a line for each into the file `steps` of its folder.

    Until the folder has a file `open`, the action WAIT waits, after it has written the process' id into the file
    `waits`, FAIL fails, a reset after END fails, and not more than two can be made, if the folder is called `scarce`.
    """

    action_space = spaces.Discrete(4)
    observation_space = spaces.Box(0, 1e9, (1,), np.float64)

    over = False

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        with (self.folder / "made").open("a+") as file:
            file.write("x")
            file.flush()
            if self.folder.name == "scarce" and (self.folder / "made").stat().st_size > 2 and not self.is_open():
                raise RuntimeError("there is no third one")

    def is_open(self) -> bool:
        return (self.folder / "open").exists()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        if self.over and not self.is_open():
            raise RuntimeError("the gate is closed")
        self.count = 0
        return np.array([0.0]), {}

    def step(self, action: int) -> Any:
        if action == WAIT:
            (self.folder / "waits").write_text(f"{os.getpid()}")
            while not self.is_open():
                time.sleep(0.01)
        elif action == FAIL and not self.is_open():
            raise RuntimeError("the gate is closed")
        self.count += 1
        with (self.folder / "steps").open("a") as file:
            file.write(f"{action}\n")
        self.over = action == END
        return np.array([float(self.count)]), float(action), self.over, False, {}


gymnasium.register("Gated-v0", entry_point=Gated, disable_env_checker=True, order_enforce=False)
