"""The life of submissions: they are charged, begun, finished, scored and verified. A crash can be followed by a retry."""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import func, select, update

from gymserve.grader.challenges.challenge import Phase, canonical
from gymserve.grader.challenges.states import ACTIVE, ProgressState, SubmissionState, VerdictState
from gymserve.grader.proofs import receipt
from gymserve.grader.scores import scoring
from gymserve.grader.server.competitions import teams
from gymserve.grader.server.competitions.competition import ChallengeRecord, Competition
from gymserve.grader.server.competitions.names import display_names
from gymserve.grader.server.reports.crowdai import Refused
from gymserve.grader.server.reports.outbox import REFUSED, Outbox
from gymserve.grader.server.submissions import limits as slots
from gymserve.grader.server.submissions import submission
from gymserve.grader.server.submissions.changes import change_time
from gymserve.grader.server.submissions.judging import Judge
from gymserve.grader.server.submissions.limits import SubmissionSettings
from gymserve.grader.server.submissions.storage import Storage
from gymserve.grader.server.submissions.visibility import Visibility, of_account
from gymserve.hosts import folders
from gymserve.hosts.pool.instances import Instances
from gymserve.journal import read
from gymserve.protocol import errors
from gymserve.recording.media import Media
from gymserve.store import Database, rows_changed
from gymserve.store.models import Submission, now

UNSETTLED = (*ACTIVE, SubmissionState.VERIFYING)  # states in which the background worker has something to do
BEGIN_SECONDS = 60.0  # after this, a submission without an instance is void
CLOSE_SECONDS = 10.0  # for the agent to close its instance after the last trial


class NotOpen(errors.NotFound):
    """The challenge does not accept submissions at this time."""


