"""A submission's way through the server: its graded instance is made, watched, closed, and its journal kept."""

import contextlib
import hmac
import shutil
from dataclasses import dataclass
from pathlib import Path

from grader.challenges import seeds
from grader.challenges.challenge import CLIP, Challenge
from grader.challenges.states import ProgressState, TrialState
from grader.scores import scoring
from gymserve.hosts import folders
from gymserve.hosts.pool.instances import Instances
from gymserve.journal import Closed, Record, read
from gymserve.protocol.errors import StorageFull, UnknownInstance
from gymserve.system.files import replacing


@dataclass(frozen=True)
class Standing:
    """How far a submission is.

    Args:
        trial: the one under way, or the last; 0 before the first.
        steps: in all trials; `trial_steps`: in this one.
        idle_seconds: since the agent was heard last; None where its instance is closed.
        reason: why it was closed; "" where that is not known.
    """

    state: ProgressState
    trial: int
    trials: int
    steps: int
    trial_steps: int
    idle_seconds: float | None
    reason: str = ""


def allowance(challenge: Challenge) -> dict[str, float | None]:
    """The challenge's limits on time, as `Instances.create` takes them."""
    limits = challenge.limits
    return {
        "step_seconds": limits.step_seconds,
        "overage_seconds": limits.overage_seconds,
        "idle_seconds": limits.idle_seconds,
        "submission_seconds": limits.submission_seconds,
    }


def begin(
    instances: Instances,
    challenge: Challenge,
    *,
    phase: str,
    phase_key: bytes,
    submission: str,
    account: int = 0,
    alone: bool = False,
) -> str:
    """Makes the graded instance of a submission and returns its token; the same one if it is called again.

    Args:
        submission: what names it for good: where the challenge has fresh seeds they depend on it, and so does the receipt.
        account, alone: see `Instances.create`.

    Raises:
        InvalidRequest, EnvironmentFailed: the challenge's environment cannot be made.
        LimitReached: the server is full.
    """
    return instances.create(
        challenge.environment,
        kwargs=challenge.kwargs,
        max_episode_steps=challenge.max_episode_steps,
        trials=seeds.plan(challenge, phase, phase_key, submission),
        allowance=allowance(challenge),
        clip_actions=challenge.actions == CLIP,
        idempotency_key=hmac.digest(phase_key, f"create\0{submission}".encode(), "sha256").hex(),
        account=account,
        alone=alone,
    )


def standing(instances: Instances, token: str) -> Standing:
    """How far the submission with this instance is.

    Raises:
        UnknownInstance: nothing is left of it.
    """
    with contextlib.suppress(UnknownInstance):
        told = instances.describe(token)
        state = ProgressState.RUNNING if told["trial"] else ProgressState.CREATED
        state = ProgressState.OVER if told["trials_over"] else state
        return Standing(
            state, told["trial"], told["trials"], told["steps"], told["trial_steps"], float(told["idle_seconds"])
        )
    records = _records(_closed(instances, token), token)
    trials = scoring.trials_of(records)
    begun = [trial for trial in trials if trial.state != TrialState.UNPLAYED]
    reason = records[-1].reason if isinstance(records[-1], Closed) else ""
    steps = sum(trial.steps for trial in trials)
    return Standing(ProgressState.CLOSED, len(begun), len(trials), steps, begun[-1].steps if begun else 0, None, reason)


def finish(instances: Instances, token: str, keep: Path) -> Path:
    """Closes the instance where it lives yet, and keeps its journal at `keep`, on the disk; again: does nothing more.

    Closed instances' folders are deleted after JOURNAL_DAYS: what is to be proven later must be kept elsewhere.

    Raises:
        UnknownInstance: nothing is left of it.
        StorageFull: it cannot be kept.
    """
    if keep.exists():
        return keep
    with contextlib.suppress(UnknownInstance):
        instances.close(token)
    source = _closed(instances, token)
    _records(source, token)
    _copy(source, keep)
    return keep


def _copy(source: Path, keep: Path) -> None:
    """Copies a file onto the disk, whole or not at all.

    Raises:
        StorageFull: it cannot be written.
    """
    try:
        keep.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(keep, sync=True) as fresh:  # the agent's close and the background worker may both be here
            shutil.copyfile(source, fresh)
    except OSError as error:
        if not keep.exists():  # or else somebody else was quicker, with the same bytes
            raise StorageFull(f"the submission's journal cannot be kept: {error.strerror}") from error
    finally:
        for left in keep.parent.glob(f".*.{keep.name}"):  # also by one that was killed in between
            left.unlink(missing_ok=True)


def _closed(instances: Instances, token: str) -> Path:
    """Where a closed instance's journal is."""
    if folders.slot_of(token) is None:
        raise UnknownInstance(f"Instance_id {token:.100} unknown")
    return instances.closed / token / "journal"


def _records(journal: Path, token: str) -> list[Record]:
    try:
        records = list(read(journal))
    except (OSError, ValueError):
        records = []
    if not records:
        raise UnknownInstance(f"Instance_id {token:.100} unknown")
    return records
