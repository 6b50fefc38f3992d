"""What requests and answers of rewards-api hold, as the API's description tells it."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from gymserve.training.sessions import parameters as session_parameters
from gymserve.training.sessions.parameters import Name


class SessionName(Struct):
    session_id: Name | None = None


class RewardsSession(Struct):
    status: int
    session_id: str
    session_creation_date: str
    session_creation_time: str
    dir_paths: Annotated[dict[str, str], Meta(description="names, not places on the server's disk")]
    json_paths: dict[str, str]


class Said(Struct):
    status: int
    message: str


class Written(Struct):
    status: int
    response: str


class EnvironmentParameters(session_parameters.Environment):
    session_id: Name | None = None


class AgentParameters(session_parameters.Agent):
    session_id: Name | None = None


class TrainingParameters(SessionName):
    learning_algorithm: Annotated[Any, Meta(description="DQN, QRDQN, PPO or A2C; a number: DQN")] = "DQN"
    enable_wandb: Annotated[Any, Meta(description="has no effect: metrics stay here")] = False
    reward_function: Annotated[str | None, Meta(description="in the reward language; none: 1 for each step")] = None


class RewardFunction(SessionName, kw_only=True):
    reward_function: Annotated[str, Meta(description="in the reward language")]


class EvaluationOrder(session_parameters.Evaluation):
    session_id: Name | None = None


class RewardsHistory(Struct):
    last_created: dict[str, Any]
    last_trained: dict[str, Any]
    notes: Annotated[list[str], Meta(description="what of the parameters has no effect here")] = []


class Parameters(Struct):
    status: int
    env_params: dict[str, Any]
    agent_params: dict[str, Any]
    training_params: dict[str, Any]
    training_metrics: dict[str, list[float]]
    evaluation_metrics: dict[str, Any]
    model_history: dict[str, Any]
    model_card: dict[str, Any]


class DialectEnvironment(Struct):
    name: str
    id: str
    description: str
    isReleased: bool


class Score(Struct):
    rank: Annotated[int | None, Meta(description="null: it was not evaluated")]
    session_id: str
    user: str
    score: Annotated[float | None, Meta(description="steps that its trials live, the mean over all tracks")]


class Scores(Struct):
    status: int
    session: Score | None
    leaderboard: list[Score]


class DialectUser(Struct):
    id: int
    name: str


class RankedUser(Struct):
    user: Annotated[dict[str, Any], Meta(description="name, and identities as the front end reads them")]
    score: float


class Users(Struct):
    status: int
    users: list[DialectUser]
    leaderboard_data: list[RankedUser]


class RewardsPushed(Struct):
    status: int
    response: str
    model_id: str
    keys: Annotated[list[str], Meta(description="where it is in the bucket")]
