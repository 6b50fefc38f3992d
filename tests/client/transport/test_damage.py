"""Whatever a server, or something that poses as one, replies: the agent gets a result or one of the client's errors."""

import random
from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve import client
from gymserve.client.transport.conversation import Conversation
from gymserve.client.transport.exceptions import server_error
from gymserve.client.transport.instance import Instance, InstanceRequest
from gymserve.client.transport.websocket import refusal
from gymserve.protocol import wire
from gymserve.protocol.spaces import codec, describe
from tests.client.environments import mapping, telling  # noqa: F401  they register the local twins

SHAPES: list[Any] = [
    [wire.ERROR, 1, 409, "Conflict", "no"],
    [wire.ERROR, 1, [], {}, []],
    [wire.ERROR, 1, 429, "TooFast", "no", "soon"],
    [wire.ERROR],
    [wire.STEP, 1, {}, 1.0, False, False, {}],
    [wire.STEP, 1, [[1], 2], 1.0, False, False, {}],
    [wire.RESET, 1, {"picture": 1}, {}],
    [wire.RENDER],
    [],
    {},
    7,
    None,
]


def conversation(env_id: str, num_envs: int, compression: str | None) -> tuple[Conversation[Any], Any]:
    """A conversation without a stream, and a packed observation."""
    env = gymnasium.make(env_id)
    spaces = {"action_space": describe(env.action_space), "observation_space": describe(env.observation_space)}
    instance = Instance("token", InstanceRequest(env_id=env_id, kwargs={}), {**spaces, "num_envs": num_envs})
    observation_space = instance.spaces()[1]
    observation_space.seed(1)
    return Conversation(instance, compression=compression), codec(observation_space).pack(observation_space.sample())


def damaged(message: bytes, chance: random.Random) -> bytes:
    """`message` with up to three other bytes, and sometimes without its end."""
    copy = bytearray(message)
    for _ in range(chance.randrange(4)):
        copy[chance.randrange(len(copy))] = chance.randrange(256)
    return bytes(copy[: chance.randrange(len(copy) + 1)] if chance.random() < 0.3 else copy)


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize(
    ("env_id", "num_envs"), [("CartPole-v1", 1), ("Mapping-v0", 1), ("Telling-v0", 1), ("CartPole-v1", 3)]
)
def test_a_damaged_reply_is_a_result_or_an_error_of_ours(env_id: str, num_envs: int, compression: str | None) -> None:
    talk, observation = conversation(env_id, num_envs, compression)
    chance = random.Random(1)
    rewards, flags = np.ones(num_envs).tobytes(), bytes(num_envs)
    valid = [wire.STEP, 1, observation, rewards, flags, flags, {"x": (1, 2)}]
    outcomes = {True: 0, False: 0}
    for kind in (wire.RESET, wire.STEP, wire.RENDER):
        for shape in [
            valid,
            [wire.RESET, 1, observation, {"array": np.arange(3)}],
            [wire.RENDER, None, b"png"],
            *SHAPES,
        ]:
            for _ in range(60):
                talk.seq, talk.request = 0, (kind,)
                prefix = b"" if compression is None else chance.choice((b"\0", b"\0", b"\0", b"\1"))
                try:
                    talk.read(prefix + damaged(wire.pack(shape), chance))
                    outcomes[True] += 1
                except client.ServerError:
                    outcomes[False] += 1
    assert outcomes[True] > 20 and outcomes[False] > 1000


@pytest.mark.parametrize(
    "payload",
    [
        None, [], b"text", {}, {"observation": [0.0] * 4}, {"observation": [0.0] * 4, "info": None},
        {"observation": [0.0] * 4, "info": {}}, {"observation": "left", "info": {}},
        {"observation": [0.0] * 4, "info": {}, "reward": [], "terminated": 0, "truncated": 0},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_http_response_is_an_error_of_ours(payload: Any) -> None:
    for num_envs in (1, 2):
        talk, _ = conversation("CartPole-v1", num_envs, None)
        talk.step(0 if num_envs == 1 else [0, 0])
        with pytest.raises(client.ServerError, match="cannot be read"):
            talk.read_http(payload)
        assert talk.seq == 0


def test_errors_with_odd_members_are_errors_still() -> None:
    refused = refusal(400, b'{"error": ["a", "list"], "message": {"a": "map"}}')
    assert type(refused) is client.InvalidRequest and str(refused) == "{'a': 'map'}"
    error = server_error("TooFast", "slow down", 429, "soon")
    assert isinstance(error, client.TooFast) and error.retry_after == client.TooFast.retry_after
