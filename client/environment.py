"""A remote environment as a `gymnasium.Env`."""

import io
from typing import Any

import gymnasium
import numpy as np

from client.address import Address
from client.connection import Connection
from client.exceptions import ServerError
from client.instance import Limits, Order


def picture(png: bytes) -> np.ndarray[Any, Any]:
    """(height, width, 3) uint8.

    Raises:
        ServerError: Pillow is not installed here.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ServerError("pictures need Pillow on this side, too: pip install pillow") from error
    with Image.open(io.BytesIO(png)) as image:
        return np.array(image.convert("RGB"))


class RemoteEnv(gymnasium.Env[Any, Any]):
    """An environment that lives on a server; see `client.make`."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        env_id: str,
        *,
        server: str | None = None,
        token: str | None = None,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        compression: str | None = None,
        limits: Limits | None = None,
        **kwargs: Any,
    ) -> None:
        address = Address.of(server, token)
        order = Order(env_id, None, render_mode, max_episode_steps, None, kwargs)
        self.connection = Connection(address, order, limits or Limits(), compression=compression)
        instance = self.connection.instance
        self.instance_id = instance.token
        self.action_space, self.observation_space = instance.spaces()
        self.metadata = instance.metadata()
        self.render_mode = instance.render_mode
        self.spec = instance.spec(address, "client:make")
        self._step = self.connection.step

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.connection.reset(seed, options)  # type: ignore[no-any-return]

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._step(action)  # type: ignore[no-any-return]

    def render(self) -> np.ndarray[Any, Any] | None:  # type: ignore[override]
        """The current state as (height, width, 3) uint8; None if it was not made to be rendered."""
        return None if self.render_mode is None else picture(self.connection.render())

    def close(self) -> None:
        """Closes the instance on the server; a second time does nothing."""
        self.connection.close()

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self.connection.instance.order.env_id} at {self.connection.address}>"
