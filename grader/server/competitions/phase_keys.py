"""Which key a phase's seeds are derived from, and whether that key is public.

Both are stored. A phase that was over can be open again if its dates change or the clock is set back. It then gets a
key of the next generation, since the previous one is public.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from gymserve.grader.challenges.challenge import PRACTICE, Phase
from gymserve.grader.challenges.states import ACTIVE
from gymserve.store.models import PhaseKey, Submission, now


class KeyState(NamedTuple):
    """The generation of a phase's key, and whether the key is public."""

    generation: int = 0
    is_shown: bool = False


def load(session: Session, challenge_id: int, phase: str) -> KeyState:
    """The stored state of a phase's key."""
    row = _row(session, challenge_id, phase)
    return KeyState() if row is None else KeyState(row.generation, row.shown_at is not None)


def expected(session: Session, challenge_id: int, phase: Phase, at: datetime) -> KeyState:
    """The state that a phase's key should have. It is public once the phase is over and none of its submissions is active."""
    key = load(session, challenge_id, phase.name)
    if phase.kind == PRACTICE:  # its seeds do not come from this key, which stays secret if the phase was another kind
        return key
    if key.is_shown:
        return key if phase.is_over(at) else KeyState(key.generation + 1)
    return KeyState(key.generation, phase.is_over(at) and not _is_played(session, challenge_id, phase.name))


def store(session: Session, challenge_id: int, phase: str, key: KeyState) -> None:
    """Stores the state of a phase's key. The challenge must be locked, so that no submission begins meanwhile."""
    row = _row(session, challenge_id, phase)
    if row is None:
        row = PhaseKey(challenge_id=challenge_id, phase=phase)
        session.add(row)
    row.generation, row.shown_at = key.generation, now() if key.is_shown else None


def for_submission(session: Session, challenge_id: int, phase: str) -> int:
    """The generation of the key for a new submission, which is never public. The challenge must be locked."""
    key = load(session, challenge_id, phase)
    if key.is_shown:
        key = KeyState(key.generation + 1)
        store(session, challenge_id, phase, key)
    return key.generation


def _row(session: Session, challenge_id: int, phase: str) -> PhaseKey | None:
    return session.scalar(select(PhaseKey).where(PhaseKey.challenge_id == challenge_id, PhaseKey.phase == phase))


def _is_played(session: Session, challenge_id: int, phase: str) -> bool:
    of_phase = (Submission.challenge_id == challenge_id, Submission.phase == phase, Submission.state.in_(ACTIVE))
    return session.scalar(select(Submission.id).where(*of_phase).limit(1)) is not None
