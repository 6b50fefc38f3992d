"""The checks of a new experiment's plan, against the environment and the library."""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache

import gymnasium

from gymserve.environments import Catalogue, Spaces
from gymserve.protocol import params
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest, Untrainable
from gymserve.protocol.generics import Space
from gymserve.protocol.spaces import describe, from_description
from gymserve.protocol.wire import JSONObject, JSONValue
from gymserve.store.models import Experiment
from gymserve.training.plan import algorithms, fitting, hyperparameters
from gymserve.training.plan.algorithms import Algorithm
from gymserve.training.plan.lineage import Parent
from gymserve.training.plan.numbers import number
from gymserve.training.plan.programs import Program
from gymserve.training.plan.requests import MOST_TIMESTEPS, ProgramRequest, RunRequest
from gymserve.training.plan.stored import plan_of, row_of
from gymserve.training.plan.training_plan import SB3, TrainingPlan
from gymserve.training.plan.tuned import tuned_for
from gymserve.training.plan.view import View

FIXED = {  # cannot change in a run that has started
    "policy", "policy_kwargs", "buffer_size", "replay_buffer_class", "replay_buffer_kwargs", "use_sde", "action_noise",
    "optimize_memory_usage", "n_steps", "n_delta", "stats_window_size",
}  # fmt: skip


Attempt = Callable[[TrainingPlan, tuple[Mapping[str, JSONValue], Mapping[str, JSONValue]]], None]


