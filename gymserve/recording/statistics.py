"""Statistics of journals: number, length, return and speed of their episodes. Nothing is replayed."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from gymserve.journal import Record, episodes_of


class Spread(NamedTuple):
    """Mean and range of some numbers; `deviation` is the sample standard deviation, None for fewer than two numbers."""

    mean: float
    deviation: float | None
    least: float
    most: float


class Statistics(NamedTuple):
    """Statistics of finished episodes; unfinished ones are only counted.

    Args:
        steps: of all finished episodes.
        lengths, returns: None if no episode was finished.
        steps_per_second: in real time, from each reset to the end of its episode; None if no time passed.
    """

    episodes: int
    unfinished: int
    steps: int
    lengths: Spread | None
    returns: Spread | None
    steps_per_second: float | None

    def to_dict(self) -> dict[str, object]:
        """The statistics as plain data, for JSON."""
        fields = self._asdict()
        return {name: value._asdict() if isinstance(value, Spread) else value for name, value in fields.items()}


def spread(numbers: Sequence[float]) -> Spread | None:
    """The spread of some numbers; None if there are none."""
    if not numbers:
        return None
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Spread(statistics.fmean(numbers), deviation, min(numbers), max(numbers))


def summarize(journals: Sequence[Sequence[Record]]) -> Statistics:
    """The statistics of all the journals' episodes together."""
    episodes = [episode for records in journals for episode in episodes_of(records)]
    finished = [episode for episode in episodes if episode.is_over]
    steps = sum(len(episode.steps) for episode in finished)
    seconds = sum((episode.steps[-1].time or episode.reset.time) - episode.reset.time for episode in finished)
    return Statistics(
        len(finished),
        len(episodes) - len(finished),
        steps,
        spread([float(len(episode.steps)) for episode in finished]),
        spread([episode.total for episode in finished]),
        steps / seconds if seconds > 0 else None,
    )
