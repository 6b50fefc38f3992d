"""`python -m gymserve.client`: plays on a server, and submits agents.

`gymserve env random`, `gymserve env play` and `gymserve submit` are the same commands.
"""

import sys
import time
from collections.abc import Sequence

import click

from gymserve import client
from gymserve.client.playing import play_by_hand
from gymserve.client.submission import load_agent
from gymserve.system.terminal.commands import SERVER, TOKEN, Group, run, shared_value, with_options


@click.command
@click.argument("env_id", default="CartPole-v1")
@click.option("--episodes", type=click.IntRange(1), default=3, help="How many to play.")
@click.option("--seed", type=int, help="Plays the same episodes each time.")
@with_options(SERVER, TOKEN)
def random(env_id: str, episodes: int, seed: int | None) -> None:
    """Plays with random actions, to see that a server works and how fast it is.

    \b
    Example: gymserve env random CartPole-v1 --episodes 3
    """
    env = client.make(env_id, server=shared_value(SERVER), token=shared_value(TOKEN))
    env.action_space.seed(seed)
    try:
        for episode in range(episodes):
            play_randomly(env, episode + 1, seed if episode == 0 else None)
    finally:
        env.close()


@click.command
@click.argument("env_id")
@click.option("--seed", type=int, help="Plays the same episodes each time.")
@with_options(SERVER, TOKEN)
def play(env_id: str, seed: int | None) -> None:
    """Plays in the terminal: you choose the actions, and see text, pictures or numbers.

    \b
    Example: gymserve env play FrozenLake-v1
    """
    play_by_hand(env_id, seed, server=shared_value(SERVER), token=shared_value(TOKEN))


@click.command
@click.option("--challenge", required=True, metavar="NAME", help="The challenge.")
@click.option("--agent", required=True, metavar="MODULE:POLICY", help="A function, or a class with act().")
@with_options(SERVER, TOKEN)
def submit(challenge: str, agent: str) -> None:
    """Submits an agent to a challenge: plays its trials, and waits for the verdict.

    \b
    Example: gymserve submit --challenge cartpole --agent my_module:policy
    """
    sys.path.insert(0, "")
    click.echo(client.submit(challenge, load_agent(agent), server=shared_value(SERVER), token=shared_value(TOKEN)))


def play_randomly(env: client.RemoteEnv, episode: int, seed: int | None) -> None:
    """Plays one episode with random actions, and prints its return and speed."""
    began, steps, total, over = time.perf_counter(), 0, 0.0, False
    env.reset(seed=seed)
    while not over:
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        steps, total, over = steps + 1, total + float(reward), terminated or truncated
    speed = steps / (time.perf_counter() - began)
    click.echo(f"episode {episode}: {steps} steps, return {total:g}, {speed:,.0f} steps/s")


COMMANDS = Group(
    {
        "random": random,
        "play": play,
        "submit": submit,
    },
    help="Plays on a gymserve server, and submits agents to its challenges.",
    options=(SERVER, TOKEN),
    default="random",
    takes_words=True,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status, 1 with one line on standard error if the server refuses."""
    return run(COMMANDS, arguments, name="python -m gymserve.client", failures=lambda: (client.ServerError,))


if __name__ == "__main__":
    sys.exit(main())
