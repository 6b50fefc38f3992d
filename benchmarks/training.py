"""Measures the cost of training through gymserve: `python -m benchmarks.training`.

The same PPO on CartPole-v1, with the same seed and one thread, runs as a plain script and as an experiment's runner, in
alternation; the figures are processor seconds of learning, without imports. Then the cost of a thousand points of metrics per
second is measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gymserve.training.plan.training_plan import Evaluation, TrainingPlan
from gymserve.training.runners.folder import Folder, MetricsFile

PLAIN = """
import sys, time
import torch
from stable_baselines3 import PPO
torch.set_num_threads(1)
model = PPO("MlpPolicy", "CartPole-v1", seed=1, device="cpu")
began = time.process_time()
model.learn(int(sys.argv[1]))
print(time.process_time() - began)
"""
OURS = """
import sys, time
from pathlib import Path
from stable_baselines3 import PPO
from gymserve.training.runners import sb3
from gymserve.training.runners.folder import Folder
learn = PPO.learn
def timed(*arguments, **more):
    began = time.process_time()
    learn(*arguments, **more)
    print(time.process_time() - began)
PPO.learn = timed
folder = Folder(Path(sys.argv[1]))
sb3.train(folder, folder.order())
"""


def plan_of(timesteps: int) -> TrainingPlan:
    """The plan of an experiment with everything that gymserve adds: metrics, TensorBoard files, checkpoints."""
    return TrainingPlan(
        package="stable_baselines3", algorithm="PPO", environment="CartPole-v1", policy="MlpPolicy", hyperparameters={},
        seed=1, total_timesteps=timesteps, n_envs=1, tensorboard=True, device="cpu", evaluation=Evaluation(every=0, episodes=0),
    )  # fmt: skip


def seconds(code: str, argument: str) -> float:
    done = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def speed(timesteps: int, rounds: int) -> float:
    """The plain script's time divided by ours, for the fastest run of each; 1: ours costs nothing."""
    times: list[tuple[float, float]] = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as place:
            folder = Folder(Path(place))
            folder.prepare(plan_of(timesteps))
            plain, ours = seconds(PLAIN, str(timesteps)), seconds(OURS, place)
        times.append((plain, ours))
        print(f"round {number + 1}: plain {plain:.2f} s, ours {ours:.2f} s", flush=True)
    return min(plain for plain, _ in times) / min(ours for _, ours in times)


def point() -> float:
    """The seconds of writing one point."""
    with tempfile.TemporaryDirectory() as place:
        file = MetricsFile(Path(place) / "metrics.jsonl")
        began = time.perf_counter()
        for step in range(100_000):
            file.write(step, {"reward": step * 0.5})
        file.flush()
        return (time.perf_counter() - began) / 100_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--timesteps", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    figures = {
        "speed relative to the plain script (≥ 0.95)": round(speed(options.timesteps, options.rounds), 3),
        "share of time for 1,000 points per second (< 0.02)": round(point() * 1000, 5),
    }
    print(json.dumps(figures, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
