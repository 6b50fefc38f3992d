"""A remote environment as a `gymnasium.Env`."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import ServerError
from gymserve.client.transport.instance import InstanceRequest
from gymserve.client.transport.patience import Limits
from gymserve.client.transport.sync import SyncConnection

Pixels = NDArray[np.uint8]


def decode_rendering(state: object) -> Any:
    """A rendered state as the environment itself returns it; pictures cross the wire as PNG.

    Returns:
        (height, width, 3) uint8, of a vector instance a tuple of them; or whatever another render mode returns.

    Raises:
        ServerError: Pillow is not installed here.
    """
    if isinstance(state, list) and state and isinstance(state[0], bytes):
        return tuple(map(decode_rendering, state))
    if not isinstance(state, bytes):
        return state
    try:
        from PIL import Image
    except ImportError as error:
        raise ServerError("rendering needs Pillow here, too: pip install pillow") from error
    with Image.open(io.BytesIO(state)) as image:
        return np.array(image.convert("RGB"))


class Ale:
    """The part of Atari's emulator that wrappers use, under its names."""

    def __init__(self, connection: SyncConnection) -> None:
        self._call = connection.call

    def lives(self) -> int:
        return int(self._call("ale.lives"))

    def getScreenGrayscale(self, out: Pixels | None = None) -> Pixels:
        return _copied(self._call("ale.getScreenGrayscale"), out)

    def getScreenRGB(self, out: Pixels | None = None) -> Pixels:
        return _copied(self._call("ale.getScreenRGB"), out)


def _copied(screen: Pixels, out: Pixels | None) -> Pixels:
    """`screen`, in `out` if there is one."""
    if out is None:
        return screen
    out[...] = screen
    return out


class Copyable:
    """An environment that is copied and pickled as the arguments that made it: the copy is another instance, not reset yet.

    A pickle has no token in it: set $GYMSERVE_TOKEN where it is loaded.
    """

    connection: SyncConnection

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self._arguments()), ()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        make: Callable[..., Self] = type(self)
        return make(**self._arguments(), token=self.connection.address.token)

    def _arguments(self) -> dict[str, Any]:
        return self.connection.arguments()


class RemoteEnv(Copyable, gymnasium.Env[Any, Any]):
    """An environment that lives on a server; see `client.make`."""

    metadata = {"render_modes": ["rgb_array", "ansi"]}  # of the class; an instance has its environment's own
    _generator: np.random.Generator | None = None

    def __init__(
        self,
        env_id: str,
        *,
        server: str | None = None,
        token: str | None = None,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        wrappers: Sequence[Mapping[str, object]] | None = None,
        compression: str | None = None,
        limits: Limits | None = None,
        **kwargs: Any,
    ) -> None:
        request = InstanceRequest(
            env_id=env_id,
            render_mode=render_mode,
            max_episode_steps=max_episode_steps,
            wrappers=wrappers,
            kwargs=kwargs,
        )
        address = Address.of(server, token)
        self._use(SyncConnection(address, request, limits or Limits(), compression=compression))

    def _use(self, connection: SyncConnection) -> None:
        instance = connection.instance
        self.connection = connection
        self.instance_id = instance.token
        self.action_space, self.observation_space = instance.spaces()
        self.metadata = instance.metadata()
        self.render_mode = instance.render_mode
        self.spec = instance.spec(connection.address)
        self._step = connection.step

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode; of a closed environment, in a new instance that is made in the same way."""
        if self.connection.closed:
            self._use(self.connection.another())
        observation, info = self.connection.reset(seed, options)
        if seed is not None:
            self._np_random, self._np_random_seed = None, seed
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._step(action)

    def render(self) -> Any:
        """The current state, such as (height, width, 3) uint8 or a text; None without a render mode."""
        return None if self.render_mode is None else decode_rendering(self.connection.render())

    @property
    def _np_random(self) -> np.random.Generator | None:
        """A copy of the environment's generator, taken at its first use after a reset with a seed.

        Wrappers draw from it, and get what they would draw locally until the environment draws something itself.
        """
        if self._generator is None:
            state = self.connection.call("np_random") if "np_random" in self.connection.instance.offers else None
            self._generator, _ = seeding.np_random(self._np_random_seed)
            if state is not None:
                self._generator.bit_generator.state = json.loads(state)
        return self._generator

    @_np_random.setter
    def _np_random(self, generator: np.random.Generator | None) -> None:
        self._generator = generator

    def close(self) -> None:
        """Closes the instance on the server, and ends a call that is under way; a second time does nothing."""
        self.connection.close()

    def __getattr__(self, name: str) -> Any:
        """Looks up attributes of the environment itself that wrappers use, for example `get_action_meanings` or `ale`."""
        connection: SyncConnection | None = self.__dict__.get("connection")
        offers = connection.instance.offers if connection is not None else []
        if connection is not None and name in offers:
            return connection.call(name) if name.startswith("_") else partial(connection.call, name)
        if connection is not None and name == "ale" and "ale.lives" in offers:
            return Ale(connection)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}: its environment is on a server")

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self.connection.instance.request.env_id} at {self.connection.address}>"
