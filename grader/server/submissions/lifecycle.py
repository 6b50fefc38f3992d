"""Submissions in the database: charged, begun, finished, scored, verified; each step can be repeated after a crash."""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from grader.challenges.challenge import Phase, canonical
from grader.challenges.states import ACTIVE, ProgressState, SubmissionState, VerdictState
from grader.proofs import receipt
from grader.scores import scoring
from grader.server.competitions import teams
from grader.server.competitions.competition import Competition, Held
from grader.server.competitions.names import names
from grader.server.reports.crowdai import Refused
from grader.server.reports.outbox import REFUSED, Outbox
from grader.server.submissions import limits as slots
from grader.server.submissions import submission
from grader.server.submissions.changes import change_time
from grader.server.submissions.judging import Judge
from grader.server.submissions.storage import Storage
from grader.server.submissions.visibility import Visibility, of_account
from gymserve.hosts import folders
from gymserve.hosts.pool.instances import Instances
from gymserve.journal import read
from gymserve.protocol import errors
from gymserve.recording.media import Media
from gymserve.store import Database, rows_changed
from gymserve.store.models import Submission, now

UNSETTLED = (*ACTIVE, SubmissionState.VERIFYING)  # the background worker has something to do for these
BEGIN_SECONDS = 60.0  # after which a submission without an instance is void
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
        self.visibility = Visibility(database, competition, self.judge)
        settings = instances.settings
        self.storage = Storage(
            database,
            competition,
            data,
            media,
            days=settings.SUBMISSION_DAYS,
            megabytes=settings.ACCOUNT_STORAGE_MB,
        )
        self.idle_seconds, self.grace_seconds = settings.IDLE_SECONDS, settings.PHASE_GRACE_SECONDS

    # --- beginning ----------------------------------------------------------------------------------------------------

    def submit(
        self,
        held: Held,
        *,
        account_id: int | None,
        entrant: str,
        alone: bool = False,
        instead: bool = False,
        key: str | None = None,
        remote_key: str | None = None,
    ) -> tuple[Submission, int | None]:
        """Begins a submission: (its row, whose `token` addresses the graded instance; how many more are allowed today).

        The slot is charged before the instance is made; where that fails by our fault it is given back.

        Args:
            alone: see `Instances.create`.
            instead: of those of the same account or name that go on, which are ended as they stand.
            key: of this submission; the entrant's same key again gives the same one, unless that could not begin.
            remote_key: of the entrant on the challenge server elsewhere, which is told.

        Raises:
            Closed: the challenge takes none at this time.
            TooFast, LimitReached: the challenge's limits; the text says what is under way, and where that is ended.
            InvalidRequest, EnvironmentFailed, LimitReached: the instance cannot be made.
            Refused: the challenge server does not take it.
        """
        phase = held.challenge.phase_at(now())
        if not held.is_open or phase is None:
            raise Closed("The challenge is not open for submissions at this time.")
        asked = slots.Asked(account_id, entrant, key, remote_key)
        if instead:
            self._end_those_before(held, phase, asked)
        try:
            row, left = slots.charge(self.database, self.outbox, held, phase, asked)
        except slots.UnderWay as error:
            raise self._busy(held, asked, error.rows) from error
        if row.token is not None or row.state != SubmissionState.CREATED:
            return row, left
        try:
            self.storage.check(account_id)
            token = submission.begin(
                self.instances,
                held.challenge,
                phase=row.phase,
                phase_key=self.competition.phase_key(held.challenge, row.phase, row.key_generation),
                submission=row.name,
                account=account_id or 0,
                alone=alone,
            )
        except errors.GymserveError as error:
            self._give_back(row, f"its instance could not be made: {error}")
            raise
        if not self.change(row, SubmissionState.CREATED, token=token) and self.find(row.name).token != token:
            with contextlib.suppress(errors.GymserveError):
                self.instances.close(token)
            raise errors.Unavailable("making the submission's instance took too long, and it is void: try again")
        if remote_key is not None:
            self._tell_begun(row, token)
        return self.find(row.name), left

    def _end_those_before(self, held: Held, phase: Phase, asked: slots.Asked) -> None:
        """Ends what an agent that starts anew has left behind; nothing, where it may not begin another one anyhow."""
        with self.database.reading() as session:
            entrant = teams.entrant_of(session, held, asked.account_id, asked.entrant)
            slots.left(session, held, phase, entrant, beside=False)
            rows = slots.under_way(session, held, entrant)
        for row in rows:
            if row.account_id == asked.account_id:  # a team's other members play on
                self.finish(row)

    def _busy(self, held: Held, asked: slots.Asked, rows: Sequence[Submission]) -> errors.TooFast:
        """Which submissions are under way, how they are ended, and when the first one ends by itself if it is left alone."""
        text = f"you have {len(rows)} submissions under way already: "
        own = [row for row in rows if row.account_id == asked.account_id and row.token is not None]
        ends = [f"{row.name}, which POST /v1/envs/{row.token}/close/ ends as it stands" for row in own]
        others = [f"{row.name} of your team" for row in rows if row not in own]
        wait = min(self._remaining(held, row) for row in rows)
        return errors.TooFast(
            f"{text}{'; '.join([*ends, *others])}. The next ends by itself in {wait:.0f} s at most", wait
        )

    def _remaining(self, held: Held, row: Submission) -> float:
        """Seconds until a submission is ended whose agent is not heard any more."""
        standing, limits, age = self.standing(row), held.challenge.limits, (now() - row.created_at).total_seconds()
        if row.token is None or standing is None or standing.idle_seconds is None:
            return max(1.0, BEGIN_SECONDS - age)
        idle = min(self.idle_seconds, limits.idle_seconds or math.inf)
        most = PATIENCE_SECONDS if standing.state == ProgressState.OVER else idle
        left = most - standing.idle_seconds
        return max(1.0, left if limits.submission_seconds is None else min(left, limits.submission_seconds - age))

    def _give_back(self, row: Submission, reason: str, token: str | None = None) -> None:
        """Voids a submission that could not begin, and of which nobody was told; `token` is its instance's, if it has one."""
        with self.database.writing() as session:
            at = change_time(session, row)
            values = {
                "state": SubmissionState.VOID,
                "counts": False,
                "reason": reason[:500],
                "token": None,
                "changed_at": at,
            }
            mine = (Submission.id == row.id, Submission.state == SubmissionState.CREATED, Submission.token == token)
            if rows_changed(session, update(Submission).where(*mine).values(values)):
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
        """The submission whose instance this is; one in a shared host is no submission's, and the database is not asked."""
        if folders.is_shared(token):
            return None
        with self.database.reading() as session:
            return session.scalar(select(Submission).where(Submission.token == token))

    def list(
        self,
        held: Held,
        *,
        account_id: int | None = None,
        state: SubmissionState | None = None,
        skip: int = 0,
        limit: int = 100,
    ) -> list[Submission]:
        """A challenge's submissions, of one account or of all (None), in one state or in any, the newest first."""
        query = select(Submission).where(Submission.challenge_id == held.id)
        if state is not None:
            query = query.where(Submission.state == state)
        with self.database.reading() as session:
            if account_id is not None:
                query = query.where(of_account(session, held, account_id))
            return list(session.scalars(query.order_by(Submission.id.desc()).offset(skip).limit(limit)))

    def called(self, rows: Sequence[Submission]) -> dict[str, str]:
        """Entrant → what it is called, for those of some submissions."""
        with self.database.reading() as session:
            return names(session, [row.entrant for row in rows])

    def standing(self, row: Submission) -> submission.Standing | None:
        """How far a submission that goes on is; None: nothing is known."""
        if not SubmissionState(row.state).is_active or row.token is None:
            return None
        with contextlib.suppress(errors.GymserveError):
            return submission.standing(self.instances, row.token)
        return None

    # --- ending -------------------------------------------------------------------------------------------------------

    def finish(self, row: Submission) -> Submission:
        """Ends a submission as it stands, and scores it from its journal. Whoever calls it again gets the same."""
        if not SubmissionState(row.state).is_active or row.token is None:
            return row
        try:
            journal = submission.finish(self.instances, row.token, self.judge.kept / row.name)
        except errors.UnknownInstance:
            return self.end(row, SubmissionState.VOID, "its instance was lost by the server")
        with self.database.reading() as session:
            challenge = self.competition.of_version(session, row.version_id)
        try:
            result = scoring.of_journal(read(journal), challenge.scoring)
        except scoring.ScoringFailed as error:
            return self.end(row, SubmissionState.VOID, f"the organiser's scoring failed: {error}")
        values: dict[str, Any] = {
            "secondary": result.secondary,
            "spread": result.spread,
            "standard_error": result.standard_error,
            "steps": result.steps,
            "trials": canonical(result.to_map()["trials"]).decode(),
            "journal_head": receipt.head(journal.read_bytes()),
        }
        if result.void:
            return self.end(row, SubmissionState.VOID, result.reason, **values)
        if result.score is None:
            return self.end(row, SubmissionState.FAILED, result.reason, **values)
        return self.end(row, SubmissionState.VERIFYING, "", score=result.score, verdict=VerdictState.PENDING, **values)

    def end(self, row: Submission, state: SubmissionState, reason: str, **values: Any) -> Submission:
        """Writes the end of a submission once: who comes second changes nothing."""
        with self.database.writing() as session:
            values |= {"changed_at": change_time(session, row), "finished_at": now()}
            ended = rows_changed(
                session,
                update(Submission)
                .where(Submission.id == row.id, Submission.state.in_(ACTIVE))
                .values(state=state, counts=state.counts, reason=reason[:500], **values),
            )
            if ended and state.is_final:
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
            if not rows_changed(session, update(Submission).where(*mine).values(left=True)):
                raise errors.UnknownInstance(f"Instance_id {row.token} unknown")

    def change(self, row: Submission, was: SubmissionState, **values: Any) -> bool:
        """Changes a submission that is in the state `was`; whether it is."""
        with self.database.writing() as session:
            mine = (Submission.id == row.id, Submission.state == was)
            at = change_time(session, row)
            return rows_changed(session, update(Submission).where(*mine).values(changed_at=at, **values)) > 0

    # --- what the background worker does ------------------------------------------------------------------------------

    def waiting(self) -> dict[str, int]:
        """How many submissions are in each state that is not the last."""
        query = select(Submission.state, func.count()).where(Submission.state.in_(UNSETTLED))
        with self.database.reading() as session:
            found: dict[str, int] = dict(session.execute(query.group_by(Submission.state)).tuples().all())
        return {state: found.get(state, 0) for state in UNSETTLED}

    def has_work(self) -> bool:
        """Whether some submission goes on, or waits to be verified."""
        with self.database.reading() as session:
            waiting = select(Submission.id).where(Submission.state.in_(UNSETTLED)).limit(1)
            return session.scalar(waiting) is not None
