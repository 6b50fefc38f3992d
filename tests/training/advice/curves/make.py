"""`python -m tests.training.advice.curves.make [case …]`: really trains, mostly badly, and records the curves beside this file.

Each file holds what the experiment was asked, and the metrics that the assistant reads: name → [timesteps, values].
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from gymserve.web.training.advice import READ
from tests.training.conftest import Trainer

CASES: dict[str, dict[str, Any]] = {
    "rate-too-high": {
        "algorithm": "PPO", "total_timesteps": 12_288, "hyperparameters": {"learning_rate": 0.05, "n_steps": 512},
    },
    "collapse": {
        "algorithm": "PPO", "total_timesteps": 50_000, "hyperparameters": {"learning_rate": 0.01, "n_steps": 256},
    },
    "no-exploration": {
        "algorithm": "DQN", "total_timesteps": 6000,
        "hyperparameters": {"exploration_fraction": 0.001, "exploration_final_eps": 0.0, "learning_starts": 100},
    },
    "never-starts": {"algorithm": "DQN", "total_timesteps": 4000, "hyperparameters": {"learning_starts": 5000}},
    "clipped-away": {
        "algorithm": "PPO", "total_timesteps": 8192,
        "hyperparameters": {"clip_range": 0.001, "learning_rate": 1e-7, "n_steps": 512},
    },
    "plateau": {"algorithm": "PPO", "total_timesteps": 50_000, "hyperparameters": {"gamma": 0.8, "n_steps": 512}},
    "ceiling": {"algorithm": "PPO", "total_timesteps": 40_000, "tuned": True, "max_episode_steps": 100},
    "good": {"algorithm": "PPO", "total_timesteps": 30_000, "tuned": True},
}  # fmt: skip


def record(trainer: Trainer, settings: dict[str, Any]) -> dict[str, Any]:
    """What was asked, with what an experiment is told besides, and its curves."""
    name = trainer.started(seed=1, **settings)
    row = trainer.until(name, "completed", seconds=1200)
    curves: dict[str, tuple[list[int], list[float]]] = {}
    points = trainer.get(f"/experiments/{name}/metrics?names={','.join(READ)}&points=500").json["metrics"]
    for point in points:
        for metric, value in point.items():
            if metric != "timestep" and value is not None:
                timesteps, values = curves.setdefault(metric, ([], []))
                timesteps.append(point["timestep"])
                values.append(float(f"{value:.5g}"))
    kept = {key: row[key] for key in ("algorithm", "environment", "hyperparameters", "total_timesteps")}
    return kept | {"n_envs": row["parameters"]["n_envs"], "curves": curves}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(Path(folder) / "data")
        try:
            for case in sys.argv[1:] or CASES:
                text = json.dumps(record(trainer, CASES[case]), separators=(",", ":"))
                Path(__file__).with_name(f"{case}.json").write_text(text + "\n")
        finally:
            trainer.stop()
            trainer.end_experiments()


if __name__ == "__main__":
    main()
