"""The states of experiments: each word of them stands here and nowhere else."""

from enum import StrEnum


class ExperimentState(StrEnum):
    """What has become of an experiment.

    created ─▶ queued ─▶ running ─▶ completed
                  ▲  ╲      │  ╲──▶ failed      can be queued again, as one that was stopped can
                  │   ╲     ▼
                  └──── paused ───▶ stopped
    """

    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_active(self) -> bool:
        """Whether it runs, or waits for its turn; any other one is at rest until somebody starts it."""
        return self in (ExperimentState.QUEUED, ExperimentState.RUNNING)

    @property
    def is_final(self) -> bool:
        """Whether its run has ended; another one may be started all the same."""
        return self in (ExperimentState.COMPLETED, ExperimentState.FAILED, ExperimentState.STOPPED)


ACTIVE = tuple(state for state in ExperimentState if state.is_active)
FINAL = tuple(state for state in ExperimentState if state.is_final)
