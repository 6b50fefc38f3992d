"""`python -m client CartPole-v1 --episodes 3`: a random agent, to see that a server works.

`python -m client submit --challenge X --agent module:policy`: an agent through a challenge; the key is $GYMSERVE_TOKEN.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import client
from client.submission import named


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays, and prints the returns; 1 and one clear line where the server refuses."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["submit"]:
        return _submit(words[1:])
    parser = argparse.ArgumentParser(prog="python -m client", description="Plays episodes with random actions.")
    parser.add_argument("env_id", nargs="?", default="CartPole-v1", help="the environment (CartPole-v1)")
    parser.add_argument("--server", metavar="URL", help="default: $GYMSERVE_SERVER, else http://127.0.0.1:5000")
    parser.add_argument("--episodes", type=int, default=3, metavar="N")
    parser.add_argument("--seed", type=int, help="for the same episodes again")
    asked = parser.parse_args(words)
    try:
        env = client.make(asked.env_id, server=asked.server)
    except client.ServerError as error:
        print(f"python -m client: {error}", file=sys.stderr)
        return 1
    env.action_space.seed(asked.seed)
    try:
        for episode in range(asked.episodes):
            play(env, episode + 1, asked.seed if episode == 0 else None)
    except client.ServerError as error:
        print(f"python -m client: {error}", file=sys.stderr)
        return 1
    finally:
        env.close()
    return 0


def _submit(words: Sequence[str]) -> int:
    """`python -m client submit --challenge X --agent module:policy`."""
    parser = argparse.ArgumentParser(prog="python -m client submit", description="Sends an agent through a challenge.")
    parser.add_argument("--challenge", required=True)
    parser.add_argument("--agent", required=True, metavar="MODULE:POLICY", help="a function, or a class with act()")
    parser.add_argument("--server", metavar="URL", help="default: $GYMSERVE_SERVER, else http://127.0.0.1:5000")
    asked = parser.parse_args(words)
    sys.path.insert(0, "")
    try:
        print(client.submit(asked.challenge, named(asked.agent), server=asked.server))
    except client.ServerError as error:
        print(f"python -m client submit: {error}", file=sys.stderr)
        return 1
    return 0


def play(env: client.RemoteEnv, episode: int, seed: int | None) -> None:
    """One episode."""
    began, steps, total, over = time.perf_counter(), 0, 0.0, False
    env.reset(seed=seed)
    while not over:
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        steps, total, over = steps + 1, total + float(reward), terminated or truncated
    pace = steps / (time.perf_counter() - began)
    print(f"episode {episode}: {steps} steps, return {total:g}, {pace:,.0f} steps/s")


if __name__ == "__main__":
    sys.exit(main())
