"""An agent's connection to one instance, as far as the sync and the async one are alike."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic

from gymserve.client.transport.address import Address
from gymserve.client.transport.conversation import Conversation, Flow, S
from gymserve.client.transport.exceptions import ServerError
from gymserve.client.transport.http import Http
from gymserve.client.transport.instance import Instance, InstanceRequest
from gymserve.client.transport.patience import Limits, Patience


class Connection(ABC, Generic[S]):
    """Makes an instance, and sends it one request at a time: on the stream, or over HTTP if no stream gets through.

    `SyncConnection` and `AsyncConnection` do the I/O; of the async one the results below are awaited.

    Raises:
        ServerError: the server refused to make the instance, or is not there.
    """

    def __init__(
        self, address: Address, request: InstanceRequest, limits: Limits, *, compression: str | None = None
    ) -> None:
        self.address = address
        self.limits = limits
        self.compression = compression
        self._http = Http(address, limits)
        try:
            self.instance: Instance = request.send(self._http, patience=limits.patience)
            self._conversation: Conversation[S] = Conversation(self.instance, compression=compression)
        except BaseException:
            self._http.close()
            raise

    def step(self, action: Any) -> Any:
        """(observation, reward, terminated, truncated, info)."""
        return self._send(self._conversation.step, action)

    def reset(self, seed: int | list[int | None] | None, options: dict[str, Any] | None) -> Any:
        """(observation, info)."""
        return self._send(self._conversation.reset, seed, options)

    def render(self) -> Any:
        """The current state: PNG bytes, of a vector instance a list of them, or what another render mode returns."""
        return self._send(self._conversation.render)

    def call(self, name: str, *arguments: Any) -> Any:
        """The environment's own attribute `name`, or what its method returns; one of what the instance offers."""
        return self._send(self._conversation.call, name, *arguments)

    @property
    def closed(self) -> bool:
        return self._conversation.closed

    def arguments(self) -> dict[str, Any]:
        """The arguments with which `client.make` or `client.make_vec` makes another one, without the token.

        Raises:
            TypeError: the instance is graded, and another one would be another submission.
        """
        env_id = self.instance.request.env_id
        if self.instance.submission_id:
            raise TypeError(f"a submission to {env_id} cannot be copied or pickled: begin another with client.make")
        more = {"server": str(self.address), "compression": self.compression, "limits": self.limits}
        return self.instance.request.arguments() | more

    @abstractmethod
    def _send(self, build: Callable[..., bytes], *arguments: object) -> Any:
        """The result of the request that `build` makes of `arguments`.

        Raises:
            Conflict: another request is under way; nothing was done.
        """

    def _flow(self, failure: BaseException | None = None) -> Flow[S]:
        """The commands that carry out the current request, from the start or after `failure`."""
        return self._conversation.carry_out(Patience(self.limits.patience), failure)

    def _close_instance(self) -> None:
        """Closes the instance on the server; if that cannot be reached, it closes idle instances itself."""
        try:
            self._http.call("POST", f"/v1/envs/{self.instance.token}/close/", {})
        except ServerError:
            pass  # closed already, or the server is away
        finally:
            self._http.close()
