"""Judging: submissions that were scored are replayed, their receipts signed, and their bundles given out."""

import json
import logging
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from grader import bundle, receipt, scoring, signing, verification
from grader.challenge import PRACTICE, Challenge
from grader.competition import Competition
from grader.leaderboard import change_time
from grader.outbox import Outbox
from grader.receipt import Receipt
from grader.verification import Verdict
from gymserve import errors
from gymserve.environments import Catalogue
from gymserve.journal.file import scan
from gymserve.recording.media import Media
from gymserve.store import Database
from gymserve.store.models import Challenge as ChallengeRow
from gymserve.store.models import Submission, now

log = logging.getLogger("gymserve.grader")
VERIFYING, GRADED, FAILED, ABANDONED, VOID = "verifying", "graded", "failed", "abandoned", "void"


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
        query = select(Submission).where(Submission.state == VERIFYING).order_by(Submission.finished_at).limit(1)
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
        try:
            journal = (self.kept / row.name).read_bytes()
            records = [record for record, _, _ in scan(journal)]
            result = scoring.of_journal(records, challenge.scoring)
        except (OSError, ValueError):
            self._settle(row, VOID, "its journal was lost by the server", counts=False, score=None, verdict="")
            return
        except scoring.ScoringFailed as error:
            reason = f"the organiser's scoring failed: {error}"
            self._settle(row, VOID, reason, counts=False, score=None, verdict="")
            return
        if result.score != row.score:
            verdict = Verdict(verification.MISMATCH, "the journal gives another score than at its end")
        elif verdict is None:
            verdict = verification.verify(records, self.catalogue, tolerance=challenge.tolerance)
        state, reason = _judged(verdict, json.loads(row.trials), challenge)
        signed = self._signed(row, challenge, journal, result, verdict)
        self._order_video(row, challenge)  # before the submission is done with, so that a crash in between loses none
        self._settle(
            row,
            state,
            reason,
            verdict=verdict.state,
            verdict_reason=verdict.reason[:500],
            receipt=signed.to_json().decode(),
        )

    def _order_video(self, row: Submission, challenge: Challenge) -> None:
        if self.media is not None:
            try:
                self.media.order_submission(row.name, title=challenge.name, challenge=row.challenge_id)
            except errors.StorageFull as error:  # no reason not to grade
                log.warning("submission %s will have no video: %s", row.name, error)

    def _settle(self, row: Submission, state: str, reason: str, **values: Any) -> None:
        """Writes what a submission is once: who comes second changes nothing."""
        with self.database.writing() as session:
            mine = (Submission.id == row.id, Submission.state == VERIFYING)
            changed = {"state": state, "reason": reason[:500], "changed_at": change_time(session, row), **values}
            if session.execute(update(Submission).where(*mine).values(changed)).rowcount:  # type: ignore[attr-defined]
                self.outbox.end(session, row.id)

    def _signed(
        self, row: Submission, challenge: Challenge, journal: bytes, result: scoring.Result, verdict: Verdict
    ) -> Receipt:
        return receipt.issue(
            signing.signing_key(self._key),
            journal=journal,
            challenge=challenge,
            phase=row.phase,
            commitment=self.competition.commitment(challenge, row.phase),
            submission=row.name,
            account=row.entrant,
            result=result,
            verdict=verdict,
            graded=now().timestamp(),
        )

    def is_over(self, row: Submission) -> bool:
        """Whether its phase is, by the challenge's present dates, or for practice: from then on everybody may see it."""
        with self.database.reading() as session:
            challenge = self.competition.of_version(session, row.version_id)
            held_open = session.get_one(ChallengeRow, row.challenge_id)
            latest = self.competition.of_version(session, held_open.version_id)
        own = challenge.phase(row.phase)
        phase = next((phase for phase in latest.phases if phase.name == row.phase), own)
        # One that was made a practice phase since keeps the secret that it had.
        return phase.is_revealed(now()) and (phase.kind == PRACTICE) == (own.kind == PRACTICE)

    def bundle(self, row: Submission) -> bytes:
        """All that anyone needs to verify a submission; only once its phase is over, since it tells the seeds.

        Raises:
            Conflict: the phase goes on, or the submission is not graded.
        """
        if not self.is_over(row):
            raise errors.Conflict("the bundle tells the seeds: it can be had when the phase is over")
        if not row.receipt:
            raise errors.Conflict(f"the submission is {row.state}: there is nothing to prove yet")
        with self.database.reading() as session:
            challenge = self.competition.of_version(session, row.version_id)
        return bundle.build(
            journal=(self.kept / row.name).read_bytes(),
            challenge=challenge,
            phase_key=self.competition.phase_key(challenge, row.phase),
            receipt=receipt.read(row.receipt.encode()),
        )


def _judged(verdict: Verdict, trials: list[dict[str, Any]], challenge: Challenge) -> tuple[str, str]:
    """(state, reason) of a submission that was replayed."""
    if verdict.state == verification.MISMATCH:
        return FAILED, f"the replay came out differently: {verdict.reason}"
    left = [trial for trial in trials if trial["state"] in (scoring.UNPLAYED, scoring.CUT)]
    if any(trial["state"] == scoring.UNPLAYED for trial in left):
        return ABANDONED, f"{sum(trial['state'] == scoring.UNPLAYED for trial in left)} trials were not played"
    return GRADED, ""
