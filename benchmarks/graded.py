"""`python -m benchmarks.graded [--seconds N]`: measures the cost of grading per step, and the speed of verification."""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium

from benchmarks import steps
from benchmarks.processes import Server, server
from gymserve.environments import Catalogue
from gymserve.grader.challenges import definition, seeds
from gymserve.grader.practice import running
from gymserve.grader.proofs import verification
from gymserve.hosts.pool.instances import Instances
from gymserve.journal import Record, Reset, Step, read
from gymserve.protocol.spaces import codec
from gymserve.settings import Settings

ENDLESS = 1_000_000  # steps of a trial, so that the end of a trial is not measured
ROUNDS = 15


def graded_of_plain(started: Server, seconds: float) -> dict[str, float]:
    """µs per step of a MountainCar over the stream: medians of alternating rounds, with client and server on one core."""
    instances = Instances.of(Settings(DATA=started.data))
    trials: list[dict[str, object]] = [{"seed": 2**60, "options": None, "kwargs": {}}]
    allowance = {"step_seconds": 10.0, "overage_seconds": 10.0}
    tokens = {
        "plain": instances.create("MountainCar-v0", max_episode_steps=ENDLESS),
        "graded": instances.create("MountainCar-v0", max_episode_steps=ENDLESS, trials=trials),
        "graded, with a time for each step": instances.create(
            "MountainCar-v0", max_episode_steps=ENDLESS, trials=trials, allowance=allowance
        ),
    }
    asks = {name: steps.raw_stream(started, token=token) for name, token in tokens.items()}
    os.sched_setaffinity(0, {0})
    started.pin(0)
    times: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(ROUNDS):
        for name, (ask, reset) in asks.items():
            times[name].append(steps.time_per_step(ask, reset, seconds))
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return {name: statistics.median(each) for name, each in times.items()}


def verified_of_local(env_id: str, number: int) -> tuple[float, float]:
    """(steps per second of a verification, of the same steps in a plain loop), each the best of three."""
    challenge = definition.from_dict({"name": "speed", "environment": env_id, "trials": {"number": number}})
    catalogue = Catalogue()
    with tempfile.TemporaryDirectory() as folder:
        plan = seeds.practice_plan(challenge, number)
        records = list(read(running.play(challenge, plan, running.agent("random"), Path(folder), catalogue)))
    count = sum(isinstance(record, Step) for record in records)
    ways: list[Callable[[], object]] = [
        lambda: verification.verify(records, catalogue),
        lambda: step_all(env_id, records),
    ]
    rates = []
    for way in ways:
        best = 0.0
        for _ in range(3):
            began = time.perf_counter()
            way()
            best = max(best, count / (time.perf_counter() - began))
        rates.append(best)
    return rates[0], rates[1]


def step_all(env_id: str, records: list[Record]) -> None:
    """Plays the same trials, each in an environment of its own, without comparing anything."""
    env = gymnasium.make(env_id, disable_env_checker=True)
    actions = codec(env.action_space)
    for record in records:
        if isinstance(record, Reset):
            env = gymnasium.make(env_id, disable_env_checker=True)
            env.reset(seed=record.seed)
        elif isinstance(record, Step):
            env.step(actions.unpack(record.action))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graded", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="duration of each measurement")
    seconds = parser.parse_args().seconds
    with server() as started:
        times = graded_of_plain(started, seconds)
    for name, took in times.items():
        print(f"{name:36} {took:7.1f} µs a step, {took / times['plain']:.3f} of a plain one", flush=True)
    for env_id, number in (("CartPole-v1", 200), ("Pendulum-v1", 20), ("LunarLander-v3", 20), ("HalfCheetah-v5", 3)):
        verified, local = verified_of_local(env_id, number)
        print(
            f"verification of {env_id:20} {verified:9,.0f} steps/s, {verified / local:.2f} of a local loop", flush=True
        )


if __name__ == "__main__":
    main()
