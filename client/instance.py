"""What an instance is: how it is ordered, and what the server says about it."""

import uuid
from dataclasses import dataclass
from typing import Any

from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from client.address import Address
from client.exceptions import InvalidRequest, ServerError
from client.http import Http
from gymserve.spaces import from_description, jsonable

Space = Any


@dataclass(frozen=True)
class Limits:
    """How long to wait, in seconds: for an answer, for a connection, and for a server that went away to come back."""

    timeout: float = 120.0
    connect_timeout: float = 10.0
    patience: float = 30.0


@dataclass(frozen=True)
class Order:
    """How an instance is to be made; `num_envs` of None means a plain one."""

    env_id: str
    num_envs: int | None
    render_mode: str | None
    max_episode_steps: int | None
    autoreset_mode: str | None
    kwargs: dict[str, Any]

    def body(self) -> dict[str, Any]:
        asked = {
            "env_id": self.env_id,
            "num_envs": self.num_envs,
            "render_mode": self.render_mode,
            "max_episode_steps": self.max_episode_steps,
            "autoreset_mode": self.autoreset_mode,
            "kwargs": jsonable(self.kwargs) or None,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def make(self, http: Http, limits: Limits) -> "Instance":
        """Makes the instance on the server, once however often an answer is lost.

        Raises:
            ServerError: the server refused, or could not be reached.
        """
        key = uuid.uuid4().hex
        made = http.patiently("POST", "/v1/envs/", self.body(), seconds=limits.patience, key=key)
        try:
            token = made["instance_id"]
        except (TypeError, KeyError):
            raise ServerError(
                f"{http.address} is no gymserve server: it did not name the instance that it made"
            ) from None
        told = http.patiently("GET", f"/v1/envs/{token}/", seconds=limits.patience)
        return Instance(token, self, told, str(made.get("submission_id") or ""))


@dataclass(frozen=True)
class Instance:
    """A live instance, as the server described it."""

    token: str
    order: Order
    told: dict[str, Any]
    submission_id: str = ""  # of a graded instance

    def single_spaces(self) -> tuple[Space, Space]:
        """(action space, observation space) of one copy.

        Raises:
            InvalidRequest: the server is newer, and has spaces that are unknown here.
        """
        try:
            return from_description(self.told["action_space"]), from_description(self.told["observation_space"])
        except Exception as error:
            raise InvalidRequest(f"the server describes a space that this client cannot build: {error}") from error

    def spaces(self) -> tuple[Space, Space]:
        """(action space, observation space) of what crosses the wire."""
        action_space, observation_space = self.single_spaces()
        if not self.is_batch:
            return action_space, observation_space
        return batch_space(action_space, self.num_envs), batch_space(observation_space, self.num_envs)

    @property
    def is_batch(self) -> bool:
        return self.num_envs > 1

    @property
    def num_envs(self) -> int:
        return int(self.told.get("num_envs") or 1)

    @property
    def render_mode(self) -> str | None:
        return self.told.get("render_mode")

    def metadata(self) -> dict[str, Any]:
        """Gymnasium's metadata; what can be rendered remotely is a picture."""
        metadata = {**self.told.get("metadata", {}), "render_modes": ["rgb_array"]}
        if self.order.num_envs is not None:
            metadata["autoreset_mode"] = AutoresetMode(_mode(self.told.get("autoreset_mode")))
        return metadata

    def spec(self, address: Address, entry_point: str) -> EnvSpec:
        """How to make another one; never with the token."""
        order = self.order
        kwargs = {**order.kwargs, "env_id": order.env_id, "server": str(address)}
        if order.render_mode is not None:
            kwargs["render_mode"] = order.render_mode
        if order.max_episode_steps is not None:
            kwargs["max_episode_steps"] = order.max_episode_steps
        return EnvSpec(
            order.env_id,
            entry_point=entry_point,
            vector_entry_point="client:make_vec",
            reward_threshold=self.told.get("reward_threshold"),
            max_episode_steps=self.told.get("max_episode_steps"),
            order_enforce=False,  # the server does both of these
            disable_env_checker=True,
            kwargs=kwargs,
        )


def _mode(name: str | None) -> str:
    return name or AutoresetMode.NEXT_STEP.value
