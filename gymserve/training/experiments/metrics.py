"""Metrics of experiments: read from the runners' files into the database, and asked for."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Integer, cast, delete, func, insert, literal, select
from sqlalchemy.orm import Session

from gymserve.store import Database
from gymserve.store.models import Count, Experiment, Metric

BATCH_BYTES = 4 * 2**20  # of a metrics file that are read at once
NAME = 100  # characters
MOST_POINTS = 10_000  # of an answer
RETURN, LENGTH = "reward", "episode_length"  # of each episode
MEANS = ("rollout/ep_rew_mean", "return_mean", "test_return_mean", "reward")  # the return, for runners without episodes
_decode = msgspec.json.Decoder(tuple[int, dict[str, float | int | None]]).decode


class Point(NamedTuple):
    """Values of one timestep."""

    timestep: int
    values: dict[str, float | None]


def load(session: Session, row: Experiment, file: Path) -> bool:
    """Reads what a runner has written since the last time; whether there may be more. The position is kept with it."""
    try:
        with open(file, "rb") as reading:
            reading.seek(row.metrics_read)
            data = reading.read(BATCH_BYTES)
    except FileNotFoundError:
        return False
    whole = data[: data.rfind(b"\n") + 1]
    found: list[dict[str, Any]] = []
    position = row.metrics_read
    for line in whole.splitlines(keepends=True):
        found += _rows(row.id, position, line)
        position += len(line)
    if found:
        session.execute(insert(Metric), found)
        row.timesteps = max(row.timesteps, max(each["timestep"] for each in found))
    row.metrics_read = position
    return len(data) == BATCH_BYTES


def _rows(experiment: int, position: int, line: bytes) -> list[dict[str, Any]]:
    try:
        timestep, values = _decode(line)
    except msgspec.MsgspecError:
        return []  # a line that was cut when its writer was killed
    if not 0 <= timestep < 2**62:
        return []
    return [
        {
            "experiment_id": experiment,
            "position": position,
            "name": name[:NAME],
            "timestep": timestep,
            "value": _number(value),
        }
        for name, value in values.items()
    ]


def _number(value: float | int | None) -> float | None:
    """None for an integer that no double holds; JSON has no other number that is not finite."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None


def cut(session: Session, row: Experiment, size: int) -> None:
    """Forgets what was read from behind the first `size` bytes."""
    session.execute(delete(Metric).where(Metric.experiment_id == row.id, Metric.position >= size))
    row.metrics_read = min(row.metrics_read, size)
    last = select(func.max(Metric.timestep)).where(Metric.experiment_id == row.id)
    row.timesteps = session.scalar(last) or 0


