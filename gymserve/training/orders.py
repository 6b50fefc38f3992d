"""What an experiment is asked to do: checked when it is created, and told to its runner when it starts."""

import json
import math
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from gymserve.environments import Catalogue, Spaces
from gymserve.errors import EnvironmentFailed, InvalidRequest, Untrainable
from gymserve.settings import Settings
from gymserve.store.models import Experiment
from gymserve.training import algorithms, hyperparameters
from gymserve.training.algorithms import Algorithm
from gymserve.training.lineage import Parent
from gymserve.training.runners.programs import Program

SB3 = "sb3"
TIMESTEPS = 100_000
MOST_TIMESTEPS = 10**10
MOST_TRAINED = 10**8  # episodes of a run
MOST_ENVS = 64
MOST_EPISODES = 1000
VECTORISATION = ("sync", "async")
FIXED = {  # what a run that has begun cannot change
    "policy", "policy_kwargs", "buffer_size", "replay_buffer_class", "replay_buffer_kwargs", "use_sde", "action_noise",
    "optimize_memory_usage", "n_steps", "n_delta", "stats_window_size",
}  # fmt: skip
NORMALIZE = {"norm_obs": bool, "norm_reward": bool, "clip_obs": float, "clip_reward": float}


class Checker:
    """Says whether an experiment can be trained; made for one server.

    Args:
        spaces: what `Catalogue.spaces` tells; a server's workers ask a host.
    """

    def __init__(
        self, settings: Settings, catalogue: Catalogue, programs: Mapping[str, Program], spaces: Spaces
    ) -> None:
        self.settings, self.catalogue, self.programs = settings, catalogue, programs
        self._spaces = spaces
        self._plain = lru_cache(256)(lambda env_id: self._row(env_id, {}))

    def check(self, runner: Any, asked: Mapping[str, Any], parent: Parent | None = None) -> dict[str, Any]:
        """Values for a new experiment's `runner`, `algorithm`, `environment`, `seed`, `parameters`.

        Args:
            parent: the model that it begins from.

        Raises:
            Untrainable: there is no such thing, or it does not fit together.
            InvalidRequest: a value is no good.
        """
        seed = asked.get("seed")
        seed = 42 if seed is None else integer("seed", seed, 0, 2**32 - 1)
        minutes = self.settings.DEFAULT_TIMEOUT_MINUTES
        common = {"timeout_minutes": number("timeout_minutes", asked.get("timeout_minutes", minutes), 0.01, minutes)}
        if runner == SB3:
            return {"runner": SB3, "seed": seed} | self._sb3(asked, common, parent)
        if parent is not None:
            raise Untrainable(f"the runner {runner!r:.60} cannot begin from a model")
        if runner not in self.programs:
            known = ", ".join((SB3, *self.programs))
            raise Untrainable(f"the runner {runner!r:.60} is not set up here (RUNNERS): there are {known}")
        program = self.programs[runner]
        parameters = dict(asked.get("parameter") or {})
        if "seed" in parameters:
            seed = integer("seed", parameters.pop("seed"), 0, 2**32 - 1)
        values = program.check(parameters)
        program.command(values, seed)
        shown = asked.get("parameter") or {}
        return {
            "runner": runner,
            "seed": seed,
            "algorithm": values.get("algo_name", "")[:100],
            "environment": (values.get("map_name") or values.get("env_name") or "")[:100],
            "parameters": json.dumps({"parameter": shown, "values": values, **common}),
        }

    def _sb3(self, asked: Mapping[str, Any], common: dict[str, Any], parent: Parent | None) -> dict[str, Any]:
        if parent is not None:
            asked = parent.completed(asked)
        algorithm = algorithms.find(asked.get("algorithm"))
        environment = asked.get("environment")
        server = asked.get("server")
        if server is not None and server not in self.settings.TRAINING_SERVERS:
            known = ", ".join(self.settings.TRAINING_SERVERS) or "none"
            raise Untrainable(f"server must be one of TRAINING_SERVERS ({known}), not {server!r:.50}")
        kwargs = asked.get("env_kwargs") or {}
        row = self.spaces(environment, kwargs, server=server)
        found = {**common, "server": server, "package": algorithm.package}
        if row is not None:
            found["resolved"] = row["id"]
        tuned = tuned_for(str(found.get("resolved", environment)), algorithm.name) if asked.get("tuned") else {}
        merged = {**tuned, **{name: value for name, value in asked.items() if value is not None}}
        given = dict(asked.get("hyperparameters") or {}) if asked.get("hyperparameters") is not None else {}
        if "total_timesteps" in given:  # where old clients put it
            merged["total_timesteps"] = given.pop("total_timesteps")
        found["hyperparameters"] = hyperparameters.check(algorithm, {**tuned.get("hyperparameters", {}), **given})
        if merged.get("total_timesteps") is None and merged.get("total_episodes") is not None:
            merged["total_timesteps"] = _timesteps(merged, row)
        found |= _run(merged)
        found["env_kwargs"] = kwargs
        if "parameter" in asked:  # as a project's experiment was asked for
            found["parameter"] = asked["parameter"]
        self._check_pair(algorithm, found, row)
        if parent is not None:
            order = parent.order
            own = self.spaces(order["environment"], order.get("env_kwargs") or {}, server=order.get("server"))
            parent.check(row, own, environment=environment, server=server)
            found |= parent.told()
        return {"algorithm": algorithm.name, "environment": environment, "parameters": json.dumps(found)}

    def spaces(
        self, environment: Any, kwargs: Mapping[str, Any], *, server: str | None = None, trusted: bool = False
    ) -> Mapping[str, Any] | None:
        """The environment's row of the catalogue, with its spaces; None: another server has it, and will check it.

        Args:
            trusted: the kwargs are an organiser's.

        Raises:
            Untrainable: it cannot be made.
        """
        if server is not None:
            if not isinstance(environment, str) or not 0 < len(environment) <= 100:
                raise Untrainable("environment must be an id of that server's catalogue")
            return None
        try:
            entry = self.catalogue.resolve(environment)
            if not trusted:
                self.catalogue.check_kwargs(entry, kwargs)
            return self._row(entry.id, dict(kwargs)) if kwargs else self._plain(entry.id)
        except (InvalidRequest, EnvironmentFailed) as error:
            raise Untrainable(str(error)) from error

    def _row(self, env_id: str, kwargs: dict[str, Any]) -> Mapping[str, Any]:
        (row,) = self.catalogue.rows([env_id])
        return row | self._spaces(env_id, kwargs)

    def _check_pair(self, algorithm: Algorithm, found: dict[str, Any], row: Mapping[str, Any] | None) -> None:
        """Whether the algorithm can act and see in the environment; chooses the policy, where none was named."""
        policy = found["hyperparameters"].pop("policy", None)
        if row is not None:
            algorithm.check_actions(row["action_space"])
            policy = policy or algorithm.policy_for(_seen(row["observation_space"], found))
        found["policy"] = policy or next(each for each in algorithm.policies if each.startswith("Mlp"))


