"""Submissions in the database: charged, begun, finished, scored, verified; each step can be repeated after a crash.

created ─▶ running ─▶ verifying ─▶ graded      all trials were played
    └──────────┴────▶ abandoned                its agent left before: unplayed trials count as the challenge says
                      failed                   there is no score, or the replay showed another one
                      void                     by our fault: the slot is given back
"""

import contextlib
import datetime
import logging
import time
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from grader import scoring, slots, submission, teams
from grader.challenge import canonical
from grader.challenge_servers.crowdai import Refused
from grader.competition import Competition, Held
from grader.judging import FAILED, VERIFYING, VOID, Judge
from grader.leaderboard import change_time
from grader.outbox import REFUSED, Outbox
from grader.slots import GOING_ON
from gymserve import errors
from gymserve.hosts.instances import Instances
from gymserve.journal import read
from gymserve.recording.media import Media
from gymserve.store import Database
from gymserve.store.models import Submission, now

CREATED, RUNNING = GOING_ON
PENDING = "pending"
BEGIN_SECONDS = 60.0  # after which a submission without an instance is void
log = logging.getLogger("gymserve.grader")
PATIENCE_SECONDS = 10.0  # after the last trial, for the agent to close


class Closed(errors.NotFound):
    """The challenge takes no submissions at this time."""


