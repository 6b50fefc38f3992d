"""What requests and answers about models hold, as the API's description tells it."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from gymserve.web.schemas import Seed


class NewModel(Struct):
    experiment_id: Annotated[str, Meta(description="of an experiment that was completed or stopped")]
    title: Annotated[str, Meta(max_length=200, description="the experiment's name, if none is given")] | None = None


class ModelChange(Struct):
    title: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    is_promoted: Annotated[bool, Meta(description="true: the one of its title that is to be used")] = False


class ModelCard(Struct):
    id: str
    title: str
    version: Annotated[int, Meta(description="counts within the title")]
    is_promoted: bool
    experiment_id: str
    algorithm: str
    environment: str
    hyperparameters: dict[str, Any]
    configuration: dict[str, Any]
    timesteps: int
    evaluation: dict[str, Any]
    created_at: str


class ModelCards(Struct):
    """`status`, `message` and `data` are for RUNT's clients: its models are experiments there."""

    total: int
    models: list[ModelCard]
    status: str | None = None
    message: str | None = None
    data: dict[str, Any] | None = None


class Prediction(Struct):
    """One of the two."""

    observation: Annotated[Any, Meta(description="as the environment gives it")] = None
    observations: Annotated[list[Any] | None, Meta(description="many of them")] = None
    deterministic: bool = True


class Predictions(Struct):
    action: Any = None
    actions: list[Any] | None = None


class RolloutOrder(Struct):
    seed: Seed | None = None
    observation: Annotated[Any, Meta(description="to begin from, where the environment can")] = None
    steps: Annotated[int, Meta(ge=1, le=10_000)] = 100
    deterministic: bool = True


class Rollout(Struct):
    observations: list[Any]
    actions: list[Any]
    rewards: list[float]
    done: Annotated[bool, Meta(description="whether the episode ended within the steps")]
