"""Parameters of rewards-api sessions: their checks, and the experiment that they describe."""

import itertools
import json
import math
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from gymserve.environments import car_race
from gymserve.environments.car_race import reward
from gymserve.environments.car_race.tracks import TRACKS
from gymserve.protocol import params
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.wire import JSONValue
from gymserve.training.plan.numbers import integer

ENVIRONMENTS = ("car-race", "car-racer", "car_racer", car_race.ID)
LOSSES = ("mse", "rmse", "mae", "huber", "smooth_l1")
OPTIMIZERS = ("adam", "adamw", "adagrad", "rmsprop", "sgd")
ALGORITHMS = {"dqn": "DQN", "q-learning": "DQN", "qrdqn": "QRDQN", "ppo": "PPO", "a2c": "A2C"}
RADARS, ACTIONS, UNITS, LAYERS = 5, 3, 4096, 8
MOST_EPISODES = 10_000
EPISODE_STEPS = 500  # per training episode: about four laps
RATE_UNIT = 1e-5  # unit of an integer learning rate: 60 means 0.0006
EXPLORED_STEPS = 20  # timesteps of decreasing exploration, per requested episode
NUMBERS = (
    "environment_world", "car_speed", "learning_rate", "gamma", "epsilon", "num_episodes", "track_num",
)  # fmt: skip
ONE_OF = "one of {}"
Name = Annotated[str, Meta(min_length=1, max_length=200, description="the session's name; or in the query")]
Mode = Annotated[Literal["training", "evaluation"], Meta(extra={"words": "training or evaluation"})]


class Named(Struct):
    session_id: Name


class Start(Struct):
    """Parameters of a training."""

    retrain: bool = False


class SessionDocument(Struct):
    """Checked parameters of a session, which its row keeps as JSON."""

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


class SessionEnvironment(SessionDocument):
    """Where the car drives, and how fast that is shown."""

    environment_name: Annotated[Literal[ENVIRONMENTS], Meta(extra={"words": ENVIRONMENTS[0]})] = ENVIRONMENTS[0]  # type: ignore[valid-type]  # mypy wants a written-out Literal
    environment_world: Annotated[int, Meta(ge=0, le=len(TRACKS), description="the track; 0 means 1")] = 1
    mode: Mode = "training"
    car_speed: Annotated[int, Meta(ge=1, le=240, description="steps per second when shown")] = 20


class SessionEvaluation(Struct):
    """Parameters of an evaluation; missing ones are the session's."""

    mode: Mode | None = None
    track_num: Annotated[int, Meta(ge=0, le=len(TRACKS))] | None = None


class SessionAgent(SessionDocument):
    """The network, how it learns, and for how long."""

    model_configuration: Annotated[JSONValue, Meta(description="the layers, as JSON", examples=["[[5,49],[49,3]]"])] = (
        "[[5,49],[49,3]]"
    )
    learning_rate: Annotated[float, Meta(ge=1e-7, le=1000, description="values from 1 are in units of 1e-5")] = 60
    loss_fn: Annotated[str, Meta(extra={"words": ONE_OF.format(", ".join(LOSSES))})] = LOSSES[0]
    optimizer: Annotated[str, Meta(extra={"words": ONE_OF.format(", ".join(OPTIMIZERS))})] = OPTIMIZERS[0]
    gamma: Annotated[float, Meta(ge=0, le=100, description="values from 1 are percentages")] = 90
    epsilon: Annotated[float, Meta(ge=0, le=100, description="initial exploration; values from 1 are percentages")] = 20
    num_episodes: Annotated[int, Meta(ge=1, le=MOST_EPISODES, description="the run ends after this many")] = 700

    def to_dict(self) -> dict[str, object]:
        """Convert to plain data; whole numbers are integers, as in the old server's files."""
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in asdict(self).items()
        }


class SessionTraining(SessionDocument):
    """The algorithm and the reward function."""

    learning_algorithm: str | int | float = "DQN"
    enable_wandb: JSONValue = False
    reward_function: str | None = None


class Documents(NamedTuple):
    """All parameters of a session."""

    environment: SessionEnvironment
    agent: SessionAgent
    training: SessionTraining


