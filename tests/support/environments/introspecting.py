"""An environment that records facts about its interpreter, by which a program can distinguish one from another."""

import json
import locale
import os
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from gymserve.hosts.child_processes import MARK


def facts() -> dict[str, Any]:
    """The facts that must be the same in all interpreters of a server."""
    return {
        "order": list({"a", "set", "of", "strings"}),
        "variables": {name: value for name, value in os.environ.items() if name != MARK},
        "directory": os.getcwd(),
        "files": sorted(name for name in os.listdir() if name.endswith(".txt")),
        "zone": time.tzname,
        "locale": locale.setlocale(locale.LC_ALL),
        "encoding": sys.getfilesystemencoding(),
    }


class Introspecting(gymnasium.Env[np.ndarray, int]):
    """Writes the facts to `<module>.json` in the folder $FACTS_FOLDER when it is reset."""

    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        name = sys.orig_argv[3]  # the module that python -m runs
        Path(os.environ["FACTS_FOLDER"], f"{name}.json").write_text(json.dumps(facts()))
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> Any:
        return np.zeros(1, np.float32), 1.0, True, False, {}

    def render(self) -> Any:
        return np.zeros((16, 16, 3), np.uint8)


gymnasium.register("Introspecting-v0", entry_point=Introspecting, disable_env_checker=True)
