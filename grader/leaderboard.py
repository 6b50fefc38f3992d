"""The leaderboard of a challenge's phase, from the database; made anew only when a submission has changed."""

import csv
import io
import threading
import time
from typing import Any, NamedTuple

from sqlalchemy import func, select

from grader.competition import Competition, Held
from grader.judging import ABANDONED, GRADED, VERIFYING
from grader.ranking import Row, places
from gymserve import errors
from gymserve.store import Database
from gymserve.store.models import Submission, now

COLUMNS = (
    "rank", "entrant", "score", "secondary", "spread", "standard_error", "tries", "steps", "tied", "qualified",
    "verdict", "finished_at", "submission", "baseline",
)  # fmt: skip
SCORED = (VERIFYING, GRADED, ABANDONED)


QUICK_SECONDS = 0.1


class Board(NamedTuple):
    """`rows`: by `COLUMNS`, best first. `tag` changes whenever they do. `seconds`: making it took so long."""

    phase: str
    tag: str
    rows: list[dict[str, Any]]
    seconds: float

    def to_csv(self) -> str:
        """The rows as CSV, with a line of names."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows({**row, "entrant": _harmless(row["entrant"])} for row in self.rows)
        return text.getvalue()


class Leaderboard:
    """Boards that take long are made anew behind their readers' backs, who see the one before for so long."""

    def __init__(self, database: Database, competition: Competition) -> None:
        self.database, self.competition = database, competition
        self._boards: dict[tuple[int, str], Board] = {}
        self._making: set[tuple[int, str]] = set()
        self._lock = threading.Lock()

    def of(self, held: Held, phase_name: str | None = None, *, sees_hidden: bool = False) -> Board:
        """The places of a phase; of the present or last one where none is named.

        Raises:
            InvalidRequest: there is no such phase.
            Conflict: it is hidden until a date.
        """
        at, challenge = now(), held.challenge
        phase = challenge.phase(phase_name) if phase_name else challenge.phase_at(at) or challenge.phases[-1]
        until = phase.hidden_until or challenge.ranking.hidden_until
        if until is not None and at < until and not sees_hidden:
            raise errors.Conflict(f"the leaderboard is hidden until {until:%Y-%m-%d %H:%M} UTC")
        tag = f"{held.version_id}-{self._stamp(held.id, phase.name)}"
        board = self._boards.get((held.id, phase.name))
        if board is None or (board.tag != tag and board.seconds < QUICK_SECONDS):
            return self._make(held, phase.name, tag)
        if board.tag != tag:
            self._make_behind(held, phase.name, tag)
        return board

    def _make(self, held: Held, phase: str, tag: str) -> Board:
        began = time.perf_counter()
        rows = self._rows(held, phase)
        board = self._boards[(held.id, phase)] = Board(phase, tag, rows, time.perf_counter() - began)
        return board

    def _make_behind(self, held: Held, phase: str, tag: str) -> None:
        key = (held.id, phase)

        def make() -> None:
            try:
                self._make(held, phase, tag)
            except errors.Unavailable:
                pass  # and the next reader has it made again
            finally:
                self._making.discard(key)

        with self._lock:
            if key not in self._making:
                self._making.add(key)
                threading.Thread(target=make, daemon=True).start()

    def _stamp(self, challenge_id: int, phase: str) -> str:
        mine = (Submission.challenge_id == challenge_id, Submission.phase == phase)
        with self.database.reading() as session:
            latest = session.scalar(select(func.max(Submission.changed_at)).where(*mine))
            # Two changes in one microsecond are not told apart by their time.
            same = select(func.count()).select_from(Submission).where(*mine, Submission.changed_at == latest)
            return f"{latest:%Y%m%d%H%M%S%f}-{session.scalar(same)}" if latest else "none"

    def _rows(self, held: Held, phase: str) -> list[dict[str, Any]]:
        challenge = held.challenge
        columns = (
            Submission.entrant, Submission.name, Submission.score, Submission.secondary, Submission.finished_at,
            Submission.spread, Submission.standard_error, Submission.steps, Submission.verdict, Submission.state,
        )  # fmt: skip
        query = select(*columns).where(
            Submission.challenge_id == held.id,
            Submission.phase == phase,
            Submission.counts,
            Submission.finished_at.is_not(None),
        )
        with self.database.reading() as session:
            found = {row.name: row for row in session.execute(query)}
        rows = [
            Row(
                row.entrant,
                row.name,
                row.score if row.state in SCORED else None,
                row.secondary,
                row.finished_at.timestamp(),
            )
            for row in found.values()
        ]
        placed = places(
            rows,
            better=challenge.scoring.better,
            rule=challenge.ranking.rule,
            ties=challenge.ranking.ties,
            secondary_better=challenge.scoring.secondary_better,
            qualifying_score=challenge.ranking.qualifying_score,
            baselines=[Row(each.name, "", each.score) for each in challenge.baselines],
        )
        told = []
        for place in placed:
            row = found.get(place.row.submission)
            told.append(
                {
                    "rank": place.rank,
                    "entrant": place.row.entrant,
                    "score": place.row.score,
                    "secondary": place.row.secondary,
                    "spread": row.spread if row else None,
                    "standard_error": row.standard_error if row else None,
                    "tries": place.tries,
                    "steps": row.steps if row else None,
                    "tied": place.tied,
                    "qualified": place.qualified,
                    "verdict": row.verdict if row else None,
                    "finished_at": row.finished_at.isoformat() if row else None,
                    "submission": place.row.submission,
                    "baseline": row is None,
                }
            )
        return told


def _harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
