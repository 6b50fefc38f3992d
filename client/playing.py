"""An episode in the terminal: a person chooses the actions, and sees the environment."""

import json
import shutil
import sys
from typing import Any

import click
import numpy as np
from gymnasium import spaces

from gymserve.client import picture
from gymserve.client.environment import RemoteEnv
from gymserve.client.transport.exceptions import ServerError

QUIT = "q"
LINES_BELOW = 3  # of a picture: the reward, the prompt, and one for a wrong action


def play_by_hand(env_id: str, seed: int | None, *, server: str | None, token: str | None) -> None:
    """Plays episodes until the person types `q` or ends the input.

    It shows the environment as text or as a picture, if it and the terminal can, else the observations' numbers.
    """
    env = RemoteEnv(env_id, server=server, token=token)
    modes = env.metadata["render_modes"]
    mode = "ansi" if "ansi" in modes else "rgb_array" if "rgb_array" in modes and picture.has_colours() else None
    if mode:
        env.close()
        env = RemoteEnv(env_id, server=server, token=token, render_mode=mode)
    keys = _has_keys(env.action_space)
    how = "Press a key for each" if keys else "Type each"
    text = f"{env_id}: an action is {_describe(env.action_space)}. {how}; Enter: a random one; {QUIT}: quit."
    try:
        while text := _play_episode(env, seed, text, keys):
            seed = None
    except EOFError:
        click.echo()
    finally:
        env.close()


def _has_keys(space: spaces.Space[Any]) -> bool:
    """Whether a single key is an action: the terminal sends keys, and all actions are digits."""
    return (
        sys.stdin.isatty() and isinstance(space, spaces.Discrete) and space.start >= 0 and space.start + space.n <= 10
    )


def _play_episode(env: RemoteEnv, seed: int | None, text: str, keys: bool) -> str:
    """Plays one episode, and returns a line about it; an empty one if the person quits."""
    observation, _ = env.reset(seed=seed)
    steps, total, over = 0, 0.0, False
    _show(env, observation, text)
    while not over:
        words = _ask(keys)
        if words == QUIT:
            return ""
        try:
            action = env.action_space.sample() if not words else _parse(words, env.action_space)
        except ValueError as error:
            click.echo(f"{error}: an action is {_describe(env.action_space)}")
            continue
        observation, reward, terminated, truncated, _ = env.step(action)
        steps, total, over = steps + 1, total + float(reward), terminated or truncated
        _show(env, observation, f"step {steps}, reward {float(reward):g}, return {total:g}")
    return f"The episode {'ended' if terminated else 'was cut off'} after {steps} steps with return {total:g}. The next one:"


def _ask(keys: bool) -> str:
    if not keys:
        return input("action> ").strip()
    click.echo("action> ", nl=False)
    key = click.getchar()
    click.echo(key if key.isprintable() else "")
    return key.strip()


def _show(env: RemoteEnv, observation: object, text: str) -> None:
    """Shows the state of an environment, and a line of text below."""
    seen = _rendered(env)
    if seen is None and picture.is_picture(observation) and picture.has_colours():
        seen = observation
    if isinstance(seen, np.ndarray):
        size = shutil.get_terminal_size()
        click.clear()
        click.echo(picture.draw(seen, size.columns, size.lines - LINES_BELOW), color=True)
    elif seen is not None:
        click.echo(seen)
    elif isinstance(observation, np.ndarray) and observation.ndim == 3:
        click.echo(f"a picture, {observation.shape[1]} × {observation.shape[0]}")
    else:
        click.echo(f"observation {observation}")
    click.echo(text)


def _rendered(env: RemoteEnv) -> Any:
    """What the environment renders; None if it cannot, which is said once."""
    if env.render_mode is None:
        return None
    try:
        return env.render()
    except ServerError as error:
        click.echo(f"no picture: {error}", err=True)
        env.render_mode = None
        return None


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
