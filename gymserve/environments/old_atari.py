"""Atari ids that gym had and ale-py no longer registers, for example `Breakout-ram-v4` and `BreakoutDeterministic-v0`.

They differ from the registered ones, for example `Breakout-v4`, in the observation and in the number of frames per step. There
are over a thousand of them, so each is registered when it is requested, and the catalogue does not list them.
"""

import re

import gymnasium
from gymnasium.envs.registration import EnvSpec

_ID = re.compile(r"(?P<game>[A-Za-z0-9]+?)(?P<ram>-ram)?(?P<every>Deterministic|NoFrameskip)?-(?P<version>v[04])")
_FRAMES = {"Deterministic": 4, "NoFrameskip": 1}
registered: set[str] = set()


def register(env_id: str) -> None:
    """Registers an id, if it is one of these old ids and its game is installed."""
    match = _ID.fullmatch(env_id)
    plain = gymnasium.registry.get(f"{match['game']}-{match['version']}") if match else None
    if match is None or plain is None or env_id in gymnasium.registry:
        return
    if not isinstance(plain.entry_point, str) or not plain.entry_point.startswith("ale_py"):
        return
    kwargs = {**plain.kwargs, **({"obs_type": "ram"} if match["ram"] else {})}
    kwargs |= {"frameskip": _FRAMES[match["every"]]} if match["every"] else {}
    registered.add(env_id)
    gymnasium.registry[env_id] = EnvSpec(
        env_id, entry_point=plain.entry_point, kwargs=kwargs, max_episode_steps=plain.max_episode_steps
    )
