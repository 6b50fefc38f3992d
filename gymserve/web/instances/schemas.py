"""What requests and answers about instances and the catalogue hold, as the API's description tells it."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gymserve.environments.wrappers import ALLOWED, MOST
from gymserve.hosts import calls
from gymserve.hosts.calls import Reset as Reset
from gymserve.protocol import recipe
from gymserve.protocol.params import Seed
from gymserve.web.challenges.schemas import Entrant


class Wrapper(recipe.Wrapper, frozen=True):
    """One of Gymnasium's wrappers, which the server puts around the environment."""

    name: Annotated[Literal[ALLOWED], Meta(description="as in gymnasium.wrappers")]  # type: ignore[valid-type]
    kwargs: Annotated[dict[str, Any], Meta(description="its arguments")] = {}


class Create(Struct):
    """How to make an instance."""

    env_id: Annotated[str, Meta(description="an id of the catalogue, such as CartPole-v1", examples=["CartPole-v1"])]
    seed: Annotated[Seed | None, Meta(description="of the first reset")] = None
    kwargs: Annotated[dict[str, Any], Meta(description="the environment's own, as the catalogue allows them")] = {}
    max_episode_steps: Annotated[int, Meta(ge=1, lt=2**31)] | None = None
    render_mode: Annotated[str | None, Meta(description="such as rgb_array")] = None
    num_envs: Annotated[int, Meta(ge=1, description="more than 1: a vector instance")] = 1
    autoreset_mode: Annotated[
        Literal["NextStep", "SameStep", "Disabled"] | None, Meta(description="with one copy, a vector of it")
    ] = None
    wrappers: Annotated[
        list[Wrapper], Meta(max_length=MOST, description="around the environment, innermost first")
    ] = []
    entrant: Entrant = None


class Created(Struct):
    instance_id: Annotated[str, Meta(description="the token that addresses the instance")]
    token: Annotated[str, Meta(description="the same")]


class Instances(Struct):
    all_envs: Annotated[dict[str, str], Meta(description="token → environment, as asked for")]


class Latency(Struct):
    """Mean time of a step, in µs."""

    environment: float
    journal: float
    total: float


class Instance(Struct):
    instance_id: str
    env_id: Annotated[str, Meta(description="as asked for")]
    environment: str
    num_envs: int
    kwargs: dict[str, Any]
    action_space: Annotated[dict[str, Any], Meta(description="of one copy, if there are several")]
    observation_space: dict[str, Any]
    metadata: dict[str, Any]
    render_mode: str | None
    max_episode_steps: int | None
    reward_threshold: float | None
    autoreset_mode: str | None
    wrappers: list[Wrapper]
    offers: Annotated[list[str], Meta(description="what can be asked of the environment itself on a stream")]
    age_seconds: float
    idle_seconds: float
    steps: int
    episode: int
    seq: int | None
    state: Annotated[str, Meta(description="created, running or done")]
    monitoring: bool
    host: str
    latency_us: Latency


class Observation(Struct):
    observation: Any
    info: dict[str, Any]


class Step(calls.Step, kw_only=True):
    action: Annotated[Any, Meta(description="in the action space; null, an empty string and [] count as missing")]
    render: Annotated[bool, Meta(description="taken and ignored: servers have no screen")] = False


class Stepped(Struct):
    """For a vector instance `reward`, `done`, `terminated` and `truncated` are lists."""

    observation: Any
    reward: float | list[float | None] | None
    done: Annotated[bool | list[bool], Meta(description="terminated or truncated")]
    terminated: bool | list[bool]
    truncated: bool | list[bool]
    info: dict[str, Any]


class Space(Struct):
    info: Annotated[dict[str, Any], Meta(description="name, and the keys that this kind of space has")]


class Action(Struct):
    action: Any


class Member(Struct):
    member: bool


class MonitorStart(Struct):
    directory: Annotated[str, Meta(min_length=1, description="a label; never a path of the server")]
    force: Annotated[bool, Meta(description="delete earlier results")] = False
    resume: Annotated[bool, Meta(description="keep earlier results")] = False
    video_callable: Annotated[
        bool | Annotated[int, Meta(ge=0)], Meta(description="false, true, or every how many episodes")
    ] = False


class Finished(Struct):
    """What a submission came to."""

    reward: float | None
    submission_id: str
    reason: str


class Upload(Struct):
    training_dir: Annotated[str, Meta(min_length=1, description="the directory of a monitor")]
    api_key: Annotated[str, Meta(min_length=1)]
    algorithm_id: str | None = None


class Description(Struct):
    """Any keys of a space's description, to be compared with its own."""

    name: str | None = None
    shape: list[int] | None = None


class Row(Struct):
    """An environment of the catalogue; what stands behind `missing` is told only where nothing is."""

    id: str
    aliases: Annotated[list[str], Meta(description="old ids that lead here")]
    kind: Annotated[str, Meta(description="shared or dedicated: whether its instances share a host")]
    max_episode_steps: int | None
    reward_threshold: float | None
    vector_entry_point: bool
    missing: Annotated[str | None, Meta(description="what is needed to make it")]
    install: Annotated[str | None, Meta(description="the command that brings it")]
    kwargs: Annotated[list[str], Meta(description="those that may be given")] = []
    render_modes: list[str] = []
    action_space: dict[str, Any] = {}
    observation_space: dict[str, Any] = {}


class Catalogue(Struct):
    environments: list[Row]
