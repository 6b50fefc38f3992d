"""Instances: the request that creates one, and the server's description of it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from gymnasium import Space
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import InvalidRequest, ServerError
from gymserve.client.transport.http import Http
from gymserve.protocol.spaces import from_description, jsonable


@dataclass(frozen=True, kw_only=True)
class InstanceRequest:
    """The request of `client.make` and `client.make_vec` to create an instance; without `num_envs` a plain one."""

    env_id: str
    num_envs: int | None = None
    render_mode: str | None = None
    max_episode_steps: int | None = None
    autoreset_mode: str | None = None
    wrappers: Sequence[Mapping[str, object]] | None = None
    kwargs: dict[str, Any]

    def send(self, http: Http, *, patience: float) -> "Instance":
        """The instance that the server makes, one however often a response is lost.

        Raises:
            ServerError: the server refused, or could not be reached.
        """
        key = uuid.uuid4().hex
        response = http.call("POST", "/v1/envs/?describe=short", self.body(), patience=patience, key=key)
        try:
            token = response["instance_id"]
        except (TypeError, KeyError):
            raise ServerError(
                f"{http.address} is not a gymserve server: it did not name the instance that it made"
            ) from None
        description = response.get("description")
        if description is None:  # an older server
            description = http.call("GET", f"/v1/envs/{token}/?bounds=short", patience=patience)
        return Instance(token, self, description, str(response.get("submission_id") or ""))

    def body(self) -> dict[str, Any]:
        """The request's body."""
        body = self._set()
        if self.wrappers:
            body["wrappers"] = jsonable(self.wrappers)
        return body | ({"kwargs": jsonable(self.kwargs)} if self.kwargs else {})

    def arguments(self) -> dict[str, Any]:
        """The arguments of `client.make` or `client.make_vec` that make the same."""
        return self.kwargs | self._set()

    def _set(self) -> dict[str, Any]:
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "kwargs"}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Instance:
    """A live instance.

    Attributes:
        token: its `instance_id`.
        request: what it was made of.
        description: the server's, as of `GET /v1/envs/<instance_id>/`.
        submission_id: of a graded instance, else "".
    """

    token: str
    request: InstanceRequest
    description: dict[str, Any]
    submission_id: str = ""

    def single_spaces(self) -> tuple[Space[Any], Space[Any]]:
        """(action space, observation space) of one copy.

        Raises:
            InvalidRequest: the server is newer, and has spaces that are unknown here.
        """
        try:
            action, observation = self.description["action_space"], self.description["observation_space"]
            return from_description(action), from_description(observation)
        except Exception as error:
            raise InvalidRequest(
                f"the server describes a space that this client cannot build; install a newer client: {error}"
            ) from error

    def spaces(self) -> tuple[Space[Any], Space[Any]]:
        """(action space, observation space) of what crosses the wire."""
        action_space, observation_space = self.single_spaces()
        if not self.is_batch:
            return action_space, observation_space
        return batch_space(action_space, self.num_envs), batch_space(observation_space, self.num_envs)

    @property
    def is_batch(self) -> bool:
        return self.num_envs > 1 or self.description.get("autoreset_mode") is not None

    @property
    def num_envs(self) -> int:
        return int(self.description.get("num_envs") or 1)

    @property
    def offers(self) -> list[str]:
        """Names that can be called on the environment itself, such as `get_action_meanings`."""
        return list(self.description.get("offers") or ())

    @property
    def render_mode(self) -> str | None:
        return self.description.get("render_mode")

    def metadata(self) -> dict[str, Any]:
        """Gymnasium's metadata, without the mode "human": a server opens no window."""
        metadata = dict(self.description.get("metadata", {}))
        metadata["render_modes"] = [mode for mode in metadata.get("render_modes") or [] if mode != "human"]
        if self.request.num_envs is not None:
            mode = self.description.get("autoreset_mode") or AutoresetMode.NEXT_STEP.value
            metadata["autoreset_mode"] = AutoresetMode(mode)
        return metadata

    def spec(self, address: Address) -> EnvSpec:
        """Gymnasium's description of how to make another one, without the token."""
        return EnvSpec(
            self.request.env_id,
            entry_point="gymserve.client:make",
            vector_entry_point="gymserve.client:make_vec",
            reward_threshold=self.description.get("reward_threshold"),
            max_episode_steps=self.description.get("max_episode_steps"),
            order_enforce=False,  # the server does both of these
            disable_env_checker=True,
            kwargs=self.request.arguments() | {"server": str(address)},
        )
