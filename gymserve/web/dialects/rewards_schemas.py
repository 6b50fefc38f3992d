"""What requests and answers of rewards-api hold, as the API's description tells it."""

from typing import Annotated, Any

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=200, description="the session's name; or in the query")]
Number = int | float | str
"""Forms send numbers as texts."""


class SessionName(Struct):
    session_id: Name | None = None


class Created(Struct):
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


class EnvironmentParameters(SessionName):
    environment_name: Annotated[str, Meta(examples=["car-race"])] = "car-race"
    environment_world: Annotated[Number, Meta(description="the track, 1 to 3; 0 is the first as well")] = 1
    mode: Annotated[str, Meta(description="training or evaluation")] = "training"
    car_speed: Annotated[Number, Meta(description="steps a second at which it is shown, 1 to 240")] = 20


class AgentParameters(SessionName):
    model_configuration: Annotated[Any, Meta(description="the layers, as JSON", examples=["[[5,49],[49,3]]"])] = (
        "[[5,49],[49,3]]"
    )
    learning_rate: Annotated[Number, Meta(description="from 1 on in hundred-thousandths")] = 60
    loss_fn: str = "mse"
    optimizer: Annotated[str, Meta(description="adam, adamw, rmsprop or sgd")] = "adam"
    gamma: Annotated[Number, Meta(description="from 1 on in percent")] = 90
    epsilon: Annotated[Number, Meta(description="how much is explored at first; from 1 on in percent")] = 20
    num_episodes: Annotated[Number, Meta(description="after which it ends, 1 to 10,000")] = 700


class TrainingParameters(SessionName):
    learning_algorithm: Annotated[Any, Meta(description="DQN, QRDQN, PPO or A2C; a number: DQN")] = "DQN"
    enable_wandb: Annotated[Any, Meta(description="has no effect: metrics stay here")] = False
    reward_function: Annotated[str | None, Meta(description="in the reward language; none: 1 for each step")] = None


class EvaluationOrder(SessionName):
    mode: str | None = None
    track_num: Number | None = None


class History(Struct):
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


class Users(Struct):
    status: int
    users: list[DialectUser]


class Pushed(Struct):
    status: int
    response: str
    model_id: str
    keys: Annotated[list[str], Meta(description="where it is in the bucket")]
