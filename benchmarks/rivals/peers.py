"""Starts other projects' servers and agents, to measure their steps."""

import importlib.util
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import gymnasium
import numpy as np

from benchmarks import ROOT


def ray_actor(cpu: int) -> tuple[Callable[[int], bool], Callable[[], object]]:
    """CartPole in a Ray actor on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if not ray.is_initialized():
        ray.init(num_cpus=1, include_dashboard=False, logging_level="error", _node_ip_address="127.0.0.1")

    @ray.remote(num_cpus=0)
    class Actor:
        def __init__(self) -> None:
            os.sched_setaffinity(0, {cpu})
            self.env = gymnasium.make("CartPole-v1", disable_env_checker=True)

        def reset(self) -> object:
            return self.env.reset()

        def step(self, action: int) -> object:
            return self.env.step(action)

    actor = Actor.remote()

    def reset() -> object:
        return ray.get(actor.reset.remote())

    def ask(action: int) -> bool:
        _, _, terminated, truncated, _ = ray.get(actor.step.remote(action))
        return bool(terminated or truncated)

    reset()
    return ask, reset


def async_vector(num_envs: int) -> tuple[Callable[[int], bool], Callable[[], object]]:
    """Gymnasium's AsyncVectorEnv, with a process per environment."""
    envs = gymnasium.make_vec("CartPole-v1", num_envs, "async")
    envs.reset(seed=0)
    actions = [np.zeros(num_envs, int), np.ones(num_envs, int)]

    def ask(action: int) -> bool:
        envs.step(actions[action])
        return False

    return ask, envs.close


@contextmanager
def peer(module: str, cpu: int, python: str = sys.executable) -> Iterator[Callable[[float], float]]:
    """Runs another project's server and agent in a process each; yields a function that measures µs per step."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}

    def start(role: str, argument: str) -> subprocess.Popen[str]:
        command, pipe = [python, "-m", f"benchmarks.rivals.{module}", role, argument], subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=ROOT)

    with start("serve", str(cpu)) as server:
        try:
            assert server.stdout is not None
            with start("act", server.stdout.readline().strip()) as agent:

                def measure(seconds: float) -> float:
                    assert agent.stdin is not None and agent.stdout is not None
                    agent.stdin.write(f"{seconds}\n")
                    agent.stdin.flush()
                    return float(agent.stdout.readline())

                try:
                    yield measure
                finally:
                    try:
                        agent.communicate(timeout=30)  # closes its input, which ends it
                    except subprocess.TimeoutExpired:
                        agent.kill()
        finally:
            server.terminate()


def dm_env_rpc(cpu: int) -> AbstractContextManager[Callable[[float], float]]:
    """dm-env-rpc's gRPC connection and its `dm_env` adaptor."""
    if importlib.util.find_spec("dm_env_rpc") is None:
        raise ImportError("dm-env-rpc is not installed")
    return peer("dm_env_rpc", cpu)


def openenv(cpu: int) -> AbstractContextManager[Callable[[float], float]]:
    """OpenEnv's WebSocket, in its own virtual environment, since it conflicts with the Pillow in constraints.txt."""
    home, pins = ROOT / "build" / "openenv", ROOT / "benchmarks" / "rivals" / "openenv.txt"
    python, made = str(home / "bin" / "python"), home / "made-of.txt"
    if not made.exists() or made.read_text() != pins.read_text():
        venv.create(home, clear=True, with_pip=True)
        command = [python, "-I", "-m", "pip", "install", "-q", "openenv-core", "gymnasium", "-c", str(pins)]
        if subprocess.run(command).returncode:
            raise ImportError("OpenEnv could not be installed")
        made.write_text(pins.read_text())
    return peer("openenv", cpu, python)