def environment(payload: Mapping[str, object]) -> SessionEnvironment:
    """Check `write_env_params`: where the car drives, and how fast that is shown.

    Raises:
        InvalidRequest: a value is invalid.
    """
    return params.parse(plain(payload), SessionEnvironment)


def evaluation(payload: Mapping[str, object], environment: SessionEnvironment) -> tuple[str, int]:
    """Return (mode, track) of an evaluation, by default the session's own.

    Raises:
        InvalidRequest: a value is invalid.
    """
    request = params.parse(plain(payload), SessionEvaluation)
    track = track_of(environment) if request.track_num is None else max(1, request.track_num)
    return request.mode or environment.mode, track


def agent(payload: Mapping[str, object]) -> SessionAgent:
    """Check `write_agent_parameters`: the network, how it learns, and for how long.

    Raises:
        InvalidRequest: a value is invalid.
    """
    request = params.parse(plain(payload), SessionAgent)
    hidden_layers(request.model_configuration)
    for name, known in (("loss_fn", LOSSES), ("optimizer", OPTIMIZERS)):
        if (value := getattr(request, name)).lower() not in known:
            raise InvalidRequest(f"{name} must be one of {', '.join(known)}, not {value!r:.50}")
    return request


def training(payload: Mapping[str, object]) -> SessionTraining:
    """Check `write_training_params`: the algorithm and the reward function.

    Raises:
        InvalidRequest: the algorithm is unknown, or the reward function is invalid; the message names the line.
    """
    algorithm = payload.get("learning_algorithm") or "DQN"
    if isinstance(algorithm, str) and algorithm.lower() not in ALGORITHMS and not _is_number(algorithm):
        raise InvalidRequest(f"learning_algorithm must be one of {', '.join(ALGORITHMS)}, not {algorithm!r:.50}")
    if not isinstance(algorithm, (str, int, float)) or isinstance(algorithm, bool):
        raise InvalidRequest(f"learning_algorithm must be one of {', '.join(ALGORITHMS)}, not {algorithm!r:.50}")
    source = payload.get("reward_function") or None
    if source is not None:
        reward.read(source)
    assert source is None or isinstance(source, str)
    wandb = payload.get("enable_wandb", False)
    if wandb not in (False, True, "true", "false", "0", "1"):
        raise InvalidRequest(f"enable_wandb must be true or false, not {wandb!r:.50}")
    return SessionTraining(algorithm, wandb, source)


def rewarded(training: SessionTraining, source: str) -> SessionTraining:
    """Return the training document with another reward function, for `write_reward_fn`.

    Raises:
        InvalidRequest: the reward function is invalid.
    """
    reward.read(source)
    return replace(training, reward_function=source)


def notes(agent: SessionAgent, training: SessionTraining) -> list[str]:
    """List the parameters that have no effect here."""
    algorithm, ignored = algorithm_of(training), []
    if algorithm == "DQN" and agent.loss_fn.lower() not in ("huber", "smooth_l1"):
        ignored.append(f"loss_fn {agent.loss_fn}: Stable-Baselines3's DQN always uses the smooth L1 loss")
    if algorithm in ("PPO", "A2C", "QRDQN"):
        ignored.append(f"loss_fn: {algorithm} has its own loss")
    if algorithm in ("PPO", "A2C"):
        ignored.append(f"epsilon: {algorithm} explores with its own policy")
    return ignored


def experiment(documents: Documents, *, retrain: bool = False) -> dict[str, object]:
    """Return the settings for `Experiments.create`.

    Args:
        retrain: the experiment continues a trained model, which acts on what it knows from the first step.
    """
    environment, agent, training = documents
    kwargs: dict[str, object] = {"track": track_of(environment), "car_speed": environment.car_speed}
    if training.reward_function:
        kwargs["reward"] = training.reward_function
    algorithm, episodes = algorithm_of(training), agent.num_episodes
    return {
        "algorithm": algorithm,
        "environment": car_race.ID,
        "env_kwargs": kwargs,
        "hyperparameters": _hyperparameters(algorithm, agent, retrain),
        "normalize": {"norm_obs": True, "norm_reward": False},
        "total_episodes": episodes,
        "total_timesteps": episodes * EPISODE_STEPS,
        "max_episode_steps": EPISODE_STEPS,
        "evaluation": {"every": 0, "episodes": 5},
        "show": True,
    }


