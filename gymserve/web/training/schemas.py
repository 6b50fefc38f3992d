"""The requests and responses of training, as the API's description shows them."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from gymserve.protocol.params import Seed
from gymserve.protocol.wire import JSONObject, JSONValue
from gymserve.training.plan.numbers import Description, Title
from gymserve.training.plan.requests import Hypothesis, RunRequest, Tags
from gymserve.training.plan.training_plan import SB3

ProjectType = Annotated[str, Meta(min_length=1, max_length=50, description="for example pymarl or ptf")]


class NewProject(Struct):
    title: Title
    project_type: ProjectType
    description: Description = ""


class ChangedProject(Struct):
    title: Title | None = None
    project_type: ProjectType | None = None
    description: Description | None = None


class ProjectCard(Struct):
    title: str
    description: str
    project_type: str
    id: Annotated[int, Meta(description="counts from 1 within the account")]
    owner_id: int
    log_path: str
    created_at: str
    experiments: Annotated[
        list[JSONValue], Meta(description="as /experiments/ below the project lists them, without metrics")
    ]


class NewExperiment(RunRequest, kw_only=True):
    """The runner sb3 reads all settings but `parameter`; other runners only that. With a `parent_model`, missing settings are
    the model's.
    """

    name: Title
    description: Description = ""
    hypothesis: Hypothesis = ""
    tags: Tags = []
    runner: Annotated[str, Meta(description="sb3, or a program of the RUNNERS setting")] = SB3
    parent_model: Annotated[str | None, Meta(description="the model whose weights and averages to start from")] = None


class ChangedExperiment(Struct):
    name: Title | None = None
    description: Description | None = None
    hypothesis: Hypothesis | None = None
    tags: Tags | None = None
    status: Literal["running", "paused", "cancelled", "stopped"] | None = None
    hyperparameters: Annotated[JSONObject | None, Meta(description="used when it next starts or resumes")] = None


class CopyRequest(Struct):
    name: Title | None = None
    seed: Seed | None = None


class Resources(Struct):
    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int


class ExperimentCard(Struct):
    id: str
    name: str
    status: Annotated[str, Meta(description="created, queued, running, paused, completed, failed or stopped")]
    request: Annotated[str, Meta(description="the pending request: pause, stop, or empty")] = field(name="wish")
    reason: str
    exit_code: int | None
    runner: str
    algorithm: str
    environment: Annotated[str, Meta(description="as requested")]
    trained_on: Annotated[str, Meta(description="the id in the catalogue")]
    hyperparameters: JSONObject
    parameters: JSONObject
    seed: int
    timesteps: int
    total_timesteps: int | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    description: str
    hypothesis: str
    tags: list[str]
    copy_of: str | None
    parent_model: Annotated[str | None, Meta(description="the model that it started from")]
    lineage: Annotated[list[JSONObject], Meta(description="that model, its parent, and so on")]
    resources: Resources


class TrainingStarted(Struct):
    experiment_id: str
    status: Annotated[str, Meta(description="running, or queued if others must end first")]
    message: str


class Video(Struct):
    state: Annotated[str, Meta(description="none, waiting, being made, made or failed")]
    reason: Annotated[str, Meta(description="why there is none")]
    agrees: Annotated[bool | None, Meta(description="whether it shows exactly the evaluation's episode")]


class Results(Struct):
    experiment_id: str
    status: str
    final_evaluation: JSONObject
    model_path: str | None
    video_path: Annotated[str | None, Meta(description="the best evaluation episode, once rendered")]
    video: Video
    graph_path: str | None


class MetricsSummary(Struct):
    avg_reward_last_100: float | None
    total_timesteps: int
    best_reward: float | None
    total_episodes: int | None


class ExperimentMetrics(Struct):
    experiment_id: str
    metrics: Annotated[list[JSONObject], Meta(description="the timestep and its values")]
    summary: MetricsSummary


class ManyMetrics(Struct):
    experiments: list[ExperimentMetrics]


class TrainingEnvironment(Struct):
    name: str
    description: str
    observation_space: JSONObject
    action_space: JSONObject
    aliases: Annotated[list[str], Meta(description="old ids of this environment")]
    algorithms: Annotated[list[str], Meta(description="algorithms that support its actions")]


class TrainingAlgorithm(Struct):
    name: str
    description: str
    default_hyperparameters: JSONObject
    package: str
    policies: list[str]
    action_spaces: list[str]
    tuned: Annotated[JSONObject, Meta(description="environment → hyper-parameters known to learn well")]


class Configuration(Struct):
    server: JSONObject
    application: JSONObject
    directories: dict[str, str]
    rl_system: JSONObject
    validation: JSONObject


class ProjectExperimentRequest(Struct):
    title: Title
    description: Description = ""
    parameter: Annotated[JSONObject, Meta(description="parameters of the project's type")] = {}


class ProjectExperiment(Struct):
    title: str
    description: str
    parameter: Annotated[str, Meta(description="as a Python literal")]
    id: Annotated[int, Meta(description="counts from 1 within the project")]
    project_id: int
    owner_id: int
    log_path: str
    is_active: Annotated[bool, Meta(description="whether it is running or queued")]
    metric: Annotated[JSONObject | None, Meta(description="name → values, name_T → their timesteps")]
    status: str
    reason: str
    experiment_id: Annotated[str, Meta(description="its id below /experiments")]


class AdviceFinding(Struct):
    name: str
    about: Annotated[str, Meta(description="hyper-parameters or curves")]
    severity: Annotated[str, Meta(description="info, warning or severe")]
    seen: Annotated[str, Meta(description="what was observed, with numbers")]
    advice: str
    why: str
    source: str


class Advice(Struct):
    experiment_id: str
    findings: Annotated[list[AdviceFinding], Meta(description="the gravest first")]
