"""`python -m gymserve.client CartPole-v1 --episodes 3`: plays with random actions, to see that a server works.

`python -m gymserve.client submit --challenge X --agent module:policy`: submits an agent; $GYMSERVE_TOKEN is the key.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from gymserve import client
from gymserve.client.submission import load_agent
from gymserve.system import imports


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status, 1 with one line on standard error if the server refuses."""
    imports.freeze()
    words = sys.argv[1:] if arguments is None else list(arguments)
    submits = words[:1] == ["submit"]
    try:
        _submit(words[1:]) if submits else _play(words)
    except client.ServerError as error:
        print(f"python -m gymserve.client{' submit' if submits else ''}: {error}", file=sys.stderr)
        return 1
    return 0


def _play(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m gymserve.client", description="Plays episodes with random actions."
    )
    parser.add_argument("env_id", nargs="?", default="CartPole-v1", help="the environment (default: CartPole-v1)")
    _add_server(parser)
    parser.add_argument("--episodes", type=int, default=3, metavar="N", help="how many to play (default: 3)")
    parser.add_argument("--seed", type=int, help="plays the same episodes each time")
    options = parser.parse_args(words)
    env = client.make(options.env_id, server=options.server)
    env.action_space.seed(options.seed)
    try:
        for episode in range(options.episodes):
            play(env, episode + 1, options.seed if episode == 0 else None)
    finally:
        env.close()


def _submit(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m gymserve.client submit", description="Submits an agent to a challenge."
    )
    parser.add_argument("--challenge", required=True)
    parser.add_argument("--agent", required=True, metavar="MODULE:POLICY", help="a function, or a class with act()")
    _add_server(parser)
    options = parser.parse_args(words)
    sys.path.insert(0, "")
    print(client.submit(options.challenge, load_agent(options.agent), server=options.server))


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", metavar="URL", help="default: $GYMSERVE_SERVER, else http://127.0.0.1:5000")


def play(env: client.RemoteEnv, episode: int, seed: int | None) -> None:
    """Plays one episode with random actions, and prints its return and speed."""
    began, steps, total, over = time.perf_counter(), 0, 0.0, False
    env.reset(seed=seed)
    while not over:
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        steps, total, over = steps + 1, total + float(reward), terminated or truncated
    speed = steps / (time.perf_counter() - began)
    print(f"episode {episode}: {steps} steps, return {total:g}, {speed:,.0f} steps/s")


if __name__ == "__main__":
    sys.exit(main())
