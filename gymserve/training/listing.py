"""Lists of experiments: states, tags, filters."""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, func

from gymserve.errors import InvalidRequest
from gymserve.store.models import Experiment

STATES = ("created", "queued", "running", "paused", "completed", "failed", "stopped")
TAG = re.compile(r"[\w.:-]{1,50}")
MOST_TAGS = 9


def chosen(filters: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """What a row must fulfil.

    Raises:
        InvalidRequest: there is no such state.
    """
    chosen: list[ColumnElement[bool]] = []
    if status := filters.get("status"):
        if status not in STATES:
            raise InvalidRequest(f"status must be one of {', '.join(STATES)}, not {status!r:.50}")
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


def tags(given: Any) -> str:
    """Tags as they are kept: between commas.

    Raises:
        InvalidRequest: they are no such list.
    """
    if given is None:
        return ""
    good = isinstance(given, list) and len(given) <= MOST_TAGS
    if not good or not all(isinstance(tag, str) and TAG.fullmatch(tag) for tag in given):
        raise InvalidRequest(f"tags must be a list of up to {MOST_TAGS} words of letters, digits and . : _ -")
    return "".join(f",{tag}" for tag in dict.fromkeys(given)) + "," if given else ""


def tags_of(row: Experiment) -> list[str]:
    return [tag for tag in row.tags.split(",") if tag]