class Checker:
    """Checks whether experiments can be trained on one server.

    Args:
        spaces: returns an environment's spaces, as `Catalogue.spaces` does; a server's workers ask a host.
        attempt: tries a plan with the descriptions of its environment's spaces (see `dry_runs`); None skips that.
        minutes: how long an experiment may run, which is also the default.
        servers: the names of TRAINING_SERVERS.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        programs: Mapping[str, Program],
        spaces: Spaces,
        attempt: Attempt | None = None,
        *,
        minutes: float,
        servers: Collection[str],
    ) -> None:
        self.catalogue, self.programs, self._spaces, self._attempt = catalogue, programs, spaces, attempt
        self._most_minutes, self._servers = minutes, servers
        self._plain = lru_cache(256)(lambda env_id: self._row(env_id, {}))

    def check(
        self, runner: JSONValue, settings: Mapping[str, JSONValue], parent: Parent | None = None
    ) -> dict[str, object]:
        """Return values for a new experiment's `runner`, `algorithm`, `environment`, `seed` and `parameters`.

        Args:
            parent: the model that it starts from.

        Raises:
            Untrainable: something does not exist or does not fit together.
            InvalidRequest: a value is invalid.
        """
        if runner == SB3:
            plan = self.plan(settings, parent)
            self._try(plan)
            return {"runner": SB3, **row_of(plan)}
        if parent is not None:
            raise Untrainable(f"the runner {runner!r:.60} cannot start from a model")
        if runner not in self.programs:
            known = ", ".join((SB3, *self.programs))
            raise Untrainable(f"the runner {runner!r:.60} is not set up here (RUNNERS): there are {known}")
        shown = params.parse(settings, ProgramRequest).parameter
        request = params.parse({**settings, "seed": shown.get("seed", settings.get("seed"))}, ProgramRequest)
        program, seed = self.programs[runner], request.seed
        values = program.check({name: value for name, value in shown.items() if name != "seed"})
        program.command(values, seed)
        return {
            "runner": runner,
            "seed": seed,
            "algorithm": values.get("algo_name", "")[:100],
            "environment": (values.get("map_name") or values.get("env_name") or "")[:100],
            "parameters": {"parameter": shown, "values": values, "timeout_minutes": self._minutes(request)},
        }

    def _minutes(self, request: RunRequest | ProgramRequest) -> float:
        most, minutes = self._most_minutes, request.timeout_minutes
        return most if minutes is None else number("timeout_minutes", minutes, 0.01, most)

    def plan(self, settings: Mapping[str, JSONValue], parent: Parent | None = None) -> TrainingPlan:
        """Return a new experiment's plan, which passes all checks but has not been tried. Raises the same as `check`."""
        params.parse(settings, RunRequest)
        if parent is not None:
            settings = parent.completed(settings)
        algorithm = algorithms.find(settings.get("algorithm"))
        environment: JSONValue = settings.get("environment")
        server = settings.get("server")
        if server is not None and server not in self._servers:
            known = ", ".join(self._servers) or "none"
            raise Untrainable(f"server must be one of TRAINING_SERVERS ({known}), not {server!r:.50}")
        kwargs = settings.get("env_kwargs") or {}
        row = self.spaces(environment, kwargs, server=server)
        env_id = environment if row is None else row["id"]
        tuned = tuned_for(str(env_id), algorithm.name) if settings.get("tuned") else {}
        merged = {**tuned, **{name: value for name, value in settings.items() if value is not None}}
        chosen = dict(merged.pop("hyperparameters", {}))
        if "total_timesteps" in chosen:  # old clients put it there
            merged["total_timesteps"] = chosen.pop("total_timesteps")
        chosen = {**tuned.get("hyperparameters", {}), **hyperparameters.check(algorithm, chosen)}
        request = params.parse(merged, RunRequest)
        if "total_timesteps" not in merged and request.total_episodes is not None:
            request.total_timesteps = _timesteps(request, row)
        plan = TrainingPlan(
            package=algorithm.package, algorithm=algorithm.name, hyperparameters=chosen, environment=environment,
            resolved=None if row is None else row["id"], timeout_minutes=self._minutes(request), **request.run(),
            **(parent.ancestry() if parent is not None else {}),
        )  # fmt: skip
        plan = _fitted(plan, algorithm, row)
        if parent is not None:
            own = self.spaces(parent.plan.env_id, parent.plan.env_kwargs, server=parent.plan.server)
            parent.check(row, own, environment=environment, server=server)
        return plan

    def change(self, row: Experiment, changes: dict[str, object]) -> JSONObject:
        """Return an experiment's parameters with other hyper-parameters.

        Raises:
            Untrainable: one is invalid, does not fit, or cannot be changed in a run that has started.
        """
        if row.runner != SB3:
            raise Untrainable(f"the runner {row.runner} has no hyper-parameters that could be changed")
        plan = plan_of(row)
        algorithm = algorithms.find(row.algorithm)
        hyperparameters.check(algorithm, changes)
        before = {**plan.hyperparameters, "policy": plan.policy}
        for name in changes:
            if row.started_at is not None and name in FIXED and changes[name] != before.get(name):
                raise Untrainable(f"{name} cannot be changed in a run that has started: copy the experiment")
        merged = {**before, **changes}
        hyperparameters.check(algorithm, merged)
        environment = self.spaces(plan.environment, plan.env_kwargs, server=plan.server)
        changed = _fitted(plan.replace(hyperparameters=merged), algorithm, environment)
        self._try(changed)
        parameters: JSONObject = row_of(changed)["parameters"]
        return parameters

    def _try(self, plan: TrainingPlan) -> None:
        """Try the plan.

        Raises:
            Untrainable: the library rejects it.
        """
        row = self.spaces(plan.environment, plan.env_kwargs, server=plan.server)
        if row is None or self._attempt is None:
            return
        observations, actions = row["observation_space"], row["action_space"]
        if plan.atari:  # the wrapper itself needs a real game
            observations, plan = describe(fitting.ATARI), plan.replace(atari=False)
        self._attempt(plan, (observations, actions))

    def spaces(
        self,
        environment: JSONValue,
        kwargs: Mapping[str, JSONValue],
        *,
        server: str | None = None,
        trusted: bool = False,
    ) -> Mapping[str, JSONValue] | None:
        """Return the environment's catalogue row with its spaces; None if another server has it and will check it.

        Args:
            trusted: the kwargs are an organiser's.

        Raises:
            Untrainable: the environment cannot be made.
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

    def _row(self, env_id: str, kwargs: dict[str, object]) -> Mapping[str, object]:
        (row,) = self.catalogue.rows([env_id])
        return row | self._spaces(env_id, kwargs)


def _fitted(plan: TrainingPlan, algorithm: Algorithm, row: Mapping[str, JSONValue] | None) -> TrainingPlan:
    """Return the plan with the chosen policy, or with one that fits the environment.

    Args:
        row: the environment's row with its spaces; None if another server has it.

    Raises:
        Untrainable: the algorithm does not fit the environment.
    """
    chosen = dict(plan.hyperparameters)
    policy = chosen.pop("policy", None)
    if row is None:
        policy = policy or next(each for each in algorithm.policies if each.startswith("Mlp"))
        return plan.replace(policy=policy, hyperparameters=chosen)
    algorithm.check_actions(row["action_space"])
    if plan.atari and not _is_atari(row["id"]):
        raise Untrainable(f"atari is a wrapper of Atari's games, and {row['id']} is not one of them: leave it out")
    view = View(*_spaces(row))
    plan = plan.replace(policy=policy or algorithm.policy_for(fitting.seen(view, plan)), hyperparameters=chosen)
    fitting.check(plan, view, row)
    return plan


def _is_atari(env_id: str) -> bool:
    return str(gymnasium.spec(env_id).entry_point).startswith("ale_py")


def _spaces(row: Mapping[str, object]) -> list[Space]:
    """Return the observation space and the action space."""
    return [from_description(row[name]) for name in ("observation_space", "action_space")]


def _timesteps(request: RunRequest, row: Mapping[str, JSONValue] | None) -> int:
    """Return the most timesteps that the episodes can take, if the environment has a step limit."""
    limit = request.max_episode_steps or (None if row is None else row["max_episode_steps"])
    if request.total_episodes is None or limit is None:
        return MOST_TIMESTEPS
    return max(1, min(MOST_TIMESTEPS, limit * (request.total_episodes + request.n_envs - 1)))