class Metrics:
    """What can be asked about metrics."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def names(self, experiment: int) -> list[str]:
        query = select(Metric.name).where(Metric.experiment_id == experiment).distinct().order_by(Metric.name)
        with self.database.reading() as session:
            return list(session.scalars(query))

    def points(
        self,
        experiment: int,
        *,
        names: Sequence[str] = (),
        first: int | None = None,
        last: int | None = None,
        points: int = MOST_POINTS,
    ) -> list[Point]:
        """Values by timestep, within `first` … `last` inclusive; where there are more than `points` timesteps, the range
        is cut into so many equal parts, and each part has the means of its values, at its last timestep."""
        chosen = _chosen(experiment, names, first, last)
        with self.database.reading() as session:
            low, high, number = session.execute(
                select(
                    func.min(Metric.timestep), func.max(Metric.timestep), func.count(Metric.timestep.distinct())
                ).where(*chosen)
            ).one()
            if not number:
                return []
            if number <= points:
                query = select(Metric.timestep, Metric.name, Metric.value).where(*chosen)
                return _merged(session.execute(query.order_by(Metric.timestep, Metric.id)))
            width = (high - low) // points + 1
            part = cast((Metric.timestep - low) // literal(width, Count), Integer)
            query = select(part, Metric.name, func.avg(Metric.value), func.max(Metric.timestep)).where(*chosen)
            return _parts(session.execute(query.group_by(part, Metric.name).order_by(part)))

    def series(self, experiments: Sequence[int], *, points: int = MOST_POINTS) -> dict[int, dict[str, list[Any]]]:
        """Experiment → `{name: [values], name_T: [timesteps]}`, as the TJU platform tells it."""
        found: dict[int, dict[str, list[Any]]] = {}
        for experiment in experiments:
            series: dict[str, list[Any]] = {}
            for point in self.points(experiment, points=points):
                for name, value in point.values.items():
                    series.setdefault(name, []).append(value)
                    series.setdefault(f"{name}_T", []).append(point.timestep)
            found[experiment] = series
        return found

    def after(self, experiment: int, last_id: int, *, most: int = 1000) -> list[Metric]:
        """What came after the row `last_id`, in the order in which it came."""
        query = select(Metric).where(Metric.experiment_id == experiment, Metric.id > last_id)
        with self.database.reading() as session:
            return list(session.scalars(query.order_by(Metric.id).limit(most)))

    def newest(self, experiment: int) -> int:
        """The id of the row that came last; 0: there is none."""
        with self.database.reading() as session:
            return session.scalar(select(func.max(Metric.id)).where(Metric.experiment_id == experiment)) or 0

    def episodes(self, experiments: Sequence[int]) -> dict[int, int]:
        """Experiment → how many episodes it has had."""
        own = (Metric.experiment_id.in_(experiments), Metric.name == RETURN)
        query = select(Metric.experiment_id, func.count()).where(*own).group_by(Metric.experiment_id)
        with self.database.reading() as session:
            found = {experiment: int(count) for experiment, count in session.execute(query)}
        return dict.fromkeys(experiments, 0) | found

    def returns(self, experiment: int, most: int) -> list[tuple[int, float | None]]:
        """(Timestep, return) of the first `most` episodes, in the order in which they ended."""
        query = select(Metric.timestep, Metric.value).where(Metric.experiment_id == experiment, Metric.name == RETURN)
        with self.database.reading() as session:
            rows = session.execute(query.order_by(Metric.timestep, Metric.id).limit(most))
            return [(timestep, value) for timestep, value in rows]

    def summary(self, row: Experiment) -> dict[str, Any]:
        """Means and counts of the episodes; where a runner tells none, of the returns that it does tell."""
        with self.database.reading() as session:
            names = (RETURN, *MEANS)
            name = next((each for each in names if session.scalar(_any(row.id, each)) is not None), RETURN)
            own = (Metric.experiment_id == row.id, Metric.name == name)
            count, best = session.execute(select(func.count(), func.max(Metric.value)).where(*own)).one()
            recent = select(Metric.value).where(*own).order_by(Metric.timestep.desc(), Metric.id.desc()).limit(100)
            values = [value for value in session.scalars(recent) if value is not None]
        return {
            "avg_reward_last_100": sum(values) / len(values) if values else None,
            "total_timesteps": row.timesteps,
            "best_reward": best,
            "total_episodes": count if name == RETURN else None,
        }


def _any(experiment: int, name: str) -> Any:
    return select(Metric.id).where(Metric.experiment_id == experiment, Metric.name == name).limit(1)


def _chosen(experiment: int, names: Sequence[str], first: int | None, last: int | None) -> list[ColumnElement[bool]]:
    chosen = [Metric.experiment_id == experiment]
    if names:
        chosen.append(Metric.name.in_(names))
    if first is not None:
        chosen.append(Metric.timestep >= first)
    if last is not None:
        chosen.append(Metric.timestep <= last)
    return chosen


def _merged(rows: Iterable[Any]) -> list[Point]:
    """One point a timestep; a second value of the same name and timestep (episodes of two copies) is a point too."""
    found: list[Point] = []
    for timestep, name, value in rows:
        if not found or found[-1].timestep != timestep or name in found[-1].values:
            found.append(Point(timestep, {}))
        found[-1].values[name] = value
    return found


def _parts(rows: Iterable[Any]) -> list[Point]:
    found: dict[int, Point] = {}
    for part, name, value, timestep in rows:
        known = found.get(part, Point(timestep, {}))
        found[part] = Point(max(known.timestep, timestep), {**known.values, name: value})
    return list(found.values())
