"""Lists of experiments: filters, tags, and whether an experiment has diverged."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, func

from gymserve.protocol.errors import InvalidRequest
from gymserve.store.models import Experiment
from gymserve.training.plan.states import ExperimentState
from gymserve.training.runners.folder import DIVERGED


def chosen(filters: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """Return the conditions that a row must meet.

    Raises:
        InvalidRequest: the status is unknown.
    """
    chosen: list[ColumnElement[bool]] = []
    if status := filters.get("status"):
        if status not in list(ExperimentState):
            raise InvalidRequest(f"status must be one of {', '.join(ExperimentState)}, not {status!r:.50}")
        chosen.append(Experiment.state == status)
    for name in ("algorithm", "environment", "runner"):
        if value := filters.get(name):
            chosen.append(func.lower(getattr(Experiment, name)) == value.lower())
    if tag := filters.get("tag"):
        chosen.append(Experiment.tags.contains(f",{tag},", autoescape=True))
    if text := filters.get("search"):
        in_title = Experiment.title.icontains(text, autoescape=True)
        chosen.append(in_title | Experiment.description.icontains(text, autoescape=True))
    return chosen


def joined(tags: list[str]) -> str:
    """Join tags as the column stores them: with a comma before, between and after them."""
    return "".join(f",{tag}" for tag in dict.fromkeys(tags)) + "," if tags else ""


def tags_of(row: Experiment) -> list[str]:
    """Split an experiment's tags."""
    return [tag for tag in row.tags.split(",") if tag]


def has_diverged(row: Experiment) -> bool:
    """Return whether it failed because its numbers became NaN or infinite."""
    return row.state == ExperimentState.FAILED and row.reason.startswith(DIVERGED)
