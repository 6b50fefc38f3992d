"""Statistics of journals: how many episodes, how long, what they returned, how fast they were stepped. Nothing is replayed."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from gymserve.journal import Record, episodes_of


class Spread(NamedTuple):
    """Of some numbers: `deviation` is the sample standard deviation, None for fewer than two."""

    mean: float
    deviation: float | None
    least: float
    most: float


class Statistics(NamedTuple):
    """Of finished episodes; `unfinished` ones count for nothing else.

    Args:
        lengths, returns: None where no episode was finished.
        steps_per_second: by the clock, from each reset to its episode's end; None where that took no time.
    """

    episodes: int
    unfinished: int
    steps: int
    lengths: Spread | None
    returns: Spread | None
    steps_per_second: float | None

    def to_map(self) -> dict[str, Any]:
        """As plain data."""
        told = self._asdict()
        return {name: value._asdict() if isinstance(value, Spread) else value for name, value in told.items()}


def spread(numbers: Sequence[float]) -> Spread | None:
    """None: there are no numbers."""
    if not numbers:
        return None
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Spread(statistics.fmean(numbers), deviation, min(numbers), max(numbers))


def of(journals: Sequence[Sequence[Record]]) -> Statistics:
    """Of all the journals' episodes together."""
    found = [episode for records in journals for episode in episodes_of(records)]
    finished = [episode for episode in found if episode.is_over]
    steps = sum(len(episode.steps) for episode in finished)
    seconds = sum((episode.steps[-1].time or episode.reset.time) - episode.reset.time for episode in finished)
    return Statistics(
        len(finished),
        len(found) - len(finished),
        steps,
        spread([float(len(episode.steps)) for episode in finished]),
        spread([episode.total for episode in finished]),
        steps / seconds if seconds > 0 else None,
    )
