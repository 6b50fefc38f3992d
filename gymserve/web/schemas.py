"""What requests and answers hold, as the API's description tells it."""

from typing import Annotated, Any

from msgspec import Meta, Struct

Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Seq = Annotated[int, Meta(ge=0, le=2**32 - 1, description="for exactly-once calls: see the stream's page")]


class Create(Struct):
    """How to make an instance."""

    env_id: Annotated[str, Meta(description="an id of the catalogue, such as CartPole-v1", examples=["CartPole-v1"])]
    seed: Annotated[Seed | None, Meta(description="of the first reset")] = None
    kwargs: Annotated[dict[str, Any], Meta(description="the environment's own, as the catalogue allows them")] = {}
    max_episode_steps: Annotated[int, Meta(ge=1, lt=2**31)] | None = None
    render_mode: Annotated[str | None, Meta(description="such as rgb_array")] = None
    num_envs: Annotated[int, Meta(ge=1, description="more than 1: a vector instance")] = 1
    autoreset_mode: Annotated[str | None, Meta(description="NextStep, SameStep or Disabled; vector instances only")] = (
        None
    )


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
    age_seconds: float
    idle_seconds: float
    steps: int
    episode: int
    seq: int | None
    state: Annotated[str, Meta(description="created, running or done")]
    monitoring: bool
    host: str
    latency_us: Latency


class Reset(Struct):
    seed: Seed | list[Seed] | None = None
    options: dict[str, Any] | None = None
    seq: Seq | None = None


class Observation(Struct):
    observation: Any
    info: dict[str, Any]


class Step(Struct):
    action: Annotated[Any, Meta(description="in the action space; null, an empty string and [] count as missing")]
    seq: Seq | None = None
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
    video_callable: Annotated[bool | int, Meta(description="false, true, or every how many episodes")] = False


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


class Health(Struct):
    status: str
    timestamp: str
    version: str
    uptime_seconds: float
    instances: int
    hosts: int
    active_experiments: Annotated[int | None, Meta(description="null: the database does not answer")] = None


class Error(Struct):
    message: Annotated[str, Meta(description="what is wrong, and the way out")]
    error: Annotated[str, Meta(description="the error's name")]
    retry_after: Annotated[float, Meta(description="seconds to wait, where a rate is exceeded")] = 0.0


class Login(Struct):
    """What the OAuth2 password flow sends; what it does not need may be empty."""

    username: Annotated[str, Meta(min_length=1, description="the account's email")]
    password: Annotated[str, Meta(min_length=1)]
    grant_type: Annotated[str, Meta(description="password, or empty")] = "password"
    scope: str = ""
    client_id: str = ""
    client_secret: str = ""


class Token(Struct):
    access_token: Annotated[str, Meta(description="to be sent as Authorization: Bearer")]
    token_type: str
    expires_in: Annotated[int, Meta(description="seconds")]


class NewUser(Struct):
    email: Annotated[str, Meta(min_length=1, max_length=254, description="an email, or any other name")]
    password: Annotated[str, Meta(min_length=1)]
    role: Annotated[str | None, Meta(description="participant, organiser or admin; administrators only")] = None


class ChangedUser(Struct):
    email: str | None = None
    password: str | None = None
    current_password: Annotated[str | None, Meta(description="of the owner, who changes the account")] = None
    role: str | None = None
    is_active: bool | None = None


class NewProject(Struct):
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    project_type: Annotated[str, Meta(min_length=1, max_length=50, description="such as pymarl or ptf")]
    description: Annotated[str, Meta(max_length=10_000)] = ""


class ChangedProject(Struct):
    title: str | None = None
    project_type: str | None = None
    description: str | None = None


class Project(Struct):
    title: str
    description: str
    project_type: str
    id: Annotated[int, Meta(description="counts from 1 within the account")]
    owner_id: int
    log_path: str
    created_at: str
    experiments: Annotated[
        list[Any], Meta(description="as /experiments/ below the project lists them, without metrics")
    ]


class User(Struct):
    email: str
    id: int
    is_active: bool
    role: str
    created_at: str
    projects: list[Project]


class KeyOrder(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scopes: Annotated[
        list[str] | None, Meta(description="environments, submissions, training, account, operations; null: all")
    ] = None
    days: Annotated[
        Annotated[float, Meta(gt=0, le=3650)] | None, Meta(description="how long it lasts; null: until revoked")
    ] = None


class Key(Struct):
    id: int
    name: str
    hint: Annotated[str, Meta(description="how the key begins")]
    scopes: list[str] | None
    created_at: str
    expires_at: str | None


class NewKey(Key):
    key: Annotated[str, Meta(description="the key, shown this once")] = ""


class Check(Struct):
    ok: bool
    reason: str | None


class Ready(Struct):
    status: Annotated[str, Meta(description="ready or not ready")]
    checks: Annotated[dict[str, Check], Meta(description="database, hosts, disk")]


class Live(Struct):
    status: str
