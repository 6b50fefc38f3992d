"""Lists environments, algorithms and the server's configuration, for clients of the RL Agent Training API."""

import os

from flask import Response

import gymserve
from gymserve.hosts.pool.instances import Instances
from gymserve.protocol.wire import JSONObject
from gymserve.store.models import ROLES
from gymserve.training.plan import algorithms, requests
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.tuned import tuned
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.errors import with_timestamp
from gymserve.web.http.openapi import documented
from gymserve.web.training import schemas

blueprint = Blueprint("training", scope="training", tag="Training", on_error=with_timestamp)
AUTH_ERRORS = (401, 403)


@blueprint.get("/environments/")
@documented(list[schemas.TrainingEnvironment], errors=AUTH_ERRORS)
def environments() -> Response:
    """List the environments that can be made on this server, with their spaces."""
    instances: Instances = backend().instances
    return json_answer([_environment(row) for row in instances.listing.rows() if row["missing"] is None])


def _environment(row: JSONObject) -> schemas.TrainingEnvironment:
    actions = row.get("action_space", {})
    parts = [f"at most {row['max_episode_steps']} steps"] if row["max_episode_steps"] else []
    parts += [f"solved at a mean return of {row['reward_threshold']:g}"] if row["reward_threshold"] is not None else []
    return schemas.TrainingEnvironment(
        name=row["id"],
        description=f"{row['id']}: {', '.join(parts) or 'no step limit'}",
        observation_space=row.get("observation_space", {}),
        action_space=actions,
        aliases=row["aliases"],
        algorithms=[each.name for each in algorithms.everything() if actions.get("name") in each.actions],
    )


@blueprint.get("/algorithms/")
@documented(list[schemas.TrainingAlgorithm], errors=(*AUTH_ERRORS, 422))
def list_algorithms() -> Response:
    """List the algorithms with the installed libraries' defaults."""
    return json_answer([_algorithm(each) for each in algorithms.available()])


def _algorithm(algorithm: algorithms.Algorithm) -> schemas.TrainingAlgorithm:
    return schemas.TrainingAlgorithm(
        name=algorithm.name,
        description=algorithm.description,
        default_hyperparameters=algorithm.defaults,
        package=algorithm.package,
        policies=list(algorithm.policies),
        action_spaces=list(algorithm.actions),
        tuned={name: values[algorithm.name] for name, values in tuned().items() if algorithm.name in values},
    )


@blueprint.get("/config/")
@documented(schemas.Configuration, errors=AUTH_ERRORS)
def config() -> Response:
    """Report the server's configuration, without secrets or file paths."""
    settings = backend().settings
    return json_answer(
        {
            "server": {"workers": settings.WORKERS, "threads": settings.THREADS, "cpus": os.cpu_count()},
            "application": {
                "name": "gymserve",
                "version": gymserve.__version__,
                "debug": settings.LOG_LEVEL == "debug",
                "log_level": settings.LOG_LEVEL,
                "authentication": settings.AUTH,
                "cors_origins": settings.CORS_ORIGINS,
            },
            "directories": {"experiments": "experiments", "journals": "instances"},
            "rl_system": {
                "max_concurrent_experiments": settings.MAX_CONCURRENT_EXPERIMENTS,
                "default_timeout_minutes": settings.DEFAULT_TIMEOUT_MINUTES,
                "experiment_memory_mb": settings.EXPERIMENT_MEMORY_MB,
                "account_experiments": settings.ACCOUNT_EXPERIMENTS,
                "training_role": settings.TRAINING_ROLE,
                "runners": ["sb3", *settings.RUNNERS],
                "training_servers": list(settings.TRAINING_SERVERS),
                "missing": algorithms.missing(),
            },
            "validation": {
                "states": list(ExperimentState),
                "roles": ROLES,
                "seed": [0, 2**32 - 1],
                "name_length": [1, 200],
                "total_timesteps": [1, requests.MOST_TIMESTEPS],
                "n_envs": [1, requests.MOST_ENVS],
            },
        }
    )
