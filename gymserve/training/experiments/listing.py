"""Lists of experiments: states, tags, filters, and whether one has diverged."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, func

from gymserve.protocol.errors import InvalidRequest
from gymserve.store.models import Experiment
from gymserve.training.plan.states import ExperimentState
from gymserve.training.runners.folder import DIVERGED


def chosen(filters: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """What a row must fulfil.

    Raises:
        InvalidRequest: there is no such state.
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
        found = Experiment.title.icontains(text, autoescape=True)
        chosen.append(found | Experiment.description.icontains(text, autoescape=True))
    return chosen


def joined(tags: list[str]) -> str:
    """Tags as they are kept: between commas."""
    return "".join(f",{tag}" for tag in dict.fromkeys(tags)) + "," if tags else ""


def tags_of(row: Experiment) -> list[str]:
    return [tag for tag in row.tags.split(",") if tag]


def has_diverged(row: Experiment) -> bool:
    """Whether it failed because its numbers became NaN or infinite."""
    return row.state == ExperimentState.FAILED and row.reason.startswith(DIVERGED)
