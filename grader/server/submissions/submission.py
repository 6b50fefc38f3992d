"""A submission's graded instance: create, observe and close it, and keep its journal."""

import contextlib
import hmac
import shutil
from dataclasses import dataclass
from pathlib import Path

from gymserve.grader.challenges import seeds
from gymserve.grader.challenges.challenge import CLIP, Challenge
from gymserve.grader.challenges.states import ProgressState, TrialState
from gymserve.grader.scores import scoring
from gymserve.hosts import folders
from gymserve.hosts.pool.instances import Instances
from gymserve.journal import Closed, Record, read
from gymserve.protocol.errors import StorageFull, UnknownInstance
from gymserve.system.files import replacing


@dataclass(frozen=True)
class SubmissionProgress:
    """How far a submission has got.

    Args:
        trial: the number of the current or last trial; 0 before the first.
        steps: the steps in all trials.
        trial_steps: the steps in this trial.
        idle_seconds: the time since the agent's last action; None if its instance is closed.
        reason: why the instance was closed, or "".
    """

    state: ProgressState
    trial: int
    trials: int
    steps: int
    trial_steps: int
    idle_seconds: float | None
    reason: str = ""


def allowance(challenge: Challenge) -> dict[str, float | None]:
    """The challenge's time limits, in the form that `Instances.create` takes."""
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
    """Creates the graded instance of a submission and returns its token. A repeated call returns the same token.

    Args:
        submission: its permanent name, which the receipt has, and which fresh seeds depend on.
        account: see `Instances.create`.
        alone: see `Instances.create`.

    Raises:
        InvalidRequest: the challenge's environment cannot be created.
        EnvironmentFailed: the challenge's environment cannot be created.
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


def progress(instances: Instances, token: str) -> SubmissionProgress:
    """The progress of the submission with this instance.

    Raises:
        UnknownInstance: neither the instance nor its journal exists any more.
    """
    with contextlib.suppress(UnknownInstance):
        description = instances.describe(token)
        state = ProgressState.RUNNING if description["trial"] else ProgressState.CREATED
        return SubmissionProgress(
            ProgressState.OVER if description["trials_over"] else state,
            description["trial"],
            description["trials"],
            description["steps"],
            description["trial_steps"],
            float(description["idle_seconds"]),
        )
    records = _records(_closed_journal(instances, token), token)
    trials = scoring.trials_of(records)
    begun = [trial for trial in trials if trial.state != TrialState.UNPLAYED]
    reason = records[-1].reason if isinstance(records[-1], Closed) else ""
    steps = sum(trial.steps for trial in trials)
    trial_steps = begun[-1].steps if begun else 0
    return SubmissionProgress(ProgressState.CLOSED, len(begun), len(trials), steps, trial_steps, None, reason)


def finish(instances: Instances, token: str, keep: Path) -> Path:
    """Closes the instance if it is open, and copies its journal to `keep`. Repeating it changes nothing.

    The folders of closed instances are deleted after JOURNAL_DAYS, but a submission must stay verifiable.

    Raises:
        UnknownInstance: neither the instance nor its journal exists any more.
        StorageFull: the journal cannot be copied.
    """
    if keep.exists():
        return keep
    with contextlib.suppress(UnknownInstance):
        instances.close(token)
    source = _closed_journal(instances, token)
    _records(source, token)
    _copy(source, keep)
    return keep


def _copy(source: Path, keep: Path) -> None:
    """Copies a file durably, completely or not at all.

    Raises:
        StorageFull: it cannot be written.
    """
    try:
        keep.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(keep, sync=True) as fresh:  # the agent's close and the background worker may both be here
            shutil.copyfile(source, fresh)
    except OSError as error:
        if not keep.exists():  # if it does, another process has written the same bytes
            raise StorageFull(f"the submission's journal cannot be kept: {error.strerror}") from error
    finally:
        for partial in keep.parent.glob(f".*.{keep.name}"):  # also those that killed processes left
            partial.unlink(missing_ok=True)


def _closed_journal(instances: Instances, token: str) -> Path:
    """The path of a closed instance's journal."""
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
