"""The states of an experiment."""

from enum import StrEnum


class ExperimentState(StrEnum):
    """The state of an experiment.

    created ─▶ queued ─▶ running ─▶ completed
                  ▲  ╲      │  ╲──▶ failed      can be queued again, like a stopped one
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
        """Whether it is queued or running; in any other state it waits until somebody starts it."""
        return self in (ExperimentState.QUEUED, ExperimentState.RUNNING)

    @property
    def is_final(self) -> bool:
        """Whether its run has ended; it may still be started again."""
        return self in (ExperimentState.COMPLETED, ExperimentState.FAILED, ExperimentState.STOPPED)


ACTIVE = tuple(state for state in ExperimentState if state.is_active)
FINAL = tuple(state for state in ExperimentState if state.is_final)
