"""A remote vector environment as a `gymnasium.vector.VectorEnv`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from gymserve.client.environment import Copyable, decode_rendering
from gymserve.client.transport.address import Address
from gymserve.client.transport.instance import InstanceRequest
from gymserve.client.transport.patience import Limits
from gymserve.client.transport.sync import SyncConnection


class RemoteVectorEnv(Copyable, VectorEnv[Any, Any, Any]):
    """`num_envs` copies of an environment that live on a server, stepped with one message; see `client.make_vec`."""

    metadata = {"render_modes": ["rgb_array", "ansi"], "autoreset_mode": AutoresetMode.NEXT_STEP}

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
        wrappers: Sequence[Mapping[str, object]] | None = None,
        compression: str | None = None,
        limits: Limits | None = None,
        **kwargs: Any,
    ) -> None:
        request = InstanceRequest(
            env_id=env_id,
            num_envs=num_envs,
            render_mode=render_mode,
            max_episode_steps=max_episode_steps,
            autoreset_mode=AutoresetMode(autoreset_mode).value,
            wrappers=wrappers,
            kwargs=kwargs,
        )
        address = Address.of(server, token)
        self.connection = SyncConnection(address, request, limits or Limits(), compression=compression)
        instance = self.connection.instance
        self.instance_id = instance.token
        self.num_envs = num_envs
        self.single_action_space, self.single_observation_space = instance.single_spaces()
        self.action_space, self.observation_space = instance.spaces()
        self.metadata = instance.metadata()
        self.autoreset_mode: AutoresetMode = self.metadata["autoreset_mode"]
        self.render_mode = instance.render_mode
        self.spec = instance.spec(address)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observations, infos = self.connection.reset(seed, options)
        return observations, _with_object_arrays(infos)

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        observations, rewards, terminations, truncations, infos = self.connection.step(actions)
        return observations, rewards, terminations, truncations, _with_object_arrays(infos) if infos else infos

    def render(self) -> tuple[Any, ...] | None:
        """Each copy's state, such as (height, width, 3) uint8; None without a render mode."""
        return None if self.render_mode is None else tuple(decode_rendering(self.connection.render()))

    def close_extras(self, **kwargs: object) -> None:
        """Closes the instance on the server."""
        self.connection.close()


def _with_object_arrays(infos: Mapping[str, object]) -> dict[str, Any]:
    """`infos` with object arrays again, which cross the wire as lists."""
    result: dict[str, object] = {}
    for key, value in infos.items():
        if type(value) is list and f"_{key}" in infos:
            array = np.full(len(value), None, object)
            for index, element in enumerate(value):
                if element is not None:
                    array[index] = element
            result[key] = array
        else:
            result[key] = _with_object_arrays(value) if type(value) is dict else value
    return result
