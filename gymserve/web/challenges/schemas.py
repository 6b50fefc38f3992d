"""Schemas of requests and responses about challenges and submissions, for the API description."""

from typing import Annotated

from msgspec import Meta, Struct

from gymserve.grader.server.boards.leaderboard import BoardPlace
from gymserve.protocol.wire import JSONObject

Entrant = Annotated[
    Annotated[str, Meta(min_length=1, max_length=100)] | None,
    Meta(description="a name for the leaderboard, on servers without accounts"),
]


class NewChallenge(Struct):
    """A challenge's definition, in one of two forms."""

    toml: Annotated[str | None, Meta(description="the challenge as TOML, see docs/challenges/organisers.md")] = None
    definition: Annotated[JSONObject | None, Meta(description="the same as an object")] = None


class ChallengeCard(Struct):
    name: str
    title: str
    description: str
    environment: str
    kwargs: JSONObject
    max_episode_steps: int | None
    actions: Annotated[str, Meta(description="what happens to actions outside of the action space: refuse or clip")]
    tolerance: float
    trials: JSONObject
    scoring: JSONObject
    ranking: JSONObject
    limits: JSONObject
    phases: Annotated[list[JSONObject], Meta(description="the phases, each with a commitment to its seeds")]
    baselines: list[JSONObject]
    teams: JSONObject
    is_open: Annotated[bool, Meta(description="whether it accepts submissions now")]
    phase: Annotated[str | None, Meta(description="the phase that accepts submissions now")]
    digest: Annotated[str, Meta(description="SHA-256 of the definition")]


class ChallengeCards(Struct):
    challenges: list[ChallengeCard]


class TeamRequest(Struct):
    """The name of a new team, or the code of a team to join."""

    name: Annotated[Annotated[str, Meta(min_length=1)] | None, Meta(description="the name of a new team")] = None
    code: Annotated[str | None, Meta(description="the code from a team's invitation, to join it")] = None


class TeamCard(Struct):
    name: str
    entrant: Annotated[str, Meta(description="its name on the leaderboard")]
    members: list[str]
    fixed: Annotated[bool, Meta(description="whether it has submitted, so members can no longer leave")]


class TeamInvitation(Struct):
    code: str


class NewSubmission(Struct):
    entrant: Entrant = None


class BegunSubmission(Struct):
    instance_id: str
    token: Annotated[str, Meta(description="the token of the graded instance, which you reset and step like any other")]
    submission_id: str
    challenge: str
    phase: str
    submissions_remaining: Annotated[int | None, Meta(description="the number left today; null means no limit")]


class SubmissionRow(Struct):
    submission_id: str
    challenge: str
    phase: str
    entrant: str
    state: Annotated[
        str,
        Meta(description="created, running, verifying, graded, failed, abandoned, not replayable, void, or elsewhere"),
    ]
    reason: str
    score: float | None
    secondary: float | None
    spread: Annotated[float | None, Meta(description="the standard deviation of the trials' values")]
    standard_error: float | None
    steps: int
    verdict: Annotated[
        str, Meta(description="pending, verified, not replayable, mismatch, or reported by another grader")
    ]
    verdict_reason: str
    trials: Annotated[
        list[JSONObject], Meta(description="the number, state, return, steps, seconds and value of each trial")
    ]
    created_at: str
    finished_at: str | None
    progress: Annotated[JSONObject | None, Meta(description="while it runs: trial, trials, steps, idle time")]
    rank: Annotated[int | None, Meta(description="the rank of its entrant")] = None
    report: Annotated[
        JSONObject | None, Meta(description="the state of its report to an external challenge server")
    ] = None


class Participant(Struct):
    participant_id: int | None
    message: str


class EnteredSubmission(Struct):
    message: str
    submission_id: int
    submissions_remaining: Annotated[int | None, Meta(description="the number left today; null means no limit")]
    reset_dttm: Annotated[
        str | None, Meta(description="when the daily limit resets; an update has reset_date instead")
    ] = None
    reset_date: str | None = None


class ExternalSubmission(Struct):
    id: int
    submission_id: int
    participant_id: int | None
    grading_status_cd: Annotated[str, Meta(description="submitted, initiated, graded or failed")]
    score: float | None
    score_secondary: float | None
    grading_message: str
    created_at: str
    meta: dict[str, str]
    media_large: str | None
    media_thumbnail: str | None
    media_content_type: str | None


class SubmissionMedia(Struct):
    """A submission's videos and images. The fields after `files` are set once the videos are made."""

    submission_id: str
    state: Annotated[str, Meta(description="none, waiting, being made, made or failed")]
    reason: Annotated[str, Meta(description="why there are none yet")]
    files: Annotated[dict[str, int], Meta(description="name → bytes; each is at …/media/<name>")]
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    frames_per_second: float | None = None
    seconds: float | None = None
    speed: Annotated[int | None, Meta(description="the playback speed, as a multiple of real time")] = None
    shown: Annotated[list[int] | None, Meta(description="the numbers of the trials in the video, from 1")] = None
    episodes: Annotated[int | None, Meta(description="the number of all trials")] = None
    complete: Annotated[bool | None, Meta(description="whether all trials are shown to their ends")] = None
    agrees: Annotated[bool | None, Meta(description="whether the replay is identical to the recorded run")] = None


class SignedReceipt(Struct):
    statement: JSONObject
    signature: Annotated[str, Meta(description="the Ed25519 signature of the statement as canonical JSON, in base64")]


class SigningKey(Struct):
    algorithm: str
    key: Annotated[str, Meta(description="the public key, in base64")]
    fingerprint: Annotated[str, Meta(description="16 digits of its SHA-256, which `gymserve verify` prints")]


class BoardPage(Struct):
    challenge: str
    phase: str
    total: Annotated[int, Meta(description="the number of places, including baselines")]
    places: list[BoardPlace]


class ScoredSubmission(Struct):
    submission: str
    score: float
    secondary: float | None
    spread: float | None
    standard_error: float | None
    steps: int
    verdict: str
    finished_at: str


class ScoreHistory(Struct):
    challenge: str
    phase: str
    entrant: str
    submissions: Annotated[list[ScoredSubmission], Meta(description="the submissions that have a score, newest first")]
