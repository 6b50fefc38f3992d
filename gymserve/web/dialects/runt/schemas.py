"""Schemas of RUNT's requests and responses, for the API description."""

from typing import Annotated

from msgspec import Meta, Struct

from gymserve.protocol.wire import JSONObject, JSONValue


class RuntTraining(Struct):
    """A training's parameters. Numbers may be strings, as in forms."""

    algorithm: Annotated[str, Meta(description="a name from /algorithms")]
    target_episode: Annotated[int, Meta(ge=1, le=10**6, description="the number of episodes, of 100 steps each")]
    task_size_average: Annotated[float | None, Meta(description="kilobytes")] = None
    task_comsumption_average: Annotated[float | None, Meta(description="millions of cycles")] = None
    task_time_average: Annotated[float | None, Meta(description="seconds")] = None
    task_arrival_rate: Annotated[float | None, Meta(description="the probability of a task per user and slot")] = None
    n_UE: Annotated[int | None, Meta(description="users, 1 to 100")] = None
    UE_computation_capacity: Annotated[float | None, Meta(description="MHz of each user")] = None
    MEC_computation_capacity: Annotated[float | None, Meta(description="MHz of the server")] = None
    seed: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    gamma: float | None = None


class RuntModelName(Struct):
    model_id: Annotated[int, Meta(description="the id that /train returned")]


class RuntTest(Struct):
    model_id: Annotated[int, Meta(description="the id that /train returned")]
    observation: Annotated[list[float], Meta(description="4 n_UE + 4 numbers, which are clipped to 0 to 1")]


class RuntQuestion(Struct):
    hyperparameters: Annotated[JSONObject, Meta(description="algorithm, learning_rate, …; 0 means not set")]
    rewards: Annotated[list[float], Meta(description="the episodes' rewards")]


class RuntAnswer(Struct):
    status: Annotated[str, Meta(description="success or error")]
    message: str
    data: JSONValue = None


class RuntStarted(RuntAnswer):
    id: Annotated[int | None, Meta(description="the id for the other requests")] = None


class RuntRollout(Struct):
    status: str
    message: str
    observation: list[list[float]]
    action: list[list[float]]
    rewards: list[float]
