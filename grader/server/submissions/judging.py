"""Judging: submissions that were scored are replayed, their receipts signed, and their bundles given out."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from grader.challenges.challenge import PRACTICE, Challenge
from grader.challenges.states import SubmissionState, TrialState, VerdictState
from grader.proofs import bundle, receipt, replays, signing
from grader.proofs.receipt import Receipt
from grader.proofs.verification import Verdict
from grader.scores import scoring
from grader.server.competitions.competition import Competition
from grader.server.competitions.names import names
from grader.server.reports.outbox import Outbox
from grader.server.submissions.changes import change_time
from gymserve.environments import Catalogue
from gymserve.journal.file import scan
from gymserve.protocol import errors
from gymserve.recording.media import Media
from gymserve.store import Database, rows_changed
from gymserve.store.models import Submission, now

log = logging.getLogger("gymserve.grader")


class Judge:
    """Args:
    data: the server's data directory, where kept journals and the signing key are.
    media: where videos are ordered; None: there are to be none.
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
        self.kept = data / "submissions"
        self.media = media
        self._key = data / "signing-key"

    @property
    def public_key(self) -> str:
        """The key that receipts are signed with."""
        return signing.public_text(signing.signing_key(self._key))

    def next_to_verify(self) -> Submission | None:
        """The submission that has waited longest for its replay."""
        waits = Submission.state == SubmissionState.VERIFYING
        query = select(Submission).where(waits).order_by(Submission.finished_at).limit(1)
        with self.database.reading() as session:
            return session.scalar(query)

    def verify(self, row: Submission, verdict: Verdict | None = None) -> None:
        """Replays a submission, signs its receipt, and settles what it is.

        Args:
            verdict: where it cannot be replayed; None: it is.
        """
        with self.database.reading() as session:
            row = session.get_one(Submission, row.id)
            challenge = self.competition.of_version(session, row.version_id)
            name = names(session, [row.entrant])[row.entrant]
        try:
            journal = (self.kept / row.name).read_bytes()
            records = [record for record, _, _ in scan(journal)]
            result = scoring.of_journal(records, challenge.scoring)
        except (OSError, ValueError):
            self._settle(row, SubmissionState.VOID, "its journal was lost by the server", score=None, verdict="")
            return
        except scoring.ScoringFailed as error:
            reason = f"the organiser's scoring failed: {error}"
            self._settle(row, SubmissionState.VOID, reason, score=None, verdict="")
            return
        is_intact = result.score == row.score and row.journal_head in ("", receipt.head(journal))
        if verdict is None:
            modules, tolerance = self.catalogue.modules, challenge.tolerance
            verdict = replays.verify(self.kept / row.name, modules, tolerance=tolerance)
        if not is_intact and verdict.state != VerdictState.MISMATCH:
            verdict = Verdict(VerdictState.MISMATCH, "the journal is not what it was when the submission ended")
        elif is_intact and verdict.state == VerdictState.MISMATCH and verdict.answer:
            # It may be the environment's doing, such as state that it keeps from trial to trial.
            verdict = replace(verdict, state=VerdictState.NOT_REPLAYABLE)
        state, reason = _judged(verdict, json.loads(row.trials))
        signed = self._signed(row, challenge, journal, result, verdict, name)
        self._order_video(row, challenge)  # before the submission is done with, so that a crash in between loses none
        self._settle(
            row,
            state,
            reason,
            verdict=verdict.state,
            verdict_reason=verdict.reason[:500],
            receipt=signed.to_json().decode(),
        )

    def decide(self, row: Submission, *, accept: bool) -> None:
        """The organiser lets a submission that cannot be replayed count all the same, or voids it and gives its slot back.

        Raises:
            Conflict: it is no such submission, or was decided already.
        """
        with self.database.reading() as session:
            row = session.get_one(Submission, row.id)
        undecided = SubmissionState.NOT_REPLAYABLE
        if accept:
            state, reason = _played(json.loads(row.trials))
            reasons, values = [reason, "accepted by the organiser"], {}
        else:
            state, reasons, values = SubmissionState.VOID, ["voided by the organiser"], {"score": None}
        if not self._settle(row, state, "; ".join(filter(None, reasons)), was=undecided, **values):
            raise errors.Conflict(f"the submission is {row.state}: its organiser decides about one that is {undecided}")

    def _order_video(self, row: Submission, challenge: Challenge) -> None:
        if self.media is not None:
            try:
                self.media.request_submission_video(row.name, title=challenge.name, challenge=row.challenge_id)
            except errors.StorageFull as error:  # no reason not to grade
                log.warning("submission %s will have no video: %s", row.name, error)

    def _settle(
        self,
        row: Submission,
        state: SubmissionState,
        reason: str,
        *,
        was: SubmissionState = SubmissionState.VERIFYING,
        **values: Any,
    ) -> bool:
        """Writes what a submission is once: who comes second changes nothing. Whether this one did."""
        with self.database.writing() as session:
            mine = (Submission.id == row.id, Submission.state == was)
            at = change_time(session, row)
            changed = {"state": state, "counts": state.counts, "reason": reason[:500], "changed_at": at, **values}
            did = rows_changed(session, update(Submission).where(*mine).values(changed)) > 0
            if did and state.is_final:
                self.outbox.end(session, row.id)
            return did

    def _signed(
        self, row: Submission, challenge: Challenge, journal: bytes, result: scoring.Result, verdict: Verdict, name: str
    ) -> Receipt:
        return receipt.issue(
            signing.signing_key(self._key),
            journal=journal,
            challenge=challenge,
            phase=row.phase,
            commitment=self.competition.commitment(challenge, row.phase, row.key_generation),
            generation=row.key_generation,
            submission=row.name,
            account=row.entrant,
            name=name,
            result=result,
            verdict=verdict,
            graded=now().timestamp(),
        )

    def is_over(self, row: Submission) -> bool:
        """Whether the key of its seeds may be known, or it is for practice: from then on everybody may see it."""
        with self.database.reading() as session:
            own = self.competition.of_version(session, row.version_id).phase(row.phase)
            present = self.competition.present(session, row.challenge_id, own)
        if own.kind == PRACTICE:
            return True
        key = self.competition.key_of(row.challenge_id, present)
        return key.generation > row.key_generation or key.is_shown

    def bundle(self, row: Submission) -> bytes:
        """All that anyone needs to verify a submission; only once its phase is over, since it tells the seeds.

        Raises:
            Conflict: the phase goes on, or the submission is not graded.
            NotFound: its journal was deleted.
        """
        if not self.is_over(row):
            raise errors.Conflict("the bundle tells the seeds: it can be had when the phase is over")
        if not row.receipt:
            raise errors.Conflict(f"the submission is {row.state}: there is nothing to prove yet")
        with self.database.reading() as session:
            challenge = self.competition.of_version(session, row.version_id)
        try:
            journal = (self.kept / row.name).read_bytes()
        except FileNotFoundError:
            raise errors.NotFound(
                "its journal was deleted: those of submissions are kept for SUBMISSION_DAYS"
            ) from None
        return bundle.build(
            journal=journal,
            challenge=challenge,
            phase_key=self.competition.phase_key(challenge, row.phase, row.key_generation),
            receipt=receipt.read(row.receipt.encode()),
        )


def _judged(verdict: Verdict, trials: list[dict[str, Any]]) -> tuple[SubmissionState, str]:
    """(state, reason) of a submission that was replayed."""
    if verdict.state == VerdictState.MISMATCH:
        return SubmissionState.FAILED, f"the replay came out differently: {verdict.reason}"
    if verdict.state == VerdictState.NOT_REPLAYABLE:
        return (
            SubmissionState.NOT_REPLAYABLE,
            "the run cannot be repeated, which is no fault of its agent's: the organiser decides if it counts",
        )
    return _played(trials)


def _played(trials: list[dict[str, Any]]) -> tuple[SubmissionState, str]:
    """(state, reason) of a submission whose score stands."""
    if unplayed := sum(trial["state"] == TrialState.UNPLAYED for trial in trials):
        return SubmissionState.ABANDONED, f"{unplayed} trials were not played"
    return SubmissionState.GRADED, ""
