"""The states of submissions, trials and verdicts. Their names are written here and nowhere else."""

from enum import StrEnum


class SubmissionState(StrEnum):
    """The state of a submission.

    created ─▶ running ─▶ verifying ─▶ graded      all trials were played
        └──────────┴────▶ abandoned                the agent left early: unplayed trials count as the challenge says
                          failed                   there is no score, or the journal was changed
                          not replayable           the replay differs; the organiser accepts or voids the submission
                          void                     the server is at fault: the slot is given back

    A submission that is graded on another machine is `elsewhere` until it is graded or has failed.
    """

    CREATED = "created"
    RUNNING = "running"
    VERIFYING = "verifying"
    ELSEWHERE = "elsewhere"
    NOT_REPLAYABLE = "not replayable"
    GRADED = "graded"
    ABANDONED = "abandoned"
    FAILED = "failed"
    VOID = "void"

    @property
    def is_active(self) -> bool:
        """Whether its agent can still play it."""
        return self in (SubmissionState.CREATED, SubmissionState.RUNNING)

    @property
    def is_final(self) -> bool:
        """Whether the state cannot change any more."""
        return self in (
            SubmissionState.GRADED,
            SubmissionState.ABANDONED,
            SubmissionState.FAILED,
            SubmissionState.VOID,
        )

    @property
    def counts(self) -> bool:
        """Whether the submission counts against its entrant's limits."""
        return self is not SubmissionState.VOID

    @property
    def is_ranked(self) -> bool:
        """Whether its score is on the leaderboard, where it appears before the replay."""
        return self in (SubmissionState.VERIFYING, SubmissionState.GRADED, SubmissionState.ABANDONED)


ACTIVE = tuple(state for state in SubmissionState if state.is_active)
RANKED = tuple(state for state in SubmissionState if state.is_ranked)


class VerdictState(StrEnum):
    """The verdict on a submission's journal."""

    PENDING = "pending"  # not replayed yet
    VERIFIED = "verified"
    MISMATCH = "mismatch"  # replays agree with each other, but not with the journal
    NOT_REPLAYABLE = "not replayable"  # the environment gives other results each time, or cannot be created
    REPORTED = "reported"  # by a grader on another machine; this server has not replayed it


class TrialState(StrEnum):
    """How a trial ended."""

    PLAYED = "played"  # to the end of the episode
    CUT = "cut"  # by the agent's reset or leaving
    FAILED = "failed"  # a reward was not finite, or a call crashed the environment
    LOST = "lost"  # by the server
    UNPLAYED = "unplayed"  # without a step


class ProgressState(StrEnum):
    """The progress of a submission's graded instance."""

    CREATED = "created"  # no trial has begun
    RUNNING = "running"
    OVER = "over"  # all trials are over
    CLOSED = "closed"  # by the agent, or because it was idle or out of time
