"""The states of submissions, of their trials, and of verdicts on them: each word of them stands here and nowhere else."""

from enum import StrEnum


class SubmissionState(StrEnum):
    """What has become of a submission.

    created ─▶ running ─▶ verifying ─▶ graded      all trials were played
        └──────────┴────▶ abandoned                its agent left before: unplayed trials count as the challenge says
                          failed                   there is no score, or its journal was changed
                          not replayable           the replay showed something else; its organiser accepts or voids it
                          void                     by our fault: the slot is given back

    One that is graded on another machine is `elsewhere` until it is graded or has failed.
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
        """Whether nothing will change it any more."""
        return self in (
            SubmissionState.GRADED,
            SubmissionState.ABANDONED,
            SubmissionState.FAILED,
            SubmissionState.VOID,
        )

    @property
    def counts(self) -> bool:
        """Whether it uses up one of the submissions that its entrant may make."""
        return self is not SubmissionState.VOID

    @property
    def is_ranked(self) -> bool:
        """Whether its score has a place on the leaderboard, which it gets before the replay."""
        return self in (SubmissionState.VERIFYING, SubmissionState.GRADED, SubmissionState.ABANDONED)


ACTIVE = tuple(state for state in SubmissionState if state.is_active)
RANKED = tuple(state for state in SubmissionState if state.is_ranked)


class VerdictState(StrEnum):
    """What is known about whether a submission can be replayed."""

    PENDING = "pending"  # its replay is still to come
    VERIFIED = "verified"
    MISMATCH = "mismatch"  # replays agree with each other, but not with the journal
    NOT_REPLAYABLE = "not replayable"  # the environment answers differently each time, or cannot be made
    REPORTED = "reported"  # a grader on another machine said so; nobody here has replayed it


class TrialState(StrEnum):
    """How a trial ended."""

    PLAYED = "played"  # to its end
    CUT = "cut"  # by a reset or by leaving
    FAILED = "failed"  # a reward was not finite, or a call ended the environment
    LOST = "lost"  # by the server
    UNPLAYED = "unplayed"  # without a step


class ProgressState(StrEnum):
    """How far the graded instance of a submission is."""

    CREATED = "created"  # no trial has begun
    RUNNING = "running"
    OVER = "over"  # all trials are
    CLOSED = "closed"  # by its agent, for being idle, or since its time was up