def _hyperparameters(algorithm: str, agent: SessionAgent, retrain: bool) -> dict[str, object]:
    layers = hidden_layers(agent.model_configuration)
    hyperparameters: dict[str, object] = {
        "learning_rate": learning_rate(agent.learning_rate),
        "gamma": 1.0 if agent.gamma == 1 else fraction(agent.gamma),  # no slider means 1 % by 1
        "policy_kwargs": {"net_arch": layers, "optimizer_class": agent.optimizer.lower()},
    }
    if algorithm == "PPO":
        return hyperparameters | {"n_steps": 512}
    if algorithm == "A2C":
        return hyperparameters
    epsilon, steps = fraction(agent.epsilon), agent.num_episodes * EPISODE_STEPS
    return hyperparameters | {
        "exploration_initial_eps": min(epsilon, 0.01) if retrain else epsilon,
        "exploration_final_eps": min(epsilon, 0.01),
        "exploration_fraction": min(1.0, max(2000, agent.num_episodes * EXPLORED_STEPS) / steps),
        "learning_starts": 0 if retrain else 200,
        "train_freq": 2,
        "target_update_interval": 250,
        "batch_size": 64,
        "buffer_size": 50_000,
    }


def track_of(environment: SessionEnvironment) -> int:
    """Return a document's track; world 0 means track 1."""
    return max(1, environment.environment_world)


def algorithm_of(training: SessionTraining) -> str:
    """Return Stable-Baselines3's name of the algorithm; the old platform's numbers all meant its deep Q-learner."""
    return ALGORITHMS.get(str(training.learning_algorithm).lower(), "DQN")


def learning_rate(value: float) -> float:
    """Convert a learning rate: values from 1 are in units of 1e-5, as in the old platform's slider."""
    return value * RATE_UNIT if value >= 1 else value


def fraction(value: float) -> float:
    """Convert a fraction: values from 1 are percentages."""
    return value / 100 if value >= 1 else value


def hidden_layers(configuration: object) -> list[int]:
    """Return the hidden layers' units from a configuration such as "[[5,49],[49,3]]".

    Raises:
        InvalidRequest: it is not such a list, or the layers do not fit together.
    """
    example = f'model_configuration must be such as "[[{RADARS},49],[49,{ACTIONS}]]"'
    pairs = configuration
    for _ in range(2):  # old clients send JSON in JSON
        if isinstance(pairs, str):
            try:
                pairs = json.loads(pairs) if len(pairs) <= 1000 else None
            except (ValueError, RecursionError):
                raise InvalidRequest(f"{example}, not {configuration!r:.60}") from None
    if not isinstance(pairs, list) or not 0 < len(pairs) <= LAYERS + 1:
        raise InvalidRequest(f"{example}, not {configuration!r:.60}")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise InvalidRequest(f"{example}, not {configuration!r:.60}")
    for units in (unit for pair in pairs for unit in pair):
        integer("model_configuration: units", units, 1, UNITS)
    joined = all(left[1] == right[0] for left, right in itertools.pairwise(pairs))
    if not joined or pairs[0][0] != RADARS or pairs[-1][1] != ACTIONS:
        raise InvalidRequest(
            f"{example}: it must start with {RADARS} and end with {ACTIONS}, with as many inputs per layer as outputs before"
        )
    return [pair[1] for pair in pairs[:-1]]


def plain(payload: Mapping[str, object]) -> dict[str, object]:
    """Convert texts from forms and queries to numbers and booleans."""
    values = dict(payload)
    if isinstance(text := values.get("retrain"), str) and text.lower() in ("true", "false", ""):
        values["retrain"] = text.lower() == "true"
    for name in NUMBERS:
        if isinstance(value := values.get(name), str) and len(value) <= 20 and _is_number(value):
            values[name] = float(value) if not value.strip().lstrip("+-").isdecimal() else int(value)
    return values


def _is_number(text: str) -> bool:
    try:
        return text.isascii() and math.isfinite(float(text))
    except ValueError:
        return False
