"""Schemas of requests and responses about instances and the catalogue, for the API description."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gymserve.environments.wrappers import ALLOWED, MOST
from gymserve.hosts import calls
from gymserve.protocol import recipe
from gymserve.protocol.params import Seed
from gymserve.protocol.wire import JSONObject
from gymserve.web.challenges.schemas import Entrant


class WrapperRequest(recipe.Wrapper, frozen=True):
    """One of Gymnasium's wrappers, to apply to the environment."""

    # Types ignored: the names are only known at run time.
    name: Annotated[Literal[ALLOWED], Meta(description="as in gymnasium.wrappers")]  # type: ignore[valid-type]
    kwargs: Annotated[JSONObject, Meta(description="its arguments")] = {}


class NewInstance(Struct):
    """The options of a new instance."""

    env_id: Annotated[str, Meta(description="an id of the catalogue, e.g. CartPole-v1", examples=["CartPole-v1"])]
    seed: Annotated[Seed | None, Meta(description="the seed of the first reset")] = None
    kwargs: Annotated[JSONObject, Meta(description="the environment's arguments that the catalogue allows")] = {}
    max_episode_steps: Annotated[int, Meta(ge=1, lt=2**31)] | None = None
    render_mode: Annotated[str | None, Meta(description="e.g. rgb_array")] = None
    num_envs: Annotated[int, Meta(ge=1, description="the number of copies; more than 1 makes a vector instance")] = 1
    autoreset_mode: Annotated[
        Literal["NextStep", "SameStep", "Disabled"] | None,
        Meta(description="of a vector instance; makes one even with a single copy"),
    ] = None
    wrappers: Annotated[
        list[WrapperRequest], Meta(max_length=MOST, description="wrappers of the environment, innermost first")
    ] = []
    entrant: Entrant = None


class InstanceList(Struct):
    all_envs: Annotated[dict[str, str], Meta(description="token → environment id, as requested")]


class Latency(Struct):
    """The time of a step, in µs."""

    environment: float
    journal: float
    total: float


class InstanceCard(Struct):
    instance_id: str
    env_id: Annotated[str, Meta(description="the id, as requested")]
    environment: str
    num_envs: int
    kwargs: JSONObject
    action_space: Annotated[JSONObject, Meta(description="of a single copy")]
    observation_space: JSONObject
    metadata: JSONObject
    render_mode: str | None
    max_episode_steps: int | None
    reward_threshold: float | None
    autoreset_mode: str | None
    wrappers: list[WrapperRequest]
    offers: Annotated[list[str], Meta(description="the environment's own requests that a stream accepts")]
    age_seconds: float
    idle_seconds: float
    steps: int
    episode: int
    seq: int | None
    state: Annotated[str, Meta(description="created, running or done")]
    monitoring: bool
    host: str
    latency_us: Annotated[Latency, Meta(description="the mean")]
    latency_p99_us: Annotated[Latency, Meta(description="the 99th percentile, rounded up to a power of two in ns")]


class CreatedInstance(Struct):
    instance_id: Annotated[str, Meta(description="the token that addresses the instance")]
    token: Annotated[str, Meta(description="the same")]
    description: Annotated[InstanceCard | UnsetType, Meta(description="if the query asks for it")] = UNSET


class Observation(Struct):
    observation: Any
    info: JSONObject


class ResetRequest(calls.ResetCall):
    pass


class StepRequest(calls.StepCall, kw_only=True):
    action: Annotated[Any, Meta(description="in the action space; null, an empty string and [] count as missing")]
    render: Annotated[bool, Meta(description="accepted and ignored: servers have no screen")] = False


class StepResult(Struct):
    """For a vector instance `reward`, `done`, `terminated` and `truncated` are lists."""

    observation: Any
    reward: float | list[float | None] | None
    done: Annotated[bool | list[bool], Meta(description="terminated or truncated")]
    terminated: bool | list[bool]
    truncated: bool | list[bool]
    info: JSONObject


class SpaceInfo(Struct):
    info: Annotated[JSONObject, Meta(description="the name and the keys of this kind of space")]


class SampledAction(Struct):
    action: Any


class Membership(Struct):
    member: bool


class MonitorRequest(Struct):
    directory: Annotated[str, Meta(min_length=1, description="a label, not a path on the server")]
    force: Annotated[bool, Meta(description="delete earlier results")] = False
    resume: Annotated[bool, Meta(description="keep earlier results")] = False
    video_callable: Annotated[
        bool | Annotated[int, Meta(ge=0)],
        Meta(description="true to record all episodes, or a number to record every n-th one"),
    ] = False


class SubmissionResult(Struct):
    """The result of a submission."""

    reward: float | None
    submission_id: str
    reason: str


class ResultsUpload(Struct):
    training_dir: Annotated[str, Meta(min_length=1, description="the directory with which monitoring was started")]
    api_key: Annotated[str, Meta(min_length=1)]
    algorithm_id: str | None = None


class SpaceKeys(Struct):
    """Any keys of a space's description, to be compared with those of the instance."""

    name: str | None = None
    shape: list[int] | None = None


class EnvironmentCard(Struct):
    """An environment of the catalogue. The fields after `install` are only set if nothing is missing."""

    id: str
    aliases: Annotated[list[str], Meta(description="old ids of the same environment")]
    kind: Annotated[str, Meta(description="shared or dedicated: whether its instances share a host")]
    max_episode_steps: int | None
    reward_threshold: float | None
    vector_entry_point: bool
    missing: Annotated[str | None, Meta(description="the package that it needs and that is not installed")]
    install: Annotated[str | None, Meta(description="the command that installs the package")]
    kwargs: Annotated[list[str], Meta(description="the arguments that it accepts")] = []
    render_modes: list[str] = []
    action_space: JSONObject = {}
    observation_space: JSONObject = {}


class EnvironmentCards(Struct):
    environments: list[EnvironmentCard]
