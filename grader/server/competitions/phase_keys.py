"""Which key the seeds of a phase come from, and whether it may be known.

Both are stored facts. A phase that was over can be open again, because its dates are changed or the clock is set back:
then it gets a new key, of the next generation, since everybody has seen the one before.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.challenges.challenge import PRACTICE, Phase
from grader.challenges.states import ACTIVE
from gymserve.store.models import PhaseKey, Submission, now


class Key(NamedTuple):
    """`is_shown`: everybody may know it."""

    generation: int = 0
    is_shown: bool = False


def known(session: Session, challenge_id: int, phase: str) -> Key:
    """The key that a phase had when it was last looked at."""
    row = _row(session, challenge_id, phase)
    return Key() if row is None else Key(row.generation, row.shown_at is not None)


def due(session: Session, challenge_id: int, phase: Phase, at: datetime) -> Key:
    """The key that a phase ought to have: shown once it is over and no submission of it can be played any more."""
    key = known(session, challenge_id, phase.name)
    if phase.kind == PRACTICE:  # whose seeds are others; one that was made so keeps the secret that it had
        return key
    if key.is_shown:
        return key if phase.is_over(at) else Key(key.generation + 1)
    return Key(key.generation, phase.is_over(at) and not _is_played(session, challenge_id, phase.name))


def note(session: Session, challenge_id: int, phase: str, key: Key) -> None:
    """Writes down which key a phase has; the challenge must be locked, so that no submission begins meanwhile."""
    row = _row(session, challenge_id, phase)
    if row is None:
        row = PhaseKey(challenge_id=challenge_id, phase=phase)
        session.add(row)
    row.generation, row.shown_at = key.generation, now() if key.is_shown else None


def for_submission(session: Session, challenge_id: int, phase: str) -> int:
    """The generation of the key that a new submission is played with: never one that was shown. Locked as for `note`."""
    key = known(session, challenge_id, phase)
    if key.is_shown:
        key = Key(key.generation + 1)
        note(session, challenge_id, phase, key)
    return key.generation


def _row(session: Session, challenge_id: int, phase: str) -> PhaseKey | None:
    return session.scalar(select(PhaseKey).where(PhaseKey.challenge_id == challenge_id, PhaseKey.phase == phase))


def _is_played(session: Session, challenge_id: int, phase: str) -> bool:
    of_phase = (Submission.challenge_id == challenge_id, Submission.phase == phase, Submission.state.in_(ACTIVE))
    return session.scalar(select(Submission.id).where(*of_phase).limit(1)) is not None
