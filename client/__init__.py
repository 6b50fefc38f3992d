"""The client of a gymserve server: remote environments that behave like Gymnasium's own.

env = client.make("CartPole-v1", server="http://127.0.0.1:5000")
envs = client.make_vec("CartPole-v1", num_envs=64)
envs = client.make_vec("osim/Run-v0", num_envs=8, vectorization_mode="async")   # slow ones, in parallel
env = await client.aio.make("CartPole-v1")
env = gymnasium.make("gymserve.client:remote/CartPole-v1")   # on the server that $GYMSERVE_SERVER names
result = client.submit("challenge", agent)                   # plays a challenge's trials
run = client.Experiments().train("pole", algorithm="PPO", environment="CartPole-v1")
remote = client.Client("http://127.0.0.1:5000")              # the client of openai/gym-http-api
"""

from typing import Any, Literal, overload

from gymnasium import VectorizeMode
from gymnasium.vector import VectorEnv

from gymserve.client import aio
from gymserve.client.async_vector import AsyncRemoteVectorEnv
from gymserve.client.environment import RemoteEnv
from gymserve.client.registration import register
from gymserve.client.submission import submit
from gymserve.client.training import Experiments
from gymserve.client.transport.exceptions import (
    Conflict,
    ConnectionLost,
    DatabaseFull,
    EnvironmentFailed,
    Forbidden,
    InvalidRequest,
    InvalidValue,
    KeyReused,
    LimitReached,
    NotFound,
    NotReachable,
    NotReplayable,
    OutOfSequence,
    ServerError,
    StepTimeout,
    StorageFull,
    TimedOut,
    TooFast,
    Unauthenticated,
    Unavailable,
    UnknownArgument,
    UnknownEnvironment,
    UnknownInstance,
    Untrainable,
)
from gymserve.client.transport.patience import Limits
from gymserve.client.v1 import Client
from gymserve.client.vector import RemoteVectorEnv
from gymserve.system import aliases

__all__ = [
    "AsyncRemoteVectorEnv",
    "Client",
    "Conflict",
    "ConnectionLost",
    "DatabaseFull",
    "EnvironmentFailed",
    "Experiments",
    "Forbidden",
    "InvalidRequest",
    "InvalidValue",
    "KeyReused",
    "LimitReached",
    "Limits",
    "NotFound",
    "NotReachable",
    "NotReplayable",
    "OutOfSequence",
    "RemoteEnv",
    "RemoteVectorEnv",
    "ServerError",
    "StepTimeout",
    "StorageFull",
    "TimedOut",
    "TooFast",
    "Unauthenticated",
    "Unavailable",
    "UnknownArgument",
    "UnknownEnvironment",
    "UnknownInstance",
    "Untrainable",
    "aio",
    "make",
    "make_vec",
    "register",
    "submit",
]


def make(env_id: str, **options: Any) -> RemoteEnv:
    """A remote environment.

    Args:
        env_id: an id in the server's catalogue.
        options: `server` (default $GYMSERVE_SERVER, else http://127.0.0.1:5000), `token` (default $GYMSERVE_TOKEN),
            `render_mode`, `max_episode_steps`, `wrappers` (Gymnasium's, which the server applies, such as
            `[{"name": "FrameStackObservation", "kwargs": {"stack_size": 4}}]`), `compression` ("zstd" or "lz4"),
            `limits` (a `Limits`: time-outs); all others are the environment's own arguments.

    Raises:
        ServerError: the server refused, or is not there.
    """
    return RemoteEnv(env_id, **options)


@overload
def make_vec(
    env_id: str, num_envs: int = 1, *, vectorization_mode: Literal["async"], **options: Any
) -> AsyncRemoteVectorEnv: ...


@overload
def make_vec(
    env_id: str, num_envs: int = 1, *, vectorization_mode: VectorizeMode | str = "sync", **options: Any
) -> VectorEnv[Any, Any, Any]: ...


def make_vec(
    env_id: str, num_envs: int = 1, *, vectorization_mode: VectorizeMode | str = "sync", **options: Any
) -> VectorEnv[Any, Any, Any]:
    """A remote vector environment of `num_envs` copies.

    Args:
        vectorization_mode: "sync": copies in one instance, stepped with one message; "async": an `AsyncRemoteVectorEnv`,
            of which each copy is an instance of its own, so that slow environments step at the same time.
        options: those of `make`, and Gymnasium's `autoreset_mode` ("NextStep", "SameStep" or "Disabled"); with "async"
            also `batch_size`, of `recv` (default `num_envs`).

    Raises:
        ServerError: the server refused, or is not there. No instance is left then.
    """
    if VectorizeMode(vectorization_mode) is VectorizeMode.ASYNC:
        return AsyncRemoteVectorEnv(env_id, num_envs, **options)
    return RemoteVectorEnv(env_id, num_envs, **options)


if __name__ == "client":  # imported by that name, as in a checkout
    aliases.alias("client", "gymserve.client")
register()