class Submissions:
    """Args:
    outbox: whom else they are reported to; None: nobody.
    media: where videos of them are ordered; None: nowhere.
    """

    def __init__(
        self,
        database: Database,
        competition: Competition,
        instances: Instances,
        data: Path,
        outbox: Outbox | None = None,
        media: Media | None = None,
    ) -> None:
        self.database, self.competition, self.instances = database, competition, instances
        self.outbox = outbox or Outbox(database, None, data)
        self.judge = Judge(database, competition, instances.catalogue, data, self.outbox, media)
        self._any = False  # whether there are submissions at all
        self._next_look = 0.0

    # --- beginning ----------------------------------------------------------------------------------------------------

    def submit(
        self,
        held: Held,
        *,
        account_id: int | None,
        entrant: str,
        alone: bool = False,
        key: str | None = None,
        remote_key: str | None = None,
    ) -> tuple[Submission, int | None]:
        """Begins a submission: (its row, whose `token` addresses the graded instance; how many more are allowed today).

        The slot is charged before the instance is made; where that fails by our fault it is given back.

        Args:
            alone: see `Instances.create`.
            key: of this submission; the entrant's same key again gives the same one, unless that could not begin.
            remote_key: of the entrant on the challenge server elsewhere, which is told.

        Raises:
            Closed: the challenge takes none at this time.
            TooFast, LimitReached: the challenge's limits.
            InvalidRequest, EnvironmentFailed, LimitReached: the instance cannot be made.
            Refused: the challenge server does not take it.
        """
        phase = held.challenge.phase_at(now())
        if not held.is_open or phase is None:
            raise Closed("The challenge is not open for submissions at this time.")
        asked = slots.Asked(account_id, entrant, key, remote_key)
        row, left = slots.charge(self.database, self.outbox, held, phase, asked)
        self._any = True
        if row.token is not None or row.state != CREATED:
            return row, left
        try:
            token = submission.begin(
                self.instances,
                held.challenge,
                phase=row.phase,
                phase_key=self.competition.phase_key(held.challenge, row.phase),
                submission=row.name,
                account=account_id or 0,
                alone=alone,
            )
        except errors.GymserveError as error:
            self._give_back(row, f"its instance could not be made: {error}")
            raise
        if not self._change(row, CREATED, token=token) and self.find(row.name).token != token:
            with contextlib.suppress(errors.GymserveError):
                self.instances.close(token)
            raise errors.Unavailable("making the submission's instance took too long, and it is void: try again")
        if remote_key is not None:
            self._tell_begun(row, token)
        return self.find(row.name), left

    def _give_back(self, row: Submission, reason: str, token: str | None = None) -> None:
        """Voids a submission that could not begin, and of which nobody was told; `token` is its instance's, if it has one."""
        with self.database.writing() as session:
            at = change_time(session, row)
            values = {"state": VOID, "counts": False, "reason": reason[:500], "token": None, "changed_at": at}
            mine = (Submission.id == row.id, Submission.state == CREATED, Submission.token == token)
            if session.execute(update(Submission).where(*mine).values(values)).rowcount:  # type: ignore[attr-defined]
                self.outbox.drop(session, row.id)

    def _tell_begun(self, row: Submission, token: str) -> None:
        """Tells the challenge server at once; where it is away, it hears of it later.

        Raises:
            Refused: it does not take the submission.
        """
        first = self.outbox.first_of(row.id)
        assert first is not None
        report = self.outbox.send(first)
        if report.state == REFUSED:
            with contextlib.suppress(errors.GymserveError):
                self.instances.close(token)
            self._give_back(row, report.reason, token)
            raise Refused(report.reason)

    # --- looking ------------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Submission:
        """Raises: NotFound: there is none."""
        with self.database.reading() as session:
            found = None
            if name.isalnum() and name.isascii():
                found = session.scalar(select(Submission).where(Submission.name == name))
        if found is None:
            raise errors.NotFound(f"there is no submission {name:.100}")
        return found

    def with_token(self, token: str) -> Submission | None:
        """The submission whose instance this is. Servers without submissions are not asked each time."""
        if not self._any and time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + 1.0
            with self.database.reading() as session:
                self._any = session.scalar(select(Submission.id).limit(1)) is not None
        if not self._any:
            return None
        with self.database.reading() as session:
            return session.scalar(select(Submission).where(Submission.token == token))

    def list(self, held: Held, *, account_id: int | None = None, skip: int = 0, limit: int = 100) -> list[Submission]:
        """A challenge's submissions, of one account or of all (None), the newest first."""
        query = select(Submission).where(Submission.challenge_id == held.id)
        with self.database.reading() as session:
            if account_id is not None:
                query = query.where(self._seen_by(session, held, account_id))
            return list(session.scalars(query.order_by(Submission.id.desc()).offset(skip).limit(limit)))

    def may_see(self, held: Held, row: Submission, account_id: int) -> bool:
        """Whether a submission is the account's, or its team's."""
        with self.database.reading() as session:
            mine = (Submission.id == row.id, self._seen_by(session, held, account_id))
            return session.scalar(select(Submission.id).where(*mine)) is not None

    @staticmethod
    def _seen_by(session: Session, held: Held, account_id: int) -> ColumnElement[bool]:
        own = Submission.account_id == account_id
        return own | (Submission.entrant == teams.entrant_of(session, held, account_id, "").name)

    def standing(self, row: Submission) -> submission.Standing | None:
        """How far a submission that goes on is; None: nothing is known."""
        if row.state not in GOING_ON or row.token is None:
            return None
        with contextlib.suppress(errors.GymserveError):
            return submission.standing(self.instances, row.token)
        return None

    # --- ending -------------------------------------------------------------------------------------------------------

    def finish(self, row: Submission) -> Submission:
        """Ends a submission as it stands, and scores it from its journal. Whoever calls it again gets the same."""
        if row.state not in GOING_ON or row.token is None:
            return row
        try:
            journal = submission.finish(self.instances, row.token, self.judge.kept / row.name)
        except errors.UnknownInstance:
            return self._close(row, VOID, "its instance was lost by the server", counts=False)
        with self.database.reading() as session:
            challenge = self.competition.of_version(session, row.version_id)
        try:
            result = scoring.of_journal(read(journal), challenge.scoring)
        except scoring.ScoringFailed as error:
            return self._close(row, VOID, f"the organiser's scoring failed: {error}", counts=False)
        values: dict[str, Any] = {
            "secondary": result.secondary,
            "spread": result.spread,
            "standard_error": result.standard_error,
            "steps": result.steps,
            "trials": canonical(result.to_map()["trials"]).decode(),
        }
        if result.void:
            return self._close(row, VOID, result.reason, counts=False, **values)
        if result.score is None:
            return self._close(row, FAILED, result.reason, **values)
        return self._close(row, VERIFYING, "", score=result.score, verdict=PENDING, **values)

    def _close(self, row: Submission, state: str, reason: str, **values: Any) -> Submission:
        """Writes the end of a submission once: who comes second changes nothing."""
        with self.database.writing() as session:
            values |= {"changed_at": change_time(session, row), "finished_at": now()}
            ended = session.execute(
                update(Submission)
                .where(Submission.id == row.id, Submission.state.in_(GOING_ON))
                .values(state=state, reason=reason[:500], **values)
            )
            if ended.rowcount and state != VERIFYING:  # type: ignore[attr-defined]
                self.outbox.end(session, row.id)
            return session.get_one(Submission, row.id, populate_existing=True)

    def leave(self, row: Submission) -> None:
        """The agent closes the instance.

        Raises:
            UnknownInstance: it has closed it before.
        """
        self.finish(row)
        with self.database.writing() as session:
            mine = (Submission.id == row.id, Submission.left.is_(False))
            if not session.execute(update(Submission).where(*mine).values(left=True)).rowcount:  # type: ignore[attr-defined]
                raise errors.UnknownInstance(f"Instance_id {row.token} unknown")

    def _change(self, row: Submission, was: str, **values: Any) -> bool:
        """Changes a submission that is in the state `was`; whether it is."""
        with self.database.writing() as session:
            mine = (Submission.id == row.id, Submission.state == was)
            at = change_time(session, row)
            changed = session.execute(update(Submission).where(*mine).values(changed_at=at, **values))
            return bool(changed.rowcount)  # type: ignore[attr-defined]

    # --- what the background worker does ------------------------------------------------------------------------------

    def waiting(self) -> dict[str, int]:
        """How many submissions are in each state that is not the last."""
        query = select(Submission.state, func.count()).where(Submission.state.in_((*GOING_ON, VERIFYING)))
        with self.database.reading() as session:
            found: dict[str, int] = dict(session.execute(query.group_by(Submission.state)).tuples().all())
        return {state: found.get(state, 0) for state in (*GOING_ON, VERIFYING)}

    def has_work(self) -> bool:
        """Whether some submission goes on, or waits to be verified."""
        with self.database.reading() as session:
            waiting = select(Submission.id).where(Submission.state.in_((*GOING_ON, VERIFYING))).limit(1)
            return session.scalar(waiting) is not None

    def settle(self) -> int:
        """Ends submissions whose agents are gone or done, and frees those that never got an instance; how many."""
        with self.database.reading() as session:
            rows = list(session.scalars(select(Submission).where(Submission.state.in_(GOING_ON))))
        settled = 0
        for row in rows:
            try:
                settled += self._settled(row)
            except errors.Unavailable:
                raise
            except Exception:  # one that cannot be ended must not stand in the way of the others
                log.exception("submission %s cannot be settled", row.name)
        return settled

    def _settled(self, row: Submission) -> bool:
        if row.token is None:
            if now() - row.created_at < datetime.timedelta(seconds=BEGIN_SECONDS):
                return False
            self._close(row, VOID, "the server stopped before its instance was made", counts=False)
            return True
        try:
            standing = submission.standing(self.instances, row.token)
        except errors.UnknownInstance:
            self.finish(row)
            return True
        except errors.GymserveError:
            return False  # its host is away, and will be back
        gone = standing.state == submission.CLOSED
        done = standing.state == submission.OVER and (standing.idle_seconds or 0.0) > PATIENCE_SECONDS
        if gone or done:
            self.finish(self.find(row.name))  # which its agent may have ended since the row was read
        elif standing.state != submission.CREATED and row.state == CREATED:
            self._change(row, CREATED, state=RUNNING)
        return gone or done
