"""The leaderboard of a challenge's phase: read from the database once, and then only of entrants whose submissions change."""

import csv
import datetime
import io
import threading
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from grader.challenges.challenge import Phase, canonical
from grader.challenges.states import RANKED
from grader.scores.ranking import Place, Ranking, Row, Rules, standings
from grader.server.competitions.competition import Competition, Held
from grader.server.competitions.names import entrant_named, names
from gymserve.protocol import errors
from gymserve.store import Database
from gymserve.store.models import Submission, now

COLUMNS = (
    "rank", "entrant", "entrant_id", "score", "secondary", "spread", "standard_error", "tries", "steps", "tied", "qualified",
    "verdict", "finished_at", "submission", "baseline",
)  # fmt: skip
DETAILS = ("spread", "standard_error", "steps", "verdict")
HISTORY = ("score", "secondary", *DETAILS)
OVERLAP = datetime.timedelta(seconds=2)
"""A transaction may end so much later than the time that it wrote down."""

MANY = 500
"""So many changed entrants are not asked for one by one."""


class Board(NamedTuple):
    """`places`: best first. `tag` changes whenever they do."""

    phase: str
    tag: str
    places: Ranking

    def rows(self, start: int = 0, stop: int | None = None) -> list[dict[str, Any]]:
        """Some of the places, each by `COLUMNS`; entrants are called by what their submissions are kept under."""
        return [_told(place) for place in self.places[start:stop]]


class Leaderboard:
    """The boards of all challenges, each as one process remembers it."""

    def __init__(self, database: Database, competition: Competition) -> None:
        self.database, self.competition = database, competition
        self._phases: dict[tuple[int, str], _Phase] = {}
        self._lock = threading.Lock()

    def of(self, held: Held, phase_name: str | None = None, *, sees_hidden: bool = False) -> Board:
        """The places of a phase; of the present or last one where none is named.

        Raises:
            InvalidRequest: there is no such phase.
            Conflict: it is hidden until a date.
        """
        phase = _shown(held, phase_name, sees_hidden)
        with self._lock:
            known = self._phases.setdefault((held.id, phase.name), _Phase(held.id, phase.name))
        with self.database.reading() as session:
            return known.board(session, held)

    def shown(self, board: Board, start: int = 0, stop: int | None = None) -> tuple[str, list[dict[str, Any]]]:
        """(a tag that changes whenever the rows do, some of the places with the names that entrants have now)."""
        rows = board.rows(start, stop)
        with self.database.reading() as session:
            called = names(session, [row["entrant"] for row in rows if not row["baseline"]])
        for row in rows:
            row["entrant"] = row["entrant"] if row["baseline"] else called[row["entrant"]]
        return f"{board.tag}-{zlib.crc32(canonical(called)):08x}", rows

    def history(
        self,
        held: Held,
        entrant: str,
        phase_name: str | None = None,
        *,
        sees_hidden: bool = False,
        skip: int = 0,
        limit: int = 100,
    ) -> tuple[str, str, list[dict[str, Any]]]:
        """(what the entrant is called, the phase, its submissions that have a score, the newest first).

        Args:
            entrant: what it is called, or what its submissions are kept under.

        Raises: as `of`.
        """
        phase = _shown(held, phase_name, sees_hidden)
        with self.database.reading() as session:
            entrant = entrant_named(session, entrant)
            called = names(session, [entrant])[entrant]
        columns = [getattr(Submission, name) for name in HISTORY]
        mine = (Submission.challenge_id == held.id, Submission.entrant == entrant, Submission.phase == phase.name)
        scored = (Submission.counts, Submission.state.in_(RANKED), Submission.score.is_not(None))
        query = select(Submission.name, Submission.finished_at, *columns).where(*mine, *scored)
        with self.database.reading() as session:
            found = session.execute(query.order_by(Submission.id.desc()).offset(skip).limit(limit)).all()
        return (
            called,
            phase.name,
            [
                {"submission": name, "finished_at": at.isoformat(), **dict(zip(HISTORY, more, strict=True))}
                for name, at, *more in found
            ],
        )


