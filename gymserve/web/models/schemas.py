"""What requests and answers about models hold, as the API's description tells it."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from gymserve.protocol.params import Seed
from gymserve.training.plan.numbers import Description, Title
from gymserve.training.plan.requests import Hypothesis, RunRequest, Tags
from gymserve.web.challenges.schemas import Entrant


class NewModel(Struct):
    experiment_id: Annotated[str, Meta(description="of an experiment that was completed or stopped")]
    title: Annotated[Title | None, Meta(description="the experiment's name, if none is given")] = None


class RetrainRequest(RunRequest, kw_only=True):
    """What is not said is as it was for the model; another environment must have equal spaces."""

    name: Annotated[Title | None, Meta(description="the model's title, if none is given")] = None
    description: Description = ""
    hypothesis: Hypothesis = ""
    tags: Tags = []


class ModelChange(Struct):
    title: Title | None = None
    is_promoted: Annotated[bool, Meta(description="true: the one of its title that is to be used")] = False


class ModelCard(Struct):
    id: str
    title: str
    version: Annotated[int, Meta(description="counts within the title")]
    is_promoted: bool
    experiment_id: Annotated[str | None, Meta(description="null: it was uploaded")]
    algorithm: str
    environment: str
    hyperparameters: dict[str, Any]
    configuration: dict[str, Any]
    timesteps: int
    evaluation: dict[str, Any]
    parent: Annotated[str | None, Meta(description="the model that its experiment began from")]
    lineage: Annotated[list[dict[str, Any]], Meta(description="that model, its parent, and so on")]
    record: Annotated[dict[str, float | None], Meta(description="best_episode and best_evaluation: returns")]
    started_at: Annotated[str | None, Meta(description="when its training began")]
    completed_at: str | None
    created_at: Annotated[str, Meta(description="when it was taken into the registry")]
    graph_path: Annotated[str | None, Meta(description="its learning curve, below the server's address")]
    video_path: Annotated[str | None, Meta(description="its experiment's best evaluation episode")]


class ModelCards(Struct):
    """`status`, `message` and `data` are for RUNT's clients: its models are experiments there."""

    total: int
    models: list[ModelCard]
    status: str | None = None
    message: str | None = None
    data: dict[str, Any] | None = None


class SubmitRequest(Struct):
    challenge: str
    entrant: Entrant = None


class Played(Struct):
    model_id: str
    submission_id: Annotated[str, Meta(description="what /submissions/<id>/ tells of")]
    challenge: str
    phase: str
    submissions_remaining: int | None


class Pushed(Struct):
    model_id: str
    bucket: str
    keys: Annotated[list[str], Meta(description="under which its files are in the bucket")]


class Prediction(Struct):
    """One of the two."""

    observation: Annotated[Any, Meta(description="as the environment gives it")] = None
    observations: Annotated[list[Any] | None, Meta(description="many of them")] = None
    deterministic: bool = True


class Predictions(Struct):
    action: Any = None
    actions: list[Any] | None = None


class RolloutRequest(Struct):
    seed: Seed | None = None
    observation: Annotated[Any, Meta(description="to begin from, where the environment can")] = None
    steps: Annotated[int, Meta(ge=1, le=10_000)] = 100
    deterministic: bool = True


class Rollout(Struct):
    observations: list[Any]
    actions: list[Any]
    rewards: list[float]
    done: Annotated[bool, Meta(description="whether the episode ended within the steps")]
