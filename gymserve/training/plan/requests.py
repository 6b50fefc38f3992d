"""A new experiment's settings: its texts, and how it trains."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gymserve.protocol.params import Seed
from gymserve.protocol.wire import JSONObject
from gymserve.training.plan import training_plan
from gymserve.training.plan.numbers import Description, Title

MOST_TIMESTEPS = 10**10
MOST_ENVS = 64
TAG = "a word of up to 50 letters, digits and . : _ -"
Hypothesis = Annotated[str, Meta(max_length=500)]
Tags = Annotated[
    list[Annotated[str, Meta(pattern=r"^[\w.:-]{1,50}(?![\s\S])", extra={"words": TAG})]],
    Meta(max_length=9, description=TAG),
]
Timesteps = Annotated[int, Meta(ge=0, le=MOST_TIMESTEPS)]


class Texts(Struct):
    """An experiment's texts."""

    title: Title
    description: Description = ""
    hypothesis: Hypothesis = ""
    tags: Tags = []


class ChangedTexts(Struct):
    """New texts; those that are None stay unchanged."""

    title: Title | None = None
    description: Description | None = None
    hypothesis: Hypothesis | None = None
    tags: Tags | None = None


class EvaluationSettings(Struct, frozen=True, forbid_unknown_fields=True):
    every: Annotated[Timesteps, Meta(description="timesteps between evaluations; 0: only at the end")] = 0
    episodes: Annotated[int, Meta(ge=0, le=1000)] = 10
    deterministic: bool = True


class Normalization(Struct, forbid_unknown_fields=True):
    """Arguments of VecNormalize, which has defaults for missing ones."""

    norm_obs: bool | UnsetType = UNSET
    norm_reward: bool | UnsetType = UNSET
    clip_obs: Annotated[float, Meta(ge=0, le=1e9)] | UnsetType = UNSET
    clip_reward: Annotated[float, Meta(ge=0, le=1e9)] | UnsetType = UNSET


class UploadRequest(Struct):
    """The description of an uploaded model."""

    title: Title
    algorithm: Annotated[str, Meta(min_length=1)]
    environment: Annotated[str, Meta(min_length=1)]
    hyperparameters: JSONObject = {}
    env_kwargs: JSONObject = {}
    frame_stack: Annotated[int, Meta(ge=0, le=16)] = 0
    atari: bool = False


class ProgramRequest(Struct):
    """The settings that a program's runner reads."""

    seed: Seed = 42
    parameter: JSONObject = {}
    timeout_minutes: float | None = None


class RunRequest(Struct, kw_only=True):
    """The settings that the runner sb3 reads. With a parent model, missing settings are the parent's."""

    algorithm: Annotated[str | None, Meta(description="as /algorithms has it", examples=["PPO"])] = None
    environment: Annotated[str | None, Meta(description="an id of the catalogue", examples=["CartPole-v1"])] = None
    hyperparameters: JSONObject = {}
    seed: Seed = 42
    parameter: Annotated[JSONObject, Meta(description="values for a program's parameters")] = {}
    total_timesteps: Annotated[int, Meta(ge=1, le=MOST_TIMESTEPS)] = 100_000
    total_episodes: Annotated[
        Annotated[int, Meta(ge=1, le=10**8)] | None, Meta(description="ends the run after this many episodes")
    ] = None
    tuned: Annotated[bool, Meta(description="start from hyper-parameters known to learn well")] = False
    n_envs: Annotated[int, Meta(ge=1, le=MOST_ENVS, description="copies of the environment")] = 1
    vectorisation: Annotated[Literal["sync", "async"], Meta(description="async: each copy in its own process")] = "sync"
    normalize: Annotated[bool | Normalization, Meta(description="normalize by running averages")] = False
    frame_stack: Annotated[int, Meta(ge=0, le=16)] = 0
    atari: Annotated[bool, Meta(description="use the standard Atari wrapper")] = False
    env_kwargs: Annotated[JSONObject, Meta(description="as the catalogue allows them")] = {}
    max_episode_steps: Annotated[int, Meta(ge=1, lt=2**31)] | None = None
    evaluation: EvaluationSettings = EvaluationSettings()
    checkpoint_every: Annotated[
        Timesteps | None, Meta(description="timesteps; 0: only when paused; null: every minute")
    ] = None
    tensorboard: bool = True
    show: Annotated[bool, Meta(description="save a recently finished episode once a second, for viewers")] = False
    timeout_minutes: Annotated[float | None, Meta(description="at most DEFAULT_TIMEOUT_MINUTES")] = None
    server: Annotated[
        str | None, Meta(description="the TRAINING_SERVERS name of the server that has the environment")
    ] = None

    def run(self) -> JSONObject:
        """Return the fields of a `TrainingPlan` that say how, and for how long, it trains."""
        if isinstance(self.normalize, Normalization):
            normalize = msgspec.to_builtins(self.normalize)
        else:
            normalize = {} if self.normalize else None
        return {name: getattr(self, name) for name in _RUN} | {
            "normalize": normalize,
            "evaluation": training_plan.Evaluation(**msgspec.structs.asdict(self.evaluation)),
            "parameter": self.parameter or None,
        }


_RUN = (
    "seed", "total_timesteps", "total_episodes", "n_envs", "vectorisation", "frame_stack", "atari", "env_kwargs",
    "max_episode_steps", "checkpoint_every", "tensorboard", "show", "server",
)  # fmt: skip