def _seen(observations: dict[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The observation space as the algorithm sees it: with Atari's wrapper, small grey pictures."""
    return {"name": "Box", "shape": [84, 84, 1], "dtype": "uint8"} if found["atari"] else observations


def _timesteps(asked: Mapping[str, Any], row: Mapping[str, Any] | None) -> int:
    """The most that so many episodes can have, where the environment has a limit of steps."""
    episodes = integer("total_episodes", asked["total_episodes"], 1, MOST_TRAINED)
    limit = asked.get("max_episode_steps") or (row and row["max_episode_steps"])
    copies = asked.get("n_envs", 1)
    if not isinstance(limit, int) or not isinstance(copies, int):
        return MOST_TIMESTEPS
    return max(1, min(MOST_TIMESTEPS, limit * (episodes + copies - 1)))


def _run(asked: Mapping[str, Any]) -> dict[str, Any]:
    """How long and in which way; all have a default."""
    total = integer("total_timesteps", asked.get("total_timesteps", TIMESTEPS), 1, MOST_TIMESTEPS)
    evaluation = asked.get("evaluation") or {}
    if not isinstance(evaluation, dict) or not set(evaluation) <= {"every", "episodes", "deterministic"}:
        raise InvalidRequest("evaluation must be an object of every, episodes, deterministic")
    vectorisation = asked.get("vectorisation", "sync")
    if vectorisation not in VECTORISATION:
        raise InvalidRequest(f"vectorisation must be one of {', '.join(VECTORISATION)}, not {vectorisation!r:.50}")
    every, episodes = asked.get("checkpoint_every"), asked.get("total_episodes")
    steps = asked.get("max_episode_steps")
    return {
        "total_timesteps": total,
        "total_episodes": None if episodes is None else integer("total_episodes", episodes, 1, MOST_TRAINED),
        "n_envs": integer("n_envs", asked.get("n_envs", 1), 1, MOST_ENVS),
        "vectorisation": vectorisation,
        "normalize": _normalize(asked.get("normalize")),
        "frame_stack": integer("frame_stack", asked.get("frame_stack", 0), 0, 16),
        "atari": boolean("atari", asked.get("atari", False)),
        "max_episode_steps": None if steps is None else integer("max_episode_steps", steps, 1, 2**31 - 1),
        "evaluation": {
            "every": integer("evaluation.every", evaluation.get("every", 0), 0, MOST_TIMESTEPS),
            "episodes": integer("evaluation.episodes", evaluation.get("episodes", 10), 0, MOST_EPISODES),
            "deterministic": boolean("evaluation.deterministic", evaluation.get("deterministic", True)),
        },
        "checkpoint_every": None if every is None else integer("checkpoint_every", every, 0, MOST_TIMESTEPS),
        "tensorboard": boolean("tensorboard", asked.get("tensorboard", True)),
        "show": boolean("show", asked.get("show", False)),
        "device": "auto",
    }


def _normalize(value: Any) -> dict[str, Any] | None:
    if value is None or value is False:
        return None
    value = {} if value is True else value
    if not isinstance(value, dict) or not set(value) <= set(NORMALIZE):
        raise InvalidRequest(f"normalize must be true, false or an object of {', '.join(NORMALIZE)}")
    for name, part in value.items():
        boolean(name, part) if NORMALIZE[name] is bool else number(name, part, 0, 1e9)
    return value


def change(row: Experiment, given: Any) -> str:
    """The parameters of an experiment with other hyper-parameters.

    Raises:
        Untrainable: one is no good, or cannot be changed in a run that has begun.
    """
    if row.runner != SB3:
        raise Untrainable(f"the runner {row.runner} has no hyper-parameters that could be changed")
    parameters = json.loads(row.parameters)
    algorithm = algorithms.find(row.algorithm)
    hyperparameters.check(algorithm, given)
    for name in given:
        if row.started_at is not None and name in FIXED and given[name] != parameters["hyperparameters"].get(name):
            raise Untrainable(f"{name} cannot be changed in a run that has begun: copy the experiment")
    parameters["hyperparameters"] |= given
    if "policy" in given:
        parameters["policy"] = parameters["hyperparameters"].pop("policy")
    return json.dumps(parameters)


def tell(row: Experiment, settings: Settings, programs: Mapping[str, Program]) -> dict[str, Any]:
    """The order for the runner of an experiment.

    Raises:
        Untrainable: its program is not set up any more.
    """
    parameters = json.loads(row.parameters)
    if row.runner == SB3:
        environment = parameters.get("resolved") or row.environment
        return {
            **parameters, "runner": SB3, "algorithm": row.algorithm, "environment": environment, "seed": row.seed,
            "modules": settings.ENVIRONMENT_MODULES,
        }  # fmt: skip
    if row.runner not in programs:
        raise Untrainable(f"the runner {row.runner} is not set up here any more (RUNNERS)")
    program = programs[row.runner]
    return {
        "runner": row.runner,
        "command": program.command(parameters["values"], row.seed),
        "directory": program.directory,
        "metrics": program.metrics,
        "results": program.results,
        "variables": program.environment,
    }


def minutes_of(row: Experiment, settings: Settings) -> float:
    """How long the experiment may run in all."""
    return min(json.loads(row.parameters).get("timeout_minutes", math.inf), settings.DEFAULT_TIMEOUT_MINUTES)


@cache
def tuned() -> dict[str, dict[str, dict[str, Any]]]:
    """Environment → algorithm → values that learn well."""
    return tomllib.loads((Path(__file__).parent / "tuned.toml").read_text())


def tuned_for(environment: str, algorithm: str) -> dict[str, Any]:
    """Raises: Untrainable: none are known for this pair."""
    found = tuned().get(environment, {}).get(algorithm)
    if found is None:
        known = ", ".join(f"{one} on {other}" for other, ones in tuned().items() for one in ones)
        raise Untrainable(f"no tuned values are known for {algorithm} on {environment}: there are {known}")
    return found


def integer(name: str, value: Any, least: int, most: int) -> int:
    """Raises: InvalidRequest: it is none, or out of range."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidRequest(f"{name} must be an integer from {least} to {most}, not {value!r:.50}")
    return value


def number(name: str, value: Any, least: float, most: float) -> float:
    """Raises: InvalidRequest: it is none, or out of range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise InvalidRequest(f"{name} must be a number from {least:g} to {most:g}, not {value!r:.50}")
    return float(value)


def boolean(name: str, value: Any) -> bool:
    """Raises: InvalidRequest: it is neither."""
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false, not {value!r:.50}")
    return value
