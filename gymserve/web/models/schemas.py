"""The requests and responses of models, as the API's description shows them."""

from typing import Annotated

from msgspec import Meta, Struct

from gymserve.protocol.params import Seed
from gymserve.protocol.wire import JSONObject, JSONValue
from gymserve.training.plan.numbers import Description, Title
from gymserve.training.plan.requests import Hypothesis, RunRequest, Tags
from gymserve.web.challenges.schemas import Entrant


class NewModel(Struct):
    experiment_id: Annotated[str, Meta(description="a completed or stopped experiment")]
    title: Annotated[Title | None, Meta(description="by default the experiment's name")] = None


class RetrainRequest(RunRequest, kw_only=True):
    """Missing settings are the model's; another environment must have equal spaces."""

    name: Annotated[Title | None, Meta(description="by default the model's title")] = None
    description: Description = ""
    hypothesis: Hypothesis = ""
    tags: Tags = []


class ModelChange(Struct):
    title: Title | None = None
    is_promoted: Annotated[bool, Meta(description="true marks this version as the one of its title to use")] = False


class ModelCard(Struct):
    id: str
    title: str
    version: Annotated[int, Meta(description="counts from 1 within the title")]
    is_promoted: bool
    experiment_id: Annotated[str | None, Meta(description="null if it was uploaded")]
    algorithm: str
    environment: str
    hyperparameters: JSONObject
    configuration: JSONObject
    timesteps: int
    evaluation: JSONObject
    parent: Annotated[str | None, Meta(description="the model that its experiment started from")]
    lineage: Annotated[list[JSONObject], Meta(description="that model, its parent, and so on")]
    record: Annotated[dict[str, float | None], Meta(description="best_episode and best_evaluation: returns")]
    started_at: Annotated[str | None, Meta(description="when its training started")]
    completed_at: str | None
    created_at: Annotated[str, Meta(description="when it was added to the registry")]
    graph_path: Annotated[str | None, Meta(description="its learning curve, relative to the server's address")]
    video_path: Annotated[str | None, Meta(description="its experiment's best evaluation episode")]


class ModelCards(Struct):
    """A page of models; `status`, `message` and `data` are for RUNT's clients, whose models are experiments."""

    total: int
    models: list[ModelCard]
    status: str | None = None
    message: str | None = None
    data: JSONObject | None = None


class SubmitRequest(Struct):
    challenge: str
    entrant: Entrant = None


class Played(Struct):
    model_id: str
    submission_id: Annotated[str, Meta(description="the id for /submissions/<id>/")]
    challenge: str
    phase: str
    submissions_remaining: int | None


class Pushed(Struct):
    model_id: str
    bucket: str
    keys: Annotated[list[str], Meta(description="the keys of its files in the bucket")]


class Prediction(Struct):
    """Exactly one of `observation` and `observations`."""

    observation: Annotated[JSONValue, Meta(description="in the environment's observation space")] = None
    observations: Annotated[list[JSONValue] | None, Meta(description="a list of such observations")] = None
    deterministic: bool = True


class Predictions(Struct):
    action: JSONValue = None
    actions: list[JSONValue] | None = None


class RolloutRequest(Struct):
    seed: Seed | None = None
    observation: Annotated[JSONValue, Meta(description="to start from, if the environment supports that")] = None
    steps: Annotated[int, Meta(ge=1, le=10_000)] = 100
    deterministic: bool = True


class Rollout(Struct):
    observations: list[JSONValue]
    actions: list[JSONValue]
    rewards: list[float]
    done: Annotated[bool, Meta(description="whether the episode ended within the steps")]
