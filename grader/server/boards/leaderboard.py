"""The leaderboard of a challenge's phase: read from the database once, then updated for entrants whose submissions change."""

import csv
import datetime
import io
import threading
import zlib
from collections.abc import Iterator
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct
from msgspec.structs import asdict, replace
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from gymserve.grader.challenges.challenge import Phase, canonical
from gymserve.grader.challenges.states import RANKED
from gymserve.grader.scores.ranking import Details, Place, Ranking, RankingRow, Rules, standings
from gymserve.grader.server.competitions.competition import ChallengeRecord, Competition
from gymserve.grader.server.competitions.names import display_names, entrant_by_name
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
"""How much later than its recorded time a transaction may be committed."""

MAX_UPDATED = 500
"""If more entrants than this have changed, the whole board is read again."""


class BoardPlace(Struct):  # without a docstring, which would become part of the API description
    rank: int | None
    entrant: Annotated[str, Meta(description="the entrant's display name")]
    entrant_id: Annotated[str, Meta(description="the entrant's id, which does not change with the name")]
    score: float
    secondary: float | None
    spread: float | None
    standard_error: float | None
    tries: int
    tied: bool
    qualified: bool
    steps: int | None
    verdict: str | None
    finished_at: str | None
    submission: str
    baseline: bool


class PhaseBoard(NamedTuple):
    """The places of a phase, best first, with a tag that changes whenever they do."""

    phase: str
    tag: str
    places: Ranking

    def rows(self, start: int = 0, stop: int | None = None) -> list[BoardPlace]:
        """Some of the places. Entrants have their permanent names."""
        return [_board_place(place) for place in self.places[start:stop]]


class Leaderboard:
    """The boards of all challenges, cached in this process."""

    def __init__(self, database: Database, competition: Competition) -> None:
        self.database, self.competition = database, competition
        self._phases: dict[tuple[int, str], _Phase] = {}
        self._lock = threading.Lock()

    def of(self, record: ChallengeRecord, phase_name: str | None = None, *, sees_hidden: bool = False) -> PhaseBoard:
        """The board of a phase, by default of the open phase or else the last one.

        Raises:
            InvalidRequest: there is no such phase.
            Conflict: the board is hidden until a date.
        """
        phase = _visible_phase(record, phase_name, sees_hidden)
        with self._lock:
            known = self._phases.setdefault((record.id, phase.name), _Phase(record.id, phase.name))
        with self.database.reading() as session:
            return known.board(session, record)

    def rows(self, board: PhaseBoard, start: int = 0, stop: int | None = None) -> tuple[str, list[BoardPlace]]:
        """Some of the places with the entrants' present display names, and a tag that changes whenever these rows do.

        Returns:
            The tag and the rows.
        """
        rows = board.rows(start, stop)
        with self.database.reading() as session:
            names = display_names(session, [row.entrant for row in rows if not row.baseline])
        rows = [row if row.baseline else replace(row, entrant=names[row.entrant]) for row in rows]
        return f"{board.tag}-{zlib.crc32(canonical(names)):08x}", rows

    def history(
        self,
        record: ChallengeRecord,
        entrant: str,
        phase_name: str | None = None,
        *,
        sees_hidden: bool = False,
        skip: int = 0,
        limit: int = 100,
    ) -> tuple[str, str, list[dict[str, object]]]:
        """An entrant's scored submissions in a phase.

        Args:
            entrant: its display name or its permanent name.

        Returns:
            The entrant's display name, the phase's name, and the submissions, newest first.

        Raises:
            InvalidRequest: there is no such phase.
            Conflict: the board is hidden until a date.
        """
        phase = _visible_phase(record, phase_name, sees_hidden)
        with self.database.reading() as session:
            entrant = entrant_by_name(session, entrant)
            display_name = display_names(session, [entrant])[entrant]
        columns = [getattr(Submission, name) for name in HISTORY]
        of_entrant = (
            Submission.challenge_id == record.id,
            Submission.entrant == entrant,
            Submission.phase == phase.name,
        )
        scored = (Submission.counts, Submission.state.in_(RANKED), Submission.score.is_not(None))
        query = select(Submission.name, Submission.finished_at, *columns).where(*of_entrant, *scored)
        with self.database.reading() as session:
            rows = session.execute(query.order_by(Submission.id.desc()).offset(skip).limit(limit)).all()
        return (
            display_name,
            phase.name,
            [
                {"submission": name, "finished_at": at.isoformat(), **dict(zip(HISTORY, more, strict=True))}
                for name, at, *more in rows
            ],
        )


