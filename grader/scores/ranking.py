"""The order of a leaderboard, without a database: rows of submissions → standings of entrants → places."""

import bisect
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A graded submission.

    Args:
        entrant: the account or team.
        time: when it was graded, in seconds.
        began: in which order submissions began.
        details: whatever else is to be told of it.
    """

    entrant: str
    submission: str
    score: float | None
    secondary: float | None = None
    time: float = 0.0
    details: Any = None
    began: int = 0


class Rules(NamedTuple):
    """How submissions are ranked.

    Args:
        better: "higher" or "lower" scores.
        rule: the "best" submission of an entrant counts, or the one that began "last", whatever became of it.
        ties: equal scores share a rank ("shared"), the "earlier" submission comes first, or the "secondary" score
            decides, and what is equal then shares.
        secondary_better: None: as `better`.
    """

    better: str
    rule: str
    ties: str
    secondary_better: str | None = None
    qualifying_score: float | None = None

    def worth(self, row: Row) -> tuple[float, ...]:
        """Smaller is better; equal is tied."""
        first = -_number(row.score) if self.better == "higher" else _number(row.score)
        if self.ties == "secondary":
            second = _number(row.secondary)
            second = -second if (self.secondary_better or self.better) == "higher" else second
            return first, second if math.isfinite(second) else math.inf
        return (first, row.time) if self.ties == "earlier" else (first,)

    def qualifies(self, row: Row) -> bool:
        if self.qualifying_score is None:
            return True
        score = _number(row.score)
        return score >= self.qualifying_score if self.better == "higher" else score <= self.qualifying_score


class Standing(NamedTuple):
    """The submission that counts for an entrant, None where none has a score; `tries`: how many there are in all."""

    row: Row | None
    tries: int


class Place(NamedTuple):
    """`rank` is None for a baseline; `tries` counts all submissions of the entrant, scored or not."""

    rank: int | None
    row: Row
    tries: int
    tied: bool
    qualified: bool


def standings(rows: Iterable[Row], rules: Rules) -> dict[str, Standing]:
    """Entrant → where it stands.

    Submissions without a finite score never rank. Where the best one counts, they do not stand in the way of one that
    has a score, and among equals of one entrant the earlier submission stands. Where the last one counts, they do: or else
    a bad run would be undone by leaving a trial unplayed.
    """
    by_beginning = rules.rule == "last"
    found: dict[str, Standing] = {}
    for row in sorted(rows, key=lambda row: (row.began if by_beginning else row.time, row.submission)):
        before, tries = found.get(row.entrant, (None, 0))
        has_score = math.isfinite(_number(row.score))
        if by_beginning:
            before = row if has_score else None
        elif has_score and (before is None or rules.worth(row) < rules.worth(before)):
            before = row
        found[row.entrant] = Standing(before, tries + 1)
    return found


class _Entry(NamedTuple):
    """Entries sort as they are placed: by worth, ranked ones before baselines, then by time and name."""

    worth: tuple[float, ...]
    baseline: bool
    time: float
    entrant: str
    row: Row
    tries: int


class Ranking:
    """The places, best first: one an entrant, and the baselines between them. It does not change; `changed` makes another.

    Places are made when they are asked for, so that a change of one among many entrants costs little.
    """

    def __init__(self, standings: Iterable[Standing], rules: Rules, baselines: Iterable[Row] = ()) -> None:
        self.rules = rules
        self._baselines = [self._entry(row, 0, True) for row in baselines if math.isfinite(_number(row.score))]
        ranked = [self._entry(each.row, each.tries) for each in standings if each.row is not None]
        self._of = {entry.entrant: entry for entry in ranked}
        self._entries = sorted(ranked + self._baselines)

    def changed(self, standings: Mapping[str, Standing | None]) -> "Ranking":
        """The same, but for the entrants given; None: one has no submissions any more."""
        new = object.__new__(Ranking)
        new.rules, new._baselines = self.rules, self._baselines
        new._of, new._entries = dict(self._of), list(self._entries)
        for entrant, standing in standings.items():
            if (before := new._of.pop(entrant, None)) is not None:
                del new._entries[bisect.bisect_left(new._entries, before)]
            if standing is not None and standing.row is not None:
                entry = new._of[entrant] = self._entry(standing.row, standing.tries)
                bisect.insort(new._entries, entry)
        return new

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, some: slice) -> list[Place]:
        return [self._place(index) for index in range(*some.indices(len(self)))]

    def rank(self, entrant: str) -> int | None:
        """The rank of an entrant; None: it has no score."""
        entry = self._of.get(entrant)
        return None if entry is None else self._rank(entry.worth)

    def _entry(self, row: Row, tries: int, baseline: bool = False) -> _Entry:
        return _Entry(self.rules.worth(row), baseline, row.time, row.entrant, row, tries)

    def _rank(self, worth: tuple[float, ...]) -> int:
        before = bisect.bisect_left(self._entries, worth, key=lambda entry: entry.worth)
        return before - sum(each.worth < worth for each in self._baselines) + 1

    def _place(self, index: int) -> Place:
        entry = self._entries[index]
        qualified = self.rules.qualifies(entry.row)
        if entry.baseline:
            return Place(None, entry.row, 0, False, qualified)
        neighbours = self._entries[max(0, index - 1) : index] + self._entries[index + 1 : index + 2]
        tied = any(each.worth == entry.worth and not each.baseline for each in neighbours)
        return Place(self._rank(entry.worth), entry.row, entry.tries, tied, qualified)


def _number(score: float | None) -> float:
    return math.nan if score is None else score