class Submissions:
    """Begins, finds and ends submissions.

    Args:
        outbox: the queue of reports to an external challenge server; None for a server that reports to none.
        media: requests videos of submissions; None for a server without videos.
    """

    def __init__(
        self,
        database: Database,
        competition: Competition,
        instances: Instances,
        data: Path,
        settings: SubmissionSettings,
        outbox: Outbox | None = None,
        media: Media | None = None,
    ) -> None:
        self.database, self.competition, self.instances = database, competition, instances
        self.outbox = outbox or Outbox(database, None, data)
        self.judge = Judge(database, competition, instances.catalogue, data, self.outbox, media)
        self.visibility = Visibility(database, competition, self.judge)
        days, megabytes = settings.submission_days, settings.account_storage_mb
        self.storage = Storage(database, competition, data, media, days=days, megabytes=megabytes)
        self.idle_seconds, self.grace_seconds = settings.idle_seconds, settings.phase_grace_seconds

    # --- beginning ----------------------------------------------------------------------------------------------------

    def submit(
        self,
        record: ChallengeRecord,
        *,
        account_id: int | None,
        entrant: str,
        alone: bool = False,
        instead: bool = False,
        key: str | None = None,
        remote_key: str | None = None,
    ) -> tuple[Submission, int | None]:
        """Begins a submission; returns its row, whose `token` addresses the instance, and how many more are allowed today.

        Its slot is charged first, and given back if its instance cannot be created.

        Args:
            alone: see `Instances.create`.
            instead: whether to end the account's active submissions first, each with the score it has.
            key: an idempotency key; the entrant's next call with it gets the same submission, unless that could not begin.
            remote_key: the entrant's key on the external challenge server, which the submission is reported to.

        Raises:
            NotOpen: the challenge does not accept submissions at this time.
            TooFast, LimitReached: a limit of the challenge or server; the message says how to end active submissions.
            InvalidRequest, EnvironmentFailed: the instance cannot be created.
            Refused: the challenge server refuses the submission.
        """
        phase = record.challenge.phase_at(now())
        if not record.is_open or phase is None:
            raise NotOpen("The challenge is not open for submissions at this time.")
        request = slots.SubmissionRequest(account_id, entrant, key, remote_key)
        if instead:
            self._end_earlier(record, phase, request)
        try:
            row, left = slots.charge(self.database, self.outbox, record, phase, request)
        except slots.ConcurrencyLimitReached as error:
            raise self._busy(record, request, error.rows) from error
        if row.token is not None or row.state != SubmissionState.CREATED:
            return row, left
        try:
            self.storage.check(account_id)
            token = submission.begin(
                self.instances,
                record.challenge,
                phase=row.phase,
                phase_key=self.competition.phase_key(record.challenge, row.phase, row.key_generation),
                submission=row.name,
                account=account_id or 0,
                alone=alone,
            )
        except errors.GymserveError as error:
            self._give_back(row, f"its instance could not be created: {error}")
            raise
        if not self.change(row, SubmissionState.CREATED, token=token) and self.find(row.name).token != token:
            with contextlib.suppress(errors.GymserveError):
                self.instances.close(token)
            raise errors.Unavailable("the submission is void, since creating its instance took too long: try again")
        if remote_key is not None:
            self._report_begun(row, token)
        return self.find(row.name), left

    def _end_earlier(self, record: ChallengeRecord, phase: Phase, request: slots.SubmissionRequest) -> None:
        """Ends the account's active submissions, unless it could not begin another one afterwards."""
        with self.database.reading() as session:
            entrant = teams.entrant_of(session, record, request.account_id, request.entrant)
            slots.left(session, record, phase, entrant, beside=False)
            rows = slots.under_way(session, record, entrant)
        for row in rows:
            if row.account_id == request.account_id:  # a team's other members play on
                self.finish(row)

    def _busy(
        self, record: ChallengeRecord, request: slots.SubmissionRequest, rows: Sequence[Submission]
    ) -> errors.TooFast:
        """The error that names the active submissions, how to end them, and when the first one would end by itself."""
        text = f"you already have {len(rows)} submissions under way: "
        own = [row for row in rows if row.account_id == request.account_id and row.token is not None]
        ends = [f"{row.name} (POST /v1/envs/{row.token}/close/ ends it)" for row in own]
        others = [f"{row.name} of your team" for row in rows if row not in own]
        wait = min(self._remaining(record, row) for row in rows)
        return errors.TooFast(
            f"{text}{'; '.join([*ends, *others])}. The next one ends by itself in at most {wait:.0f} s", wait
        )

    def _remaining(self, record: ChallengeRecord, row: Submission) -> float:
        """The seconds until a submission ends if its agent does nothing more."""
        progress, limits, age = self.progress(row), record.challenge.limits, (now() - row.created_at).total_seconds()
        if row.token is None or progress is None or progress.idle_seconds is None:
            return max(1.0, BEGIN_SECONDS - age)
        idle = min(self.idle_seconds, limits.idle_seconds or math.inf)
        most = CLOSE_SECONDS if progress.state == ProgressState.OVER else idle
        left = most - progress.idle_seconds
        return max(1.0, left if limits.submission_seconds is None else min(left, limits.submission_seconds - age))

    def _give_back(self, row: Submission, reason: str, token: str | None = None) -> None:
        """Voids a submission that could not begin and was not reported. `token` is its instance's, if it has one."""
        with self.database.writing() as session:
            at = change_time(session, row)
            values = {
                "state": SubmissionState.VOID,
                "counts": False,
                "reason": reason[:500],
                "token": None,
                "changed_at": at,
            }
            is_created = (
                Submission.id == row.id,
                Submission.state == SubmissionState.CREATED,
                Submission.token == token,
            )
            if rows_changed(session, update(Submission).where(*is_created).values(values)):
                self.outbox.drop(session, row.id)

    def _report_begun(self, row: Submission, token: str) -> None:
        """Reports to the challenge server at once. If the server does not answer, the report is sent later.

        Raises:
            Refused: the server refuses the submission.
        """
        first = self.outbox.first_of(row.id)
        assert first is not None
        report = self.outbox.send(first)
        if report.state == REFUSED:
            with contextlib.suppress(errors.GymserveError):
                self.instances.close(token)
            self._give_back(row, report.reason, token)
            raise Refused(report.reason)

    # --- reading ------------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Submission:
        """The submission with this name.

        Raises:
            NotFound: there is no such submission.
        """
        with self.database.reading() as session:
            row = None
            if name.isalnum() and name.isascii():
                row = session.scalar(select(Submission).where(Submission.name == name))
        if row is None:
            raise errors.NotFound(f"there is no submission {name:.100}")
        return row

    def with_token(self, token: str) -> Submission | None:
        """The submission of an instance, or None. Shared hosts have no submissions, so their tokens cost no query."""
        if folders.is_shared(token):
            return None
        with self.database.reading() as session:
            return session.scalar(select(Submission).where(Submission.token == token))

    def list(
        self,
        record: ChallengeRecord,
        *,
        account_id: int | None = None,
        state: SubmissionState | None = None,
        skip: int = 0,
        limit: int = 100,
    ) -> list[Submission]:
        """A page of a challenge's submissions, newest first. None for `account_id` or `state` means any."""
        query = select(Submission).where(Submission.challenge_id == record.id)
        if state is not None:
            query = query.where(Submission.state == state)
        with self.database.reading() as session:
            if account_id is not None:
                query = query.where(of_account(session, record, account_id))
            return list(session.scalars(query.order_by(Submission.id.desc()).offset(skip).limit(limit)))

    def display_names(self, rows: Sequence[Submission]) -> dict[str, str]:
        """Entrant → display name, for the entrants of these submissions."""
        with self.database.reading() as session:
            return display_names(session, [row.entrant for row in rows])

    def progress(self, row: Submission) -> submission.SubmissionProgress | None:
        """The progress of an active submission, or None if it is not active or its instance does not answer."""
        if not SubmissionState(row.state).is_active or row.token is None:
            return None
        with contextlib.suppress(errors.GymserveError):
            return submission.progress(self.instances, row.token)
        return None

    # --- ending -------------------------------------------------------------------------------------------------------

    def finish(self, row: Submission) -> Submission:
        """Ends a submission, whatever it has reached, and scores it from its journal. Repeating it changes nothing."""
        if not SubmissionState(row.state).is_active or row.token is None:
            return row
        try:
            journal = submission.finish(self.instances, row.token, self.judge.journals / row.name)
        except errors.UnknownInstance:
            return self.end(row, SubmissionState.VOID, "the server lost its instance")
        with self.database.reading() as session:
            challenge = self.competition.of_version(session, row.version_id)
        try:
            result = scoring.score_journal(read(journal), challenge.scoring)
        except scoring.ScoringFailed as error:
            return self.end(row, SubmissionState.VOID, f"the organiser's scoring failed: {error}")
        values: dict[str, object] = {
            "secondary": result.secondary,
            "spread": result.spread,
            "standard_error": result.standard_error,
            "steps": result.steps,
            "trials": canonical(result.to_dict()["trials"]).decode(),
            "journal_head": receipt.head(journal.read_bytes()),
        }
        if result.void:
            return self.end(row, SubmissionState.VOID, result.reason, **values)
        if result.score is None:
            return self.end(row, SubmissionState.FAILED, result.reason, **values)
        return self.end(row, SubmissionState.VERIFYING, "", score=result.score, verdict=VerdictState.PENDING, **values)

    def end(self, row: Submission, state: SubmissionState, reason: str, **values: object) -> Submission:
        """Stores the end of an active submission. Does nothing if the submission has already ended."""
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
        """Ends a submission because its agent closes the instance.

        Raises:
            UnknownInstance: the agent closed it before.
        """
        self.finish(row)
        with self.database.writing() as session:
            not_left = (Submission.id == row.id, Submission.left.is_(False))
            if not rows_changed(session, update(Submission).where(*not_left).values(left=True)):
                raise errors.UnknownInstance(f"Instance_id {row.token} unknown")

    def change(self, row: Submission, was: SubmissionState, **values: object) -> bool:
        """Changes a submission if its state is `was`, and returns whether it is."""
        with self.database.writing() as session:
            is_unchanged = (Submission.id == row.id, Submission.state == was)
            at = change_time(session, row)
            return rows_changed(session, update(Submission).where(*is_unchanged).values(changed_at=at, **values)) > 0

    # --- for the background worker ------------------------------------------------------------------------------------

    def waiting(self) -> dict[str, int]:
        """The number of submissions in each unsettled state."""
        query = select(Submission.state, func.count()).where(Submission.state.in_(UNSETTLED))
        with self.database.reading() as session:
            counts: dict[str, int] = dict(session.execute(query.group_by(Submission.state)).tuples().all())
        return {state: counts.get(state, 0) for state in UNSETTLED}

    def has_work(self) -> bool:
        """Whether a submission is active or waits to be verified."""
        with self.database.reading() as session:
            waiting = select(Submission.id).where(Submission.state.in_(UNSETTLED)).limit(1)
            return session.scalar(waiting) is not None