def _visible_phase(record: ChallengeRecord, phase_name: str | None, sees_hidden: bool) -> Phase:
    """The phase of this name, or else the open or the last one. Raises as `Leaderboard.of` does."""
    at, challenge = now(), record.challenge
    phase = challenge.phase(phase_name) if phase_name else challenge.phase_at(at) or challenge.phases[-1]
    until = phase.hidden_until or challenge.ranking.hidden_until
    if until is not None and at < until and not sees_hidden:
        raise errors.Conflict(f"the leaderboard is hidden until {until:%Y-%m-%d %H:%M} UTC")
    return phase


class _Phase:
    """The board of a phase, kept up to date with the database."""

    def __init__(self, challenge_id: int, name: str) -> None:
        self.name = name
        self._all = (Submission.challenge_id == challenge_id, Submission.phase == name)
        self._lock = threading.Lock()
        self._version = 0  # of the challenge, whose rules the board follows
        self._latest: datetime.datetime | None = None  # the time of the latest change on the board
        self._board: PhaseBoard | None = None

    def board(self, session: Session, record: ChallengeRecord) -> PhaseBoard:
        """The present board."""
        latest = session.scalar(select(func.max(Submission.changed_at)).where(*self._all))
        # The number tells apart changes in the same microsecond.
        same = select(func.count()).select_from(Submission).where(*self._all, Submission.changed_at == latest)
        tag = (
            f"{record.version_id}-{latest:%Y%m%d%H%M%S%f}-{session.scalar(same)}"
            if latest
            else f"{record.version_id}-none"
        )
        cached = self._board
        if cached is not None and cached.tag == tag:
            return cached
        with self._lock:
            if self._board is not None and self._board.tag == tag:
                return self._board  # another thread has updated it meanwhile
            ranking = None
            if self._board is not None and self._version == record.version_id:
                ranking = self._update(session, self._board.places)
            if ranking is None:
                rules = _rules(record)
                baselines = [RankingRow(each.name, "", each.score) for each in record.challenge.baselines]
                ranking = Ranking(standings(self._read(session), rules).values(), rules, baselines)
            self._version, self._latest = record.version_id, latest
            self._board = PhaseBoard(self.name, tag, ranking)
            return self._board

    def _update(self, session: Session, ranking: Ranking) -> Ranking | None:
        """The ranking with the changed entrants read again, or None if they are too many."""
        since = () if self._latest is None else (Submission.changed_at >= self._latest - OVERLAP,)
        changed = list(session.scalars(select(Submission.entrant).where(*self._all, *since).distinct()))
        if len(changed) > MAX_UPDATED:
            return None
        fresh = standings(self._read(session, Submission.entrant.in_(changed)), ranking.rules)
        return ranking.updated({entrant: fresh.get(entrant) for entrant in changed})

    def _read(self, session: Session, *conditions: ColumnElement[bool]) -> Iterator[RankingRow]:
        details = [getattr(Submission, name) for name in DETAILS]
        columns = (
            Submission.entrant, Submission.name, Submission.score, Submission.secondary, Submission.finished_at,
            Submission.state, Submission.phase, Submission.id, *details,
        )  # fmt: skip
        # The phase is filtered below: in the query, SQLite would use the phase's index although the entrants' is faster.
        query = select(*columns).where(
            self._all[0], *conditions, Submission.counts, Submission.finished_at.is_not(None)
        )
        for entrant, name, score, secondary, finished_at, state, phase, began, *more in session.execute(query):
            if phase == self.name:
                counted = score if state in RANKED else None
                yield RankingRow(
                    entrant, name, counted, secondary, finished_at.timestamp(), Details(finished_at, *more), began
                )


def _rules(record: ChallengeRecord) -> Rules:
    scoring, ranking = record.challenge.scoring, record.challenge.ranking
    return Rules(scoring.better, ranking.rule, ranking.ties, scoring.secondary_better, ranking.qualifying_score)


def _board_place(place: Place) -> BoardPlace:
    row, details = place.row, place.row.details
    assert row.score is not None  # others have no place
    return BoardPlace(
        rank=place.rank,
        entrant=row.entrant,
        entrant_id=row.entrant,
        score=row.score,
        secondary=row.secondary,
        spread=details and details.spread,
        standard_error=details and details.standard_error,
        tries=place.tries,
        tied=place.tied,
        qualified=place.qualified,
        steps=details and details.steps,
        verdict=details and details.verdict,
        finished_at=details and details.finished_at.isoformat(),
        submission=row.submission,
        baseline=details is None,
    )


def to_csv(rows: list[BoardPlace]) -> str:
    """The rows as CSV with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(asdict(replace(row, entrant=_escape_formula(row.entrant))) for row in rows)
    return text.getvalue()


def _escape_formula(text: str) -> str:
    """The text, changed so that no spreadsheet reads it as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
