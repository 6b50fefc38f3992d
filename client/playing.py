"""An episode in the terminal: a person types the actions."""

import json
from typing import Any

import click
import numpy as np
from gymnasium import spaces

from gymserve.client.environment import RemoteEnv

QUIT = "q"


def play_by_hand(env_id: str, seed: int | None, *, server: str | None, token: str | None) -> None:
    """Plays episodes until the person types `q` or ends the input; shows text pictures if the environment has them."""
    env = RemoteEnv(env_id, server=server, token=token)
    if "ansi" in env.metadata["render_modes"]:
        env.close()
        env = RemoteEnv(env_id, server=server, token=token, render_mode="ansi")
    click.echo(f"{env_id}: an action is {_describe(env.action_space)}; Enter alone plays a random one, {QUIT} quits.")
    try:
        while _play_episode(env, seed):
            seed = None
    except EOFError:
        click.echo()
    finally:
        env.close()


def _play_episode(env: RemoteEnv, seed: int | None) -> bool:
    """Plays one episode; False if the person quits."""
    observation, _ = env.reset(seed=seed)
    steps, total, over = 0, 0.0, False
    _show(env, observation)
    while not over:
        words = input("action> ").strip()
        if words == QUIT:
            return False
        try:
            action = env.action_space.sample() if not words else _parse(words, env.action_space)
        except ValueError as error:
            click.echo(f"{error}: an action is {_describe(env.action_space)}")
            continue
        observation, reward, terminated, truncated, _ = env.step(action)
        steps, total, over = steps + 1, total + float(reward), terminated or truncated
        _show(env, observation)
        click.echo(f"step {steps}, reward {float(reward):g}, return {total:g}")
    click.echo(f"The episode {'ended' if terminated else 'was cut off'} after {steps} steps with return {total:g}.\n")
    return True


def _show(env: RemoteEnv, observation: object) -> None:
    if env.render_mode == "ansi":
        click.echo(env.render())
    elif isinstance(observation, np.ndarray) and observation.ndim == 3:
        click.echo(f"a picture, {observation.shape[1]} × {observation.shape[0]}")
    else:
        click.echo(f"observation {observation}")


def _parse(words: str, space: spaces.Space[Any]) -> Any:
    """The action that a person typed as JSON.

    Raises:
        ValueError: it is not in the space.
    """
    try:
        value = json.loads(words)
        if isinstance(space, (spaces.Box, spaces.MultiDiscrete, spaces.MultiBinary)):
            value = np.array(value, space.dtype).reshape(space.shape)
    except ValueError:
        raise ValueError(f"{words:.40} cannot be read") from None
    if isinstance(value, bool) or not space.contains(value):
        raise ValueError(f"{words:.40} is not in the action space")
    return value


def _describe(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.Discrete):
        return f"a number from {space.start} to {space.start + space.n - 1}"
    if isinstance(space, spaces.Box) and space.shape == (1,):
        return f"a number from {space.low[0]:g} to {space.high[0]:g}"
    return f"JSON of {space}"
