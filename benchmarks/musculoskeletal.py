"""Compares the OpenSim environments with osim-rl 3.0.11: python -m benchmarks.musculoskeletal RELEASE [PYTHON]

RELEASE is the folder of osim-rl's unpacked release; PYTHON an interpreter with opensim 4.6 and `scipy<1.14` (by default this
one, with a replacement for scipy's interpolation). Both play the same episodes in alternation. The figures are medians of
processor time, since the machine may be shared.
"""

import statistics
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from gymserve.environments import opensim
from tests.environments.opensim.original import record
from tests.environments.opensim.original.osim_rl import Scenario

ROUNDS = 3
BOTH = {
    "Arm2D, another action each step": Scenario("Arm2D", seed=3, steps=100, every=1000),
    "Arm2D, one action": Scenario("Arm2D", seed=1, steps=200, every=1000, hold=200, strength=0.2),
    "L2M2019 3D, another action each step": Scenario("L2M2019", seed=1, steps=60, every=1000),
    "L2M2019 3D, one low action": Scenario("L2M2019", seed=1, steps=60, every=1000, hold=60, strength=0.1),
    "L2M2019 2D, another action each step": Scenario("L2M2019", seed=1, steps=60, every=1000, model="2D"),
}
OURS = {"Prosthetics": {}, "Prosthetics, difficulty 1, dict": {"difficulty": 1, "observation": "dict"}, "Run": {}}


def ours(scenario: Scenario) -> float:
    """Steps per second of processor time."""
    kwargs = {} if scenario.env == "Arm2D" else {"model": scenario.model, "difficulty": scenario.difficulty}
    return _rate(f"osim/{scenario.env}-v0", kwargs, scenario.actions(), scenario.seed)


def _rate(env_id: str, kwargs: dict[str, Any], actions: np.ndarray, seed: int) -> float:
    env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    env.reset(seed=seed)
    began = time.process_time()
    for action in actions:
        env.step(action)
    return len(actions) / (time.process_time() - began)


def main() -> None:
    opensim.register()
    release = Path(sys.argv[1])
    python = sys.argv[2] if len(sys.argv) > 2 else sys.executable
    print("| episode | osim-rl 3.0.11 | gymserve | ratio |\n|---|---|---|---|")
    for name, scenario in BOTH.items():
        pairs = []
        for _ in range(ROUNDS):
            (answer,) = record.answers(release, python, (scenario,))
            pairs.append((scenario.steps / answer["seconds"], ours(scenario)))
        original_rate, our_rate = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = statistics.median(new / old for old, new in pairs)
        print(f"| {name} | {original_rate:.0f} | {our_rate:.0f} | {ratio:.2f} |", flush=True)
    for name, kwargs in OURS.items():
        env_id = f"osim/{name.partition(',')[0]}-v0"
        muscles = 18 if name == "Run" else 19
        actions = np.random.default_rng(1).random((60, muscles))
        rates = [_rate(env_id, kwargs, actions, 1) for _ in range(ROUNDS)]
        print(f"| {name}, another action each step | | {statistics.median(rates):.0f} | |", flush=True)


if __name__ == "__main__":
    main()
