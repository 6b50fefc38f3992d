"""Trains `controller.py` by an evolution strategy: python train.py [generations] [--resume]

Each generation tries ten variations of the mean of the best, and keeps the best three and the best ever. Half an hour is enough
for a few steps; a run takes days. It trains on GYMSERVE_SERVER's environment, if that is set, else on one in this process.
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
        import client

        return client.make("Run", difficulty=0, max_obstacles=0, max_episode_steps=STEPS)
    import gymnasium

    from gymserve.environments import opensim

    opensim.register()
    return gymnasium.make("osim/Run-v0", difficulty=0, max_obstacles=0, max_episode_steps=STEPS)


def fitness(env: Any, weights: np.ndarray) -> tuple[float, float]:
    """(fitness, distance in m): the fitness also rewards staying up longer."""
    controller = Controller(weights=weights)
    observation, _ = env.reset(seed=0)
    way, over = 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(controller.act(observation))
        way, over = way + float(reward), terminated or truncated
    return way + 0.002 * controller.steps, way


def start(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale of each weight) for the first generation."""
    mean, scale = np.zeros(SIZE), np.ones(SIZE)
    terms, scales = mean[:-1].reshape(MUSCLES, TERMS), scale[:-1].reshape(MUSCLES, TERMS)
    terms[:, :2] = 0.15
    terms[:, 2] = rng.uniform(-3, 3, MUSCLES)
    scales[:] = (0.5, 0.5, 1.2, 0.6, 0.15)
    return mean, scale


def main(generations: int, *, resume: bool) -> None:
    """Prints the distance of each better controller, and writes it to weights.json."""
    rng = np.random.default_rng(1)
    env = environment()
    mean, scale = start(rng)
    spread = 0.4
    best, best_weights = -np.inf, mean
    if resume:
        mean = best_weights = np.array(json.loads(WEIGHTS.read_text()))
        best, spread = fitness(env, mean)[0], 0.15
    for generation in range(generations):
        tried = []
        for _ in range(CANDIDATES):
            weights = mean + spread * scale * rng.standard_normal(SIZE)
            value, way = fitness(env, weights)
            tried.append((value, weights))
            if value > best:
                best, best_weights = value, weights
                WEIGHTS.write_text(json.dumps(np.round(weights, 4).tolist()) + "\n")
                print(f"generation {generation}: {way:.2f} m", flush=True)
        tried.sort(key=lambda each: -each[0])
        mean = np.mean([weights for _, weights in tried[:PARENTS]] + [best_weights], axis=0)
        spread = max(0.08, 0.97 * spread)
    env.close()


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    main(numbers[0] if numbers else 100, resume="--resume" in sys.argv)
