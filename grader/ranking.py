"""The order of a leaderboard, as a pure function: rows of submissions → places."""

import math
from collections.abc import Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """A graded submission.

    Args:
        entrant: the account or team.
        time: when it was graded, in seconds.
    """

    entrant: str
    submission: str
    score: float | None
    secondary: float | None = None
    time: float = 0.0


class Place(NamedTuple):
    """`rank` is None for a baseline; `tries` counts all submissions of the entrant, scored or not."""

    rank: int | None
    row: Row
    tries: int
    tied: bool
    qualified: bool


def places(
    rows: Iterable[Row],
    *,
    better: str,
    rule: str,
    ties: str,
    secondary_better: str | None = None,
    qualifying_score: float | None = None,
    baselines: Iterable[Row] = (),
) -> list[Place]:
    """The places, best first: one an entrant, and the baselines between them.

    Submissions without a finite score never rank, and never stand in the way of one that has. Among equals of one
    entrant the earlier submission stands.

    Args:
        better: "higher" or "lower" scores.
        rule: the "best" or the "last" submission of an entrant counts.
        ties: equal scores share a rank ("shared"), the "earlier" submission comes first, or the "secondary" score
            decides, and what is equal then shares.
        secondary_better: None: as `better`.
    """
    sign = -1.0 if better == "higher" else 1.0
    second_sign = -1.0 if (secondary_better or better) == "higher" else 1.0

    def worth(row: Row) -> tuple[float, ...]:
        """Smaller is better; equal is tied."""
        first = sign * _number(row.score)
        if ties == "secondary":
            second = second_sign * _number(row.secondary)
            return first, second if math.isfinite(second) else math.inf
        return (first, row.time) if ties == "earlier" else (first,)

    tries: dict[str, int] = {}
    standing: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row.time, row.submission)):
        tries[row.entrant] = tries.get(row.entrant, 0) + 1
        if not math.isfinite(_number(row.score)):
            continue
        before = standing.get(row.entrant)
        if before is None or rule == "last" or worth(row) < worth(before):
            standing[row.entrant] = row
    marked = [(worth(row), True, row) for row in standing.values()]
    marked += [(worth(row), False, row) for row in baselines if math.isfinite(_number(row.score))]
    marked.sort(key=lambda each: (each[0], not each[1], each[2].time, each[2].entrant))
    worths = [each[0] for each in marked if each[1]]
    found: list[Place] = []
    rank = seen = 0
    last: tuple[float, ...] | None = None
    for own, ranks, row in marked:
        if ranks:
            seen += 1
            if own != last:
                rank, last = seen, own
        qualified = qualifying_score is None or sign * _number(row.score) <= sign * qualifying_score
        tied = ranks and ((seen < len(worths) and worths[seen] == own) or (seen > 1 and worths[seen - 2] == own))
        found.append(Place(rank if ranks else None, row, tries.get(row.entrant, 0) if ranks else 0, tied, qualified))
    return found


def _number(score: float | None) -> float:
    return math.nan if score is None else score
