"""Metrics of experiments: loaded from the runners' files into the database, and queried."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Integer, Row, Select, cast, delete, func, insert, literal, select
from sqlalchemy.orm import Session

from gymserve.protocol.wire import JSONObject
from gymserve.store import Database
from gymserve.store.models import Count, Experiment, Metric

BATCH_BYTES = 4 * 2**20  # read from a metrics file at a time
NAME = 100  # characters
MOST_POINTS = 10_000  # in a response
RETURN, LENGTH = "reward", "episode_length"  # of each episode
EPISODE_RETURNS = (RETURN, "undiscounted_reward")  # the second is PTF's
MEANS = ("rollout/ep_rew_mean", "return_mean", "test_return_mean")  # for runners that report no episodes
RETURNS = (*EPISODE_RETURNS, *MEANS)  # the first that an experiment has is its learning curve
EXPECTED = {
    "ptf": "undiscounted_reward",
    "pymarl": "return_mean",
    "epymarl": "return_mean",
}  # by runner, before any value
_decode = msgspec.json.Decoder(tuple[int, dict[str, float | int | None]]).decode


class Point(NamedTuple):
    """The values at one timestep."""

    timestep: int
    values: dict[str, float | None]


def load(session: Session, row: Experiment, file: Path) -> bool:
    """Load what a runner has written since the last call; return whether there may be more. The row keeps the position."""
    try:
        with open(file, "rb") as reading:
            reading.seek(row.metrics_read)
            data = reading.read(BATCH_BYTES)
    except FileNotFoundError:
        return False
    whole = data[: data.rfind(b"\n") + 1]
    rows: list[JSONObject] = []
    position = row.metrics_read
    for line in whole.splitlines(keepends=True):
        rows += _rows(row.id, position, line)
        position += len(line)
    if rows:
        session.execute(insert(Metric), rows)
        row.timesteps = max(row.timesteps, max(each["timestep"] for each in rows))
    row.metrics_read = position
    return len(data) == BATCH_BYTES


def _rows(experiment: int, position: int, line: bytes) -> list[dict[str, object]]:
    try:
        timestep, values = _decode(line)
    except msgspec.MsgspecError:
        return []  # a line cut short when its writer was killed
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
    """Convert to a float; None for an integer too large for one (JSON has no other non-finite numbers)."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None


def cut(session: Session, row: Experiment, size: int) -> None:
    """Delete the rows read from beyond the first `size` bytes of the file."""
    session.execute(delete(Metric).where(Metric.experiment_id == row.id, Metric.position >= size))
    row.metrics_read = min(row.metrics_read, size)
    last = select(func.max(Metric.timestep)).where(Metric.experiment_id == row.id)
    row.timesteps = session.scalar(last) or 0


class Metrics:
    """Queries over metrics."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def names(self, experiment: int) -> list[str]:
        """Return the names of an experiment's metrics."""
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
        """Return values by timestep, from `first` to `last` inclusive.

        If there are more than `points` timesteps, the range is cut into that many equal parts; each part becomes one point
        with the means of its values, at its last timestep.
        """
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

    def series(self, experiments: Sequence[int], *, points: int = MOST_POINTS) -> dict[int, dict[str, list[object]]]:
        """Map each experiment to `{name: [values], name_T: [timesteps]}`, the TJU platform's format."""
        by_experiment: dict[int, dict[str, list[object]]] = {}
        for experiment in experiments:
            series: dict[str, list[object]] = {}
            for point in self.points(experiment, points=points):
                for name, value in point.values.items():
                    series.setdefault(name, []).append(value)
                    series.setdefault(f"{name}_T", []).append(point.timestep)
            by_experiment[experiment] = series
        return by_experiment

    def after(self, experiment: int, last_id: int, *, most: int = 1000) -> list[Metric]:
        """Return the rows that were added after row `last_id`, oldest first."""
        query = select(Metric).where(Metric.experiment_id == experiment, Metric.id > last_id)
        with self.database.reading() as session:
            return list(session.scalars(query.order_by(Metric.id).limit(most)))

    def newest(self, experiment: int) -> int:
        """Return the id of the newest row, or 0 if there is none."""
        with self.database.reading() as session:
            return session.scalar(select(func.max(Metric.id)).where(Metric.experiment_id == experiment)) or 0

    def episodes(self, experiments: Sequence[int]) -> dict[int, int]:
        """Map each experiment to its number of episodes."""
        own = (Metric.experiment_id.in_(experiments), Metric.name == RETURN)
        query = select(Metric.experiment_id, func.count()).where(*own).group_by(Metric.experiment_id)
        with self.database.reading() as session:
            counts = {experiment: int(count) for experiment, count in session.execute(query)}
        return dict.fromkeys(experiments, 0) | counts

    def returns(self, experiment: int, most: int) -> list[tuple[int, float | None]]:
        """Return (timestep, return) of the first `most` episodes, in the order in which they ended."""
        query = select(Metric.timestep, Metric.value).where(Metric.experiment_id == experiment, Metric.name == RETURN)
        with self.database.reading() as session:
            rows = session.execute(query.order_by(Metric.timestep, Metric.id).limit(most))
            return [(timestep, value) for timestep, value in rows]

    def return_name(self, row: Experiment) -> str:
        """Return the name of the metric with the returns; if it has no value yet, the name that its runner will use."""
        with self.database.reading() as session:
            names = (each for each in RETURNS if session.scalar(_any(row.id, each)) is not None)
            return next(names, EXPECTED.get(row.runner, RETURN))

    def summary(self, row: Experiment) -> JSONObject:
        """Summarize the episodes' returns, or the mean returns of a runner that reports no episodes."""
        name = self.return_name(row)
        with self.database.reading() as session:
            own = (Metric.experiment_id == row.id, Metric.name == name)
            count, best = session.execute(select(func.count(), func.max(Metric.value)).where(*own)).one()
            recent = select(Metric.value).where(*own).order_by(Metric.timestep.desc(), Metric.id.desc()).limit(100)
            values = [value for value in session.scalars(recent) if value is not None]
        return {
            "avg_reward_last_100": sum(values) / len(values) if values else None,
            "total_timesteps": row.timesteps,
            "best_reward": best,
            "total_episodes": count if name in EPISODE_RETURNS else None,
        }


def _any(experiment: int, name: str) -> Select[int]:
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


def _merged(rows: Iterable[Row[int, str, float | None]]) -> list[Point]:
    """Collect one point per timestep; a repeated name at a timestep (episodes of two copies) starts another point."""
    points: list[Point] = []
    for timestep, name, value in rows:
        if not points or points[-1].timestep != timestep or name in points[-1].values:
            points.append(Point(timestep, {}))
        points[-1].values[name] = value
    return points


def _parts(rows: Iterable[Row[int, str, float | None, int]]) -> list[Point]:
    points: dict[int, Point] = {}
    for part, name, value, timestep in rows:
        known = points.get(part, Point(timestep, {}))
        points[part] = Point(max(known.timestep, timestep), {**known.values, name: value})
    return list(points.values())
