"""Judging: scored submissions are replayed, and their receipts signed; then their bundles can be downloaded."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select, update

from gymserve.environments import Catalogue
from gymserve.grader.challenges.challenge import PRACTICE, Challenge
from gymserve.grader.challenges.states import SubmissionState, TrialState, VerdictState
from gymserve.grader.proofs import bundle, receipt, replays, signing
from gymserve.grader.proofs.receipt import Receipt
from gymserve.grader.proofs.verification import Verdict
from gymserve.grader.scores import scoring
from gymserve.grader.server.competitions.competition import Competition
from gymserve.grader.server.competitions.names import display_names
from gymserve.grader.server.reports.outbox import Outbox
from gymserve.grader.server.submissions.changes import change_time
from gymserve.journal.file import scan
from gymserve.protocol import errors
from gymserve.recording.media import Media
from gymserve.store import Database, rows_changed
from gymserve.store.models import Submission, now

log = logging.getLogger("gymserve.grader")


class Judge:
    """Verifies submissions and builds their bundles.

    Args:
        data: the server's data directory, which has the submissions' journals and the signing key.
        media: requests the videos; None for a server without videos.
    """

    def __init__(
        self,
        database: Database,
        competition: Competition,
        catalogue: Catalogue,
        data: Path,
        outbox: Outbox,
        media: Media | None = None,
    ) -> None:
        self.database, self.competition, self.catalogue, self.outbox = database, competition, catalogue, outbox
        self.journals = data / "submissions"
        self.media = media
        self._key = data / "signing-key"

    @property
    def public_key(self) -> str:
        """The public key for verifying receipts."""
        return signing.public_text(signing.signing_key(self._key))

    def next_to_verify(self) -> Submission | None:
        """The submission that has waited longest for its replay, or None."""
        is_waiting = Submission.state == SubmissionState.VERIFYING
        query = select(Submission).where(is_waiting).order_by(Submission.finished_at).limit(1)
        with self.database.reading() as session:
            return session.scalar(query)

    def verify(self, row: Submission, verdict: Verdict | None = None) -> None:
        """Replays a submission, signs its receipt, and stores its final state.

        Args:
            verdict: the verdict on a submission that cannot be replayed; None to replay it.
        """
        with self.database.reading() as session:
            row = session.get_one(Submission, row.id)
            challenge = self.competition.of_version(session, row.version_id)
            name = display_names(session, [row.entrant])[row.entrant]
        try:
            journal = (self.journals / row.name).read_bytes()
            records = [record for record, _, _ in scan(journal)]
            result = scoring.score_journal(records, challenge.scoring)
        except (OSError, ValueError):
            self._settle(row, SubmissionState.VOID, "the server lost its journal", score=None, verdict="")
            return
        except scoring.ScoringFailed as error:
            reason = f"the organiser's scoring failed: {error}"
            self._settle(row, SubmissionState.VOID, reason, score=None, verdict="")
            return
        is_intact = result.score == row.score and row.journal_head in ("", receipt.head(journal))
        if verdict is None:
            modules, tolerance = self.catalogue.modules, challenge.tolerance
            verdict = replays.verify(self.journals / row.name, modules, tolerance=tolerance)
        if not is_intact and verdict.state != VerdictState.MISMATCH:
            verdict = Verdict(VerdictState.MISMATCH, "the journal has changed since the submission ended")
        elif is_intact and verdict.state == VerdictState.MISMATCH and verdict.answer:
            # The environment may be the cause, for example if it carries state from one trial to the next.
            verdict = replace(verdict, state=VerdictState.NOT_REPLAYABLE)
        state, reason = _judge(verdict, json.loads(row.trials))
        signed = self._sign(row, challenge, journal, result, verdict, name)
        self._request_video(row, challenge)  # before the final state, so that no crash in between loses the video
        self._settle(
            row,
            state,
            reason,
            verdict=verdict.state,
            verdict_reason=verdict.reason[:500],
            receipt=signed.to_json().decode(),
        )

    def decide(self, row: Submission, *, accept: bool) -> None:
        """Applies the organiser's decision on a submission that is not replayable.

        Args:
            accept: True lets it count; False voids it and gives its slot back.

        Raises:
            Conflict: the submission is in another state, or the decision was already made.
        """
        with self.database.reading() as session:
            row = session.get_one(Submission, row.id)
        undecided = SubmissionState.NOT_REPLAYABLE
        if accept:
            state, reason = _accept(json.loads(row.trials))
            reasons, values = [reason, "accepted by the organiser"], {}
        else:
            state, reasons, values = SubmissionState.VOID, ["voided by the organiser"], {"score": None}
        if not self._settle(row, state, "; ".join(filter(None, reasons)), was=undecided, **values):
            raise errors.Conflict(f"the submission is {row.state}: only one that is {undecided} needs a decision")

    def _request_video(self, row: Submission, challenge: Challenge) -> None:
        if self.media is not None:
            try:
                self.media.request_submission_video(row.name, title=challenge.name, challenge=row.challenge_id)
            except errors.StorageFull as error:  # which must not prevent grading
                log.warning("submission %s will have no video: %s", row.name, error)

    def _settle(
        self,
        row: Submission,
        state: SubmissionState,
        reason: str,
        *,
        was: SubmissionState = SubmissionState.VERIFYING,
        **values: object,
    ) -> bool:
        """Moves a submission from the state `was` to another one. Returns False if it is no longer in that state."""
        with self.database.writing() as session:
            is_unchanged = (Submission.id == row.id, Submission.state == was)
            at = change_time(session, row)
            columns = {"state": state, "counts": state.counts, "reason": reason[:500], "changed_at": at, **values}
            changed = rows_changed(session, update(Submission).where(*is_unchanged).values(columns)) > 0
            if changed and state.is_final:
                self.outbox.end(session, row.id)
            return changed

    def _sign(
        self,
        row: Submission,
        challenge: Challenge,
        journal: bytes,
        result: scoring.ScoringResult,
        verdict: Verdict,
        name: str,
    ) -> Receipt:
        subject = receipt.GradedSubmission(
            submission=row.name,
            account=row.entrant,
            challenge=challenge,
            phase=row.phase,
            commitment=self.competition.commitment(challenge, row.phase, row.key_generation),
            generation=row.key_generation,
            name=name,
        )
        key, graded = signing.signing_key(self._key), now().timestamp()
        return receipt.issue(key, subject, journal=journal, result=result, verdict=verdict, graded=graded)

    def is_over(self, row: Submission) -> bool:
        """Whether the submission is public: it was for practice, or the key of its seeds is public."""
        with self.database.reading() as session:
            phase = self.competition.of_version(session, row.version_id).phase(row.phase)
            present = self.competition.present(session, row.challenge_id, phase)
        if phase.kind == PRACTICE:
            return True
        key = self.competition.key_of(row.challenge_id, present)
        return key.generation > row.key_generation or key.is_shown

    def bundle(self, row: Submission) -> bytes:
        """The file with which anyone can verify a submission. It reveals the seeds, so the phase must be over.

        Raises:
            Conflict: the phase is not over, or the submission is not graded.
            NotFound: its journal was deleted.
        """
        if not self.is_over(row):
            raise errors.Conflict("the bundle reveals the seeds: it is available when the phase is over")
        if not row.receipt:
            raise errors.Conflict(f"the submission is {row.state}: there is nothing to prove yet")
        with self.database.reading() as session:
            challenge = self.competition.of_version(session, row.version_id)
        try:
            journal = (self.journals / row.name).read_bytes()
        except FileNotFoundError:
            raise errors.NotFound("its journal was deleted: journals are kept for SUBMISSION_DAYS") from None
        return bundle.build(
            journal=journal,
            challenge=challenge,
            phase_key=self.competition.phase_key(challenge, row.phase, row.key_generation),
            receipt=receipt.read(row.receipt.encode()),
        )


def _judge(verdict: Verdict, trials: list[dict[str, object]]) -> tuple[SubmissionState, str]:
    """The state of a submission after its replay, and the reason."""
    if verdict.state == VerdictState.MISMATCH:
        return SubmissionState.FAILED, f"the replay differs: {verdict.reason}"
    if verdict.state == VerdictState.NOT_REPLAYABLE:
        return (
            SubmissionState.NOT_REPLAYABLE,
            "the run cannot be replayed, which is not the agent's fault: the organiser decides whether it counts",
        )
    return _accept(trials)


def _accept(trials: Sequence[Mapping[str, object]]) -> tuple[SubmissionState, str]:
    """The state of a submission whose score counts, and the reason."""
    if unplayed := sum(trial["state"] == TrialState.UNPLAYED for trial in trials):
        return SubmissionState.ABANDONED, f"{unplayed} trials were not played"
    return SubmissionState.GRADED, ""
