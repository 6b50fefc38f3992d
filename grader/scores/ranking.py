"""Ranking without a database: scored submissions → standings of entrants → places on a leaderboard."""

import bisect
import datetime
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Details(NamedTuple):
    """What a leaderboard shows of a submission beside its score."""

    finished_at: datetime.datetime
    spread: float | None
    standard_error: float | None
    steps: int
    verdict: str


class RankingRow(NamedTuple):
    """A graded submission, or a baseline.

    Args:
        entrant: the account or team.
        time: when it was graded, in seconds since 1970.
        details: None for a baseline.
        began: a number that is larger for submissions that began later.
    """

    entrant: str
    submission: str
    score: float | None
    secondary: float | None = None
    time: float = 0.0
    details: Details | None = None
    began: int = 0


class Rules(NamedTuple):
    """How submissions are ranked.

    Args:
        better: "higher" or "lower" scores.
        rule: which of an entrant's submissions counts: the "best", or the "last" to begin, whatever its outcome.
        ties: equal scores share a rank ("shared"), the "earlier" submission comes first, or the "secondary" score
            decides (if that is equal too, they share a rank).
        secondary_better: as `better`, for the secondary score; None for the same direction.
        qualifying_score: the score that a final phase needs, or None.
    """

    better: str
    rule: str
    ties: str
    secondary_better: str | None = None
    qualifying_score: float | None = None

    def sort_key(self, row: RankingRow) -> tuple[float, ...]:
        """The key by which submissions are ranked: smaller is better, and equal keys are tied."""
        first = -_number(row.score) if self.better == "higher" else _number(row.score)
        if self.ties == "secondary":
            second = _number(row.secondary)
            second = -second if (self.secondary_better or self.better) == "higher" else second
            return first, second if math.isfinite(second) else math.inf
        return (first, row.time) if self.ties == "earlier" else (first,)

    def qualifies(self, row: RankingRow) -> bool:
        """Whether a submission reaches the qualifying score."""
        if self.qualifying_score is None:
            return True
        score = _number(row.score)
        return score >= self.qualifying_score if self.better == "higher" else score <= self.qualifying_score


class Standing(NamedTuple):
    """The submission that counts for an entrant, or None if none has a score, and the number of all its submissions."""

    row: RankingRow | None
    tries: int


class Place(NamedTuple):
    """A place on a leaderboard. `rank` is None for a baseline. `tries` counts the entrant's submissions, scored or not."""

    rank: int | None
    row: RankingRow
    tries: int
    tied: bool
    qualified: bool


def standings(rows: Iterable[RankingRow], rules: Rules) -> dict[str, Standing]:
    """Entrant → standing.

    Submissions without a finite score never rank. If the best one counts, they are ignored, and of equal ones the earlier
    counts. If the last one counts, a last one without a score removes the entrant's rank: otherwise, an agent could undo
    a bad run by leaving a trial unplayed.
    """
    last_counts = rules.rule == "last"
    result: dict[str, Standing] = {}
    for row in sorted(rows, key=lambda row: (row.began if last_counts else row.time, row.submission)):
        counted, tries = result.get(row.entrant, (None, 0))
        has_score = math.isfinite(_number(row.score))
        if last_counts:
            counted = row if has_score else None
        elif has_score and (counted is None or rules.sort_key(row) < rules.sort_key(counted)):
            counted = row
        result[row.entrant] = Standing(counted, tries + 1)
    return result


class _Entry(NamedTuple):
    """An entry of a ranking. Entries sort by key, then ranked ones before baselines, then by time and name."""

    key: tuple[float, ...]
    baseline: bool
    time: float
    entrant: str
    row: RankingRow
    tries: int


class Ranking:
    """An immutable list of places, best first: one for each entrant, with the baselines in between.

    Places are computed on access, so that updating one of many entrants is cheap.
    """

    def __init__(self, standings: Iterable[Standing], rules: Rules, baselines: Iterable[RankingRow] = ()) -> None:
        self.rules = rules
        self._baselines = [self._entry(row, 0, True) for row in baselines if math.isfinite(_number(row.score))]
        ranked = [self._entry(each.row, each.tries) for each in standings if each.row is not None]
        self._by_entrant = {entry.entrant: entry for entry in ranked}
        self._entries = sorted(ranked + self._baselines)

    def updated(self, standings: Mapping[str, Standing | None]) -> "Ranking":
        """A copy with new standings for some entrants. None removes an entrant."""
        new = object.__new__(Ranking)
        new.rules, new._baselines = self.rules, self._baselines
        new._by_entrant, new._entries = dict(self._by_entrant), list(self._entries)
        for entrant, standing in standings.items():
            if (old := new._by_entrant.pop(entrant, None)) is not None:
                del new._entries[bisect.bisect_left(new._entries, old)]
            if standing is not None and standing.row is not None:
                entry = new._by_entrant[entrant] = self._entry(standing.row, standing.tries)
                bisect.insort(new._entries, entry)
        return new

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, places: slice) -> list[Place]:
        return [self._place(index) for index in range(*places.indices(len(self)))]

    def rank(self, entrant: str) -> int | None:
        """The rank of an entrant, or None if it has no score."""
        entry = self._by_entrant.get(entrant)
        return None if entry is None else self._rank(entry.key)

    def _entry(self, row: RankingRow, tries: int, baseline: bool = False) -> _Entry:
        return _Entry(self.rules.sort_key(row), baseline, row.time, row.entrant, row, tries)

    def _rank(self, key: tuple[float, ...]) -> int:
        better = bisect.bisect_left(self._entries, key, key=lambda entry: entry.key)
        return better - sum(each.key < key for each in self._baselines) + 1

    def _place(self, index: int) -> Place:
        entry = self._entries[index]
        qualified = self.rules.qualifies(entry.row)
        if entry.baseline:
            return Place(None, entry.row, 0, False, qualified)
        neighbours = self._entries[max(0, index - 1) : index] + self._entries[index + 1 : index + 2]
        tied = any(each.key == entry.key and not each.baseline for each in neighbours)
        return Place(self._rank(entry.key), entry.row, entry.tries, tied, qualified)


def _number(score: float | None) -> float:
    return math.nan if score is None else score
