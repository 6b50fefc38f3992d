"""Trains `controller.py` with an evolution strategy: python train.py [generations] [--resume]

Each generation tries ten random variations of a mean; the next mean is the average of the best three and the best ever. The
first few steps take half an hour to learn, and running takes days. The environment is on the server GYMSERVE_SERVER, if that
is set, or else in this process.
"""

import json
import os
import sys
from typing import Any

import numpy as np
from controller import MUSCLES, SIZE, TERMS, WEIGHTS, Controller

CANDIDATES, PARENTS = 10, 3
STEPS = 500


def environment() -> Any:
    """Learning to Run without obstacles."""
    if os.environ.get("GYMSERVE_SERVER"):
        from gymserve import client

        return client.make("Run", difficulty=0, max_obstacles=0, max_episode_steps=STEPS)
    import gymnasium

    from gymserve.environments import opensim

    opensim.register()
    return gymnasium.make("osim/Run-v0", difficulty=0, max_obstacles=0, max_episode_steps=STEPS)


def fitness(env: Any, weights: np.ndarray) -> tuple[float, float]:
    """Returns (fitness, distance in m); the fitness is the distance plus a small reward for staying upright."""
    controller = Controller(weights=weights)
    observation, _ = env.reset(seed=0)
    distance, done = 0.0, False
    while not done:
        observation, reward, terminated, truncated, _ = env.step(controller.act(observation))
        distance, done = distance + float(reward), terminated or truncated
    return distance + 0.002 * controller.steps, distance


def start(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns (mean, scale of each weight) for the first generation."""
    mean, scale = np.zeros(SIZE), np.ones(SIZE)
    terms, scales = mean[:-1].reshape(MUSCLES, TERMS), scale[:-1].reshape(MUSCLES, TERMS)
    terms[:, :2] = 0.15
    terms[:, 2] = rng.uniform(-3, 3, MUSCLES)
    scales[:] = (0.5, 0.5, 1.2, 0.6, 0.15)
    return mean, scale


def main(generations: int, *, resume: bool) -> None:
    """Writes each new best controller to weights.json, and prints its distance."""
    rng = np.random.default_rng(1)
    env = environment()
    mean, scale = start(rng)
    spread = 0.4
    best, best_weights = -np.inf, mean
    if resume:
        mean = best_weights = np.array(json.loads(WEIGHTS.read_text()))
        best, spread = fitness(env, mean)[0], 0.15
    for generation in range(generations):
        candidates = []
        for _ in range(CANDIDATES):
            weights = mean + spread * scale * rng.standard_normal(SIZE)
            value, distance = fitness(env, weights)
            candidates.append((value, weights))
            if value > best:
                best, best_weights = value, weights
                WEIGHTS.write_text(json.dumps(np.round(weights, 4).tolist()) + "\n")
                print(f"generation {generation}: {distance:.2f} m", flush=True)
        candidates.sort(key=lambda candidate: -candidate[0])
        mean = np.mean([weights for _, weights in candidates[:PARENTS]] + [best_weights], axis=0)
        spread = max(0.08, 0.97 * spread)
    env.close()


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdecimal()]
    main(numbers[0] if numbers else 100, resume="--resume" in sys.argv)
