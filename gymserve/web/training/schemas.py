"""What requests and answers of training hold, as the API's description tells it."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gymserve.protocol.params import Seed
from gymserve.training.plan.numbers import Description, Title
from gymserve.training.plan.requests import Hypothesis, RunRequest, Tags
from gymserve.training.plan.training_plan import SB3

ProjectType = Annotated[str, Meta(min_length=1, max_length=50, description="such as pymarl or ptf")]


class NewProject(Struct):
    title: Title
    project_type: ProjectType
    description: Description = ""


class ChangedProject(Struct):
    title: Title | None = None
    project_type: ProjectType | None = None
    description: Description | None = None


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


class NewExperiment(RunRequest, kw_only=True):
    """`runner`s but sb3 take their values from `parameter`; all others are sb3's. With a `parent_model`, what is not said is
    as it was for that model."""

    name: Title
    description: Description = ""
    hypothesis: Hypothesis = ""
    tags: Tags = []
    runner: Annotated[str, Meta(description="sb3, or a program of the RUNNERS setting")] = SB3
    parent_model: Annotated[str | None, Meta(description="a model to begin from: its weights and averages")] = None


class ChangedExperiment(Struct):
    name: Title | None = None
    description: Description | None = None
    hypothesis: Hypothesis | None = None
    tags: Tags | None = None
    status: Literal["running", "paused", "cancelled", "stopped"] | None = None
    hyperparameters: Annotated[dict[str, Any] | None, Meta(description="for when it starts or goes on")] = None


class CopyRequest(Struct):
    name: Title | None = None
    seed: Seed | None = None


class Resources(Struct):
    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int


class Experiment(Struct):
    id: str
    name: str
    status: Annotated[str, Meta(description="created, queued, running, paused, completed, failed or stopped")]
    wish: Annotated[str, Meta(description="what is to become of it: pause, stop, or nothing")]
    reason: str
    exit_code: int | None
    runner: str
    algorithm: str
    environment: Annotated[str, Meta(description="as asked for")]
    trained_on: Annotated[str, Meta(description="the id that it leads to")]
    hyperparameters: dict[str, Any]
    parameters: dict[str, Any]
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
    parent_model: Annotated[str | None, Meta(description="the model that it begins from")]
    lineage: Annotated[list[dict[str, Any]], Meta(description="that model, its parent, and so on")]
    resources: Resources


class Started(Struct):
    experiment_id: str
    status: Annotated[str, Meta(description="running, or queued where others must end first")]
    message: str


class Film(Struct):
    state: Annotated[str, Meta(description="none, waiting, being made, made or failed")]
    reason: Annotated[str, Meta(description="why there is none")]
    agrees: Annotated[bool | None, Meta(description="whether it shows the evaluation's very episode")]


class Results(Struct):
    experiment_id: str
    status: str
    final_evaluation: dict[str, Any]
    model_path: str | None
    video_path: Annotated[str | None, Meta(description="the best evaluation episode's, once it is made")]
    video: Film
    graph_path: str | None


class MetricsSummary(Struct):
    avg_reward_last_100: float | None
    total_timesteps: int
    best_reward: float | None
    total_episodes: int | None


class ExperimentMetrics(Struct):
    experiment_id: str
    metrics: Annotated[list[dict[str, Any]], Meta(description="timestep, and the values that there are")]
    summary: MetricsSummary


class ManyMetrics(Struct):
    experiments: list[ExperimentMetrics]


class TrainingEnvironment(Struct):
    name: str
    description: str
    observation_space: dict[str, Any]
    action_space: dict[str, Any]
    aliases: Annotated[list[str], Meta(description="old ids that lead here")]
    algorithms: Annotated[list[str], Meta(description="those that can act in it")]


class TrainingAlgorithm(Struct):
    name: str
    description: str
    default_hyperparameters: dict[str, Any]
    package: str
    policies: list[str]
    action_spaces: list[str]
    tuned: Annotated[dict[str, Any], Meta(description="environment → values that learn well")]


class Configuration(Struct):
    server: dict[str, Any]
    application: dict[str, Any]
    directories: dict[str, str]
    rl_system: dict[str, Any]
    validation: dict[str, Any]


class ProjectExperimentRequest(Struct):
    title: Title
    description: Description = ""
    parameter: Annotated[dict[str, Any], Meta(description="what the project's type takes")] = {}


class ProjectExperiment(Struct):
    title: str
    description: str
    parameter: Annotated[str, Meta(description="as a Python literal")]
    id: Annotated[int, Meta(description="counts from 1 within the project")]
    project_id: int
    owner_id: int
    log_path: str
    is_active: Annotated[bool, Meta(description="it runs or waits")]
    metric: Annotated[dict[str, Any] | None, Meta(description="name → values, name_T → their timesteps")]
    status: str
    reason: str
    experiment_id: Annotated[str, Meta(description="its name below /experiments")]


class Finding(Struct):
    name: str
    about: Annotated[str, Meta(description="hyper-parameters or curves")]
    severity: Annotated[str, Meta(description="info, warning or severe")]
    seen: Annotated[str, Meta(description="what, with the numbers")]
    advice: str
    why: str
    source: str


class Advice(Struct):
    experiment_id: str
    findings: Annotated[list[Finding], Meta(description="the gravest first")]
