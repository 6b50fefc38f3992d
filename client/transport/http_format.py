"""The HTTP format of requests and results, without I/O: JSON, for networks that block streams."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gymserve.client.transport.exceptions import ServerError
from gymserve.client.transport.instance import Instance
from gymserve.client.transport.stream_format import CALL, RENDER, RESET, STEP, Request
from gymserve.protocol import errors, wire
from gymserve.protocol.spaces import codec, jsonable


class Call(NamedTuple):
    """One HTTP call."""

    method: str
    path: str
    body: object = None


class HttpFormat:
    """Encodes one instance's requests as HTTP calls, and decodes the responses."""

    def __init__(self, instance: Instance) -> None:
        action_space, observation_space = instance.spaces()
        self._path = f"/v1/envs/{instance.token}"
        self._batch = instance.is_batch
        self._actions = codec(action_space)
        self._observations = codec(observation_space)
        self._single_observations = codec(instance.single_spaces()[1])

    def describe(self) -> Call:
        """The call whose response describes the instance, with the last `seq` that the server has seen."""
        return Call("GET", f"{self._path}/?bounds=short")

    def encode(self, request: Request, seq: int | None) -> Call:
        """The call that sends `request`.

        Raises:
            ServerError: only a stream can send it.
        """
        kind, *arguments = request
        if kind == STEP:
            action = self._actions.to_json(self._actions.unpack(arguments[0], check=False))
            return Call("POST", f"{self._path}/step/", {"action": action, "seq": seq})
        if kind == RESET:
            seed, options = arguments
            return Call(
                "POST", f"{self._path}/reset/", {"seed": seed, "options": jsonable(wire.unpack(options)), "seq": seq}
            )
        if kind == CALL:
            raise ServerError(
                f"{arguments[0]} of the environment needs a stream, and the network lets none through: it blocks WebSocket"
            )
        return Call("GET", f"{self._path}/render")

    def decode(self, payload: Any, kind: int) -> Any:
        """The result in the response to a request of this `kind`, as `StreamFormat.decode` returns it.

        Raises:
            ServerError: the response cannot be read.
        """
        if kind == RENDER:
            return self._rendered(payload)
        try:
            observation, info = self._observation(payload["observation"], kind), payload["info"]
            if self._batch:
                info = self._batch_info(info)
            if kind == RESET:
                return observation, info
            reward, terminated, truncated = payload["reward"], payload["terminated"], payload["truncated"]
            if self._batch:
                return observation, np.array(reward, np.float64), np.array(terminated), np.array(truncated), info
            info.pop("TimeLimit.truncated", None)  # for old clients; a stream does not have it
            return observation, float(reward), terminated, truncated, info
        except (TypeError, LookupError, ValueError, AttributeError, errors.GymserveError) as error:
            raise ServerError(f"the server's response cannot be read: {error}") from error

    def _rendered(self, payload: object) -> object:
        if self._batch:
            raise ServerError("the network lets no stream through, and over HTTP only the first copy can be rendered")
        return payload.decode() if isinstance(payload, bytes) and not payload.startswith(b"\x89PNG") else payload

    def _observation(self, value: Any, kind: int) -> Any:
        if value is None and kind == RESET:
            return None
        return self._observations.from_json(value, name="observation")

    def _batch_info(self, info: Mapping[str, object]) -> dict[str, Any]:
        final = info.get("final_obs")
        info = _with_arrays(info)
        if isinstance(final, list):
            info["final_obs"] = _object_array([self._single_observation(each) for each in final])
        return info

    def _single_observation(self, value: object) -> Any:
        return None if value is None else self._single_observations.from_json(value, name="observation")


def _with_arrays(info: Mapping[str, object]) -> dict[str, Any]:
    """A vector environment's info with arrays again where JSON made lists of them."""
    result: dict[str, object] = {}
    for key, value in info.items():
        if isinstance(value, dict):
            result[key] = _with_arrays(value)
        elif isinstance(value, list) and (key.startswith("_") or f"_{key}" in info):
            plain = all(isinstance(element, (bool, int, float)) for element in value)
            result[key] = np.array(value) if plain else _object_array(value)
        else:
            result[key] = value
    return result


def _object_array(values: Sequence[object]) -> NDArray[np.object_]:
    array = np.full(len(values), None, object)
    for index, value in enumerate(values):
        array[index] = _array(value) if isinstance(value, list) else value
    return array


def _array(value: Sequence[object]) -> Any:
    try:
        return np.array(value)
    except ValueError:  # lists of different lengths
        return value
