"""A remote vector environment as a `gymnasium.vector.VectorEnv`."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from client.address import Address
from client.connection import Connection
from client.environment import RemoteEnv, picture
from client.instance import Limits, Order


class RemoteVectorEnv(VectorEnv[Any, Any, Any]):
    """`num_envs` copies of an environment that live on a server, stepped with one message; see `client.make_vec`."""

    metadata = {"render_modes": ["rgb_array"], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        *,
        server: str | None = None,
        token: str | None = None,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        compression: str | None = None,
        limits: Limits | None = None,
        **kwargs: Any,
    ) -> None:
        address = Address.of(server, token)
        mode = AutoresetMode(autoreset_mode).value
        order = Order(env_id, num_envs, render_mode, max_episode_steps, mode, kwargs)
        self.connection = Connection(address, order, limits or Limits(), compression=compression)
        instance = self.connection.instance
        self.instance_id = instance.token
        self.num_envs = num_envs
        self.single_action_space, self.single_observation_space = instance.single_spaces()
        self.action_space, self.observation_space = instance.spaces()
        self.metadata = instance.metadata()
        self.render_mode = instance.render_mode
        self.spec = instance.spec(address, "client:make")

    def reset(  # type: ignore[override]
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observations, infos = self.connection.reset(seed, options)
        return observations, _with_objects(infos)

    def step(
        self, actions: Any
    ) -> tuple[Any, np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any], dict[str, Any]]:
        observations, rewards, terminations, truncations, infos = self.connection.step(actions)
        return observations, rewards, terminations, truncations, _with_objects(infos) if infos else infos

    def render(self) -> np.ndarray[Any, Any] | None:  # type: ignore[override]
        """The first copy's state as (height, width, 3) uint8; None if it was not made to be rendered."""
        return None if self.render_mode is None else picture(self.connection.render())

    def close_extras(self, **kwargs: Any) -> None:
        """Closes the instance on the server."""
        self.connection.close()


def one(env_id: str, *, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP, **kwargs: Any) -> SyncVectorEnv:
    """A vector of one copy: a plain instance, made a vector on this side."""
    env = RemoteEnv(env_id, **kwargs)
    made = SyncVectorEnv([lambda: env], autoreset_mode=autoreset_mode)
    made.spec = env.spec
    return made


def _with_objects(infos: dict[str, Any]) -> dict[str, Any]:
    """`infos` with object arrays again, which cross the wire as lists."""
    made: dict[str, Any] = {}
    for key, value in infos.items():
        if type(value) is list and f"_{key}" in infos:
            array = np.full(len(value), None, object)
            for i, element in enumerate(value):
                array[i] = element
            made[key] = array
        else:
            made[key] = _with_objects(value) if type(value) is dict else value
    return made