def _shown(held: Held, phase_name: str | None, sees_hidden: bool) -> Phase:
    """The phase of this name, or the present or last one; see `Leaderboard.of` for what is raised."""
    at, challenge = now(), held.challenge
    phase = challenge.phase(phase_name) if phase_name else challenge.phase_at(at) or challenge.phases[-1]
    until = phase.hidden_until or challenge.ranking.hidden_until
    if until is not None and at < until and not sees_hidden:
        raise errors.Conflict(f"the leaderboard is hidden until {until:%Y-%m-%d %H:%M} UTC")
    return phase


class _Phase:
    """Where the entrants of a phase stand, kept up with the database."""

    def __init__(self, challenge_id: int, name: str) -> None:
        self.name = name
        self._all = (Submission.challenge_id == challenge_id, Submission.phase == name)
        self._lock = threading.Lock()
        self._version = 0  # of the challenge, whose rules the board follows
        self._latest: datetime.datetime | None = None  # change that is on the board
        self._board: Board | None = None

    def board(self, session: Session, held: Held) -> Board:
        latest = session.scalar(select(func.max(Submission.changed_at)).where(*self._all))
        # Two changes in one microsecond are not told apart by their time.
        same = select(func.count()).select_from(Submission).where(*self._all, Submission.changed_at == latest)
        tag = (
            f"{held.version_id}-{latest:%Y%m%d%H%M%S%f}-{session.scalar(same)}" if latest else f"{held.version_id}-none"
        )
        known = self._board
        if known is not None and known.tag == tag:
            return known
        with self._lock:
            if self._board is not None and self._board.tag == tag:
                return self._board  # another thread has made it meanwhile
            ranking = None
            if self._board is not None and self._version == held.version_id:
                ranking = self._updated(session, self._board.places)
            if ranking is None:
                rules = _rules(held)
                baselines = [Row(each.name, "", each.score) for each in held.challenge.baselines]
                ranking = Ranking(standings(self._read(session), rules).values(), rules, baselines)
            self._version, self._latest = held.version_id, latest
            self._board = Board(self.name, tag, ranking)
            return self._board

    def _updated(self, session: Session, ranking: Ranking) -> Ranking | None:
        """The ranking with those entrants read anew of whom something changed; None: they are too many."""
        since = () if self._latest is None else (Submission.changed_at >= self._latest - OVERLAP,)
        changed = list(session.scalars(select(Submission.entrant).where(*self._all, *since).distinct()))
        if len(changed) > MANY:
            return None
        fresh = standings(self._read(session, Submission.entrant.in_(changed)), ranking.rules)
        return ranking.changed({entrant: fresh.get(entrant) for entrant in changed})

    def _read(self, session: Session, *conditions: ColumnElement[bool]) -> Iterator[Row]:
        details = [getattr(Submission, name) for name in DETAILS]
        columns = (
            Submission.entrant, Submission.name, Submission.score, Submission.secondary, Submission.finished_at,
            Submission.state, Submission.phase, Submission.id, *details,
        )  # fmt: skip
        # The phase is looked at here, or SQLite takes its index for all of it where that of entrants is quicker.
        query = select(*columns).where(
            self._all[0], *conditions, Submission.counts, Submission.finished_at.is_not(None)
        )
        for entrant, name, score, secondary, finished_at, state, phase, began, *more in session.execute(query):
            if phase == self.name:
                counted = score if state in RANKED else None
                yield Row(entrant, name, counted, secondary, finished_at.timestamp(), (finished_at, *more), began)


def _rules(held: Held) -> Rules:
    scoring, ranking = held.challenge.scoring, held.challenge.ranking
    return Rules(scoring.better, ranking.rule, ranking.ties, scoring.secondary_better, ranking.qualifying_score)


def _told(place: Place) -> dict[str, Any]:
    finished_at, *more = place.row.details or (None, *(None for _ in DETAILS))
    return {
        "rank": place.rank,
        "entrant": place.row.entrant,
        "entrant_id": place.row.entrant,
        "score": place.row.score,
        "secondary": place.row.secondary,
        "tries": place.tries,
        "tied": place.tied,
        "qualified": place.qualified,
        "finished_at": finished_at and finished_at.isoformat(),
        "submission": place.row.submission,
        "baseline": place.row.details is None,
        **dict(zip(DETAILS, more, strict=True)),
    }


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV, with a line of names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({**row, "entrant": _harmless(row["entrant"])} for row in rows)
    return text.getvalue()


def _harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
