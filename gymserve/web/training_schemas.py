"""What requests and answers of training hold, as the API's description tells it."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from gymserve.web.schemas import Seed


class Evaluation(Struct, frozen=True):
    every: Annotated[int, Meta(ge=0, description="timesteps between evaluations; 0: only at the end")] = 0
    episodes: Annotated[int, Meta(ge=0, le=1000)] = 10
    deterministic: bool = True


class NewExperiment(Struct):
    """`runner`s but sb3 take their values from `parameter`; all others are sb3's. With a `parent_model`, what is not said is
    as it was for that model."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    parent_model: Annotated[str | None, Meta(description="a model to begin from: its weights and averages")] = None
    algorithm: Annotated[str | None, Meta(description="as /algorithms has it", examples=["PPO"])] = None
    environment: Annotated[str | None, Meta(description="an id of the catalogue", examples=["CartPole-v1"])] = None
    hyperparameters: dict[str, Any] = {}
    seed: Seed = 42
    description: Annotated[str, Meta(max_length=10_000)] = ""
    hypothesis: Annotated[str, Meta(max_length=500)] = ""
    tags: list[str] = []
    runner: Annotated[str, Meta(description="sb3, or a program of the RUNNERS setting")] = "sb3"
    parameter: Annotated[dict[str, Any], Meta(description="values for a program's parameters")] = {}
    total_timesteps: Annotated[int, Meta(ge=1, le=10**10)] = 100_000
    total_episodes: Annotated[
        Annotated[int, Meta(ge=1, le=10**8)] | None, Meta(description="it ends after so many episodes, if not before")
    ] = None
    tuned: Annotated[bool, Meta(description="begin with values that are known to learn well")] = False
    n_envs: Annotated[int, Meta(ge=1, le=64, description="copies of the environment")] = 1
    vectorisation: Annotated[str, Meta(description="sync, or async: each copy in a process")] = "sync"
    normalize: Annotated[bool | dict[str, Any], Meta(description="observations and rewards by running averages")] = (
        False
    )
    frame_stack: Annotated[int, Meta(ge=0, le=16)] = 0
    atari: Annotated[bool, Meta(description="the usual wrapper of Atari's games")] = False
    env_kwargs: Annotated[dict[str, Any], Meta(description="as the catalogue allows them")] = {}
    max_episode_steps: Annotated[int, Meta(ge=1, lt=2**31)] | None = None
    evaluation: Evaluation = Evaluation()
    checkpoint_every: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="timesteps; 0: only when it is paused; null: each minute")
    ] = None
    tensorboard: bool = True
    show: Annotated[bool, Meta(description="keep an episode that has just ended, once a second, to be looked at")] = (
        False
    )
    timeout_minutes: Annotated[float | None, Meta(description="at most DEFAULT_TIMEOUT_MINUTES")] = None
    server: Annotated[str | None, Meta(description="a name of TRAINING_SERVERS, whose environment it is")] = None


class ChangedExperiment(Struct):
    name: str | None = None
    description: str | None = None
    hypothesis: str | None = None
    tags: list[str] | None = None
    status: Annotated[str | None, Meta(description="running, paused or cancelled")] = None
    hyperparameters: Annotated[dict[str, Any] | None, Meta(description="for when it starts or goes on")] = None


class CopyOrder(Struct):
    name: str | None = None
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


class ProjectExperimentOrder(Struct):
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Annotated[str, Meta(max_length=10_000)] = ""
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


class Processors(Struct):
    count: int
    percent: float
    load: Annotated[list[float], Meta(description="of the last 1, 5 and 15 minutes")]


class Memory(Struct):
    total_bytes: int
    used_bytes: int
    available_bytes: int
    percent: float


class Gpu(Struct):
    id: int
    name: str


class Machine(Struct):
    """The texts are the TJU platform's."""

    cpu: Processors
    memory: Memory
    gpus: list[Gpu]
    cpu_count: str
    cpu_percent: str
    mem_total: str
    mem_used: str
    mem_available: str
    mem_percent: str
    gpu_id_list: list[int]
    gpu_name_dict: dict[str, str]
