"""Schemas of rewards-api's requests and responses, for the API description."""

from typing import Annotated

from msgspec import Meta, Struct

from gymserve.protocol.wire import JSONObject, JSONValue
from gymserve.training.sessions import parameters as session_parameters
from gymserve.training.sessions.parameters import Name


class SessionName(Struct):
    session_id: Name | None = None


class RewardsSession(Struct):
    status: int
    session_id: str
    session_creation_date: str
    session_creation_time: str
    dir_paths: Annotated[dict[str, str], Meta(description="names, not paths on the server's disk")]
    json_paths: dict[str, str]


class RewardsMessage(Struct):
    status: int
    message: str


class RewardsWritten(Struct):
    status: int
    response: str


class EnvironmentParameters(session_parameters.SessionEnvironment):
    session_id: Name | None = None


class AgentParameters(session_parameters.SessionAgent):
    session_id: Name | None = None


class TrainingParameters(SessionName):
    learning_algorithm: Annotated[JSONValue, Meta(description="DQN, QRDQN, PPO or A2C; a number means DQN")] = "DQN"
    enable_wandb: Annotated[JSONValue, Meta(description="has no effect: metrics stay on this server")] = False
    reward_function: Annotated[
        str | None, Meta(description="a function in the reward language; by default 1 for each step")
    ] = None


class RewardFunction(SessionName, kw_only=True):
    reward_function: Annotated[str, Meta(description="a function in the reward language")]


class EvaluationParameters(session_parameters.SessionEvaluation):
    session_id: Name | None = None


class RewardsHistory(Struct):
    last_created: JSONObject
    last_trained: JSONObject
    notes: Annotated[list[str], Meta(description="the parameters that have no effect here")] = []


class Parameters(Struct):
    status: int
    env_params: JSONObject
    agent_params: JSONObject
    training_params: JSONObject
    training_metrics: dict[str, list[float]]
    evaluation_metrics: JSONObject
    model_history: JSONObject
    model_card: JSONObject


class DialectEnvironment(Struct):
    name: str
    id: str
    description: str
    isReleased: bool


class Score(Struct):
    rank: Annotated[int | None, Meta(description="null if the session was not evaluated")]
    session_id: str
    user: str
    score: Annotated[float | None, Meta(description="the mean over all tracks of the steps that its trials last")]


class Scores(Struct):
    status: int
    session: Score | None
    leaderboard: list[Score]


class DialectUser(Struct):
    id: int
    name: str


class RankedUser(Struct):
    user: Annotated[JSONObject, Meta(description="the name, and identities in the front end's form")]
    score: float


class Users(Struct):
    status: int
    users: list[DialectUser]
    leaderboard_data: list[RankedUser]


class RewardsPushed(Struct):
    status: int
    response: str
    model_id: str
    keys: Annotated[list[str], Meta(description="the model's keys in the bucket")]
