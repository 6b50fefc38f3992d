"""Plans in the rows of experiments, and as given to their processes."""

import math
from collections.abc import Mapping, Sequence

from gymserve.protocol.errors import Untrainable
from gymserve.protocol.wire import JSONObject
from gymserve.store.models import Experiment
from gymserve.training.plan.programs import Program
from gymserve.training.plan.training_plan import SB3, ProgramPlan, TrainingPlan

COLUMNS = ("algorithm", "environment", "seed")  # the parts of a plan with columns of their own


def row_of(plan: TrainingPlan) -> JSONObject:
    """Convert a plan to columns of an experiment's row."""
    data = plan.to_dict()
    return {name: data.pop(name) for name in COLUMNS} | {"parameters": data}


def plan_of(row: Experiment) -> TrainingPlan:
    """Return the plan of an experiment of the runner sb3."""
    return TrainingPlan.from_dict({**row.parameters, **{name: getattr(row, name) for name in COLUMNS}})


def runnable(row: Experiment, programs: Mapping[str, Program], *, modules: Sequence[str]) -> TrainingPlan | ProgramPlan:
    """Return what an experiment's process is to run, with the time that earlier processes have used.

    Args:
        modules: ENVIRONMENT_MODULES.

    Raises:
        Untrainable: its program is no longer set up.
    """
    if row.runner == SB3:
        return plan_of(row).replace(
            modules=list(modules), seconds_before=row.seconds or 0.0, cpu_before=row.cpu_seconds or 0.0
        )
    if row.runner not in programs:
        raise Untrainable(f"the runner {row.runner} is not set up here any more (RUNNERS)")
    program = programs[row.runner]
    return ProgramPlan(
        command=program.command(row.parameters["values"], row.seed), directory=program.directory,
        metrics=program.metrics, results=program.results, variables=program.environment,
        seconds_before=row.seconds, cpu_before=row.cpu_seconds,
    )  # fmt: skip


def minutes_of(row: Experiment, most: float) -> float:
    """Return how long the experiment may run in total; `most` is DEFAULT_TIMEOUT_MINUTES."""
    return min(row.parameters.get("timeout_minutes", math.inf), most)
