"""What requests and answers about challenges and submissions hold, as the API's description tells it."""

from typing import Annotated, Any

from msgspec import Meta, Struct

Entrant = Annotated[
    Annotated[str, Meta(min_length=1, max_length=100)] | None,
    Meta(description="a name for the leaderboard, on servers without accounts"),
]


class ChallengeOrder(Struct):
    """One of the two."""

    toml: Annotated[str | None, Meta(description="the challenge as TOML, see docs/challenges/organisers.md")] = None
    definition: Annotated[dict[str, Any] | None, Meta(description="the same as an object")] = None


class Challenge(Struct):
    name: str
    title: str
    description: str
    environment: str
    kwargs: dict[str, Any]
    max_episode_steps: int | None
    actions: Annotated[str, Meta(description="what becomes of one outside of the action space: refuse or clip")]
    tolerance: float
    trials: dict[str, Any]
    scoring: dict[str, Any]
    ranking: dict[str, Any]
    limits: dict[str, Any]
    phases: Annotated[list[dict[str, Any]], Meta(description="each with a commitment to its seeds")]
    baselines: list[dict[str, Any]]
    teams: dict[str, Any]
    is_open: Annotated[bool, Meta(description="whether it takes submissions now")]
    phase: Annotated[str | None, Meta(description="the one that does")]
    digest: Annotated[str, Meta(description="SHA-256 of the definition")]


class Challenges(Struct):
    challenges: list[Challenge]


class TeamOrder(Struct):
    """One of the two."""

    name: Annotated[Annotated[str, Meta(min_length=1)] | None, Meta(description="of a team to make")] = None
    code: Annotated[str | None, Meta(description="of a team to join, from its invitation")] = None


class Team(Struct):
    name: str
    entrant: Annotated[str, Meta(description="what it is called on the leaderboard")]
    members: list[str]
    fixed: Annotated[bool, Meta(description="it has submitted, so nobody leaves it any more")]


class TeamInvitation(Struct):
    code: str


class SubmissionOrder(Struct):
    entrant: Entrant = None


class Submitted(Struct):
    instance_id: str
    token: Annotated[str, Meta(description="of the graded instance: reset and step it as any other")]
    submission_id: str
    challenge: str
    phase: str
    submissions_remaining: Annotated[int | None, Meta(description="today; null: any number")]


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
    spread: Annotated[float | None, Meta(description="standard deviation of the trials' values")]
    standard_error: float | None
    steps: int
    verdict: Annotated[
        str, Meta(description="pending, verified, not replayable, mismatch, or reported by another grader")
    ]
    verdict_reason: str
    trials: Annotated[list[dict[str, Any]], Meta(description="number, state, return, steps, seconds and value of each")]
    created_at: str
    finished_at: str | None
    progress: Annotated[dict[str, Any] | None, Meta(description="while it goes on: trial of trials, steps, idle time")]
    rank: Annotated[int | None, Meta(description="of its entrant")] = None
    report: Annotated[dict[str, Any] | None, Meta(description="to a challenge server elsewhere: how it is doing")] = (
        None
    )


class Participant(Struct):
    participant_id: int | None
    message: str


class Entered(Struct):
    message: str
    submission_id: int
    submissions_remaining: Annotated[int | None, Meta(description="today; null: any number")]
    reset_dttm: Annotated[str | None, Meta(description="when today's are given anew; of an update: reset_date")] = None
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


class Media(Struct):
    """A submission's videos and pictures. What follows `files` is told once they are made."""

    submission_id: str
    state: Annotated[str, Meta(description="none, waiting, being made, made or failed")]
    reason: Annotated[str, Meta(description="why there are none, or what they wait for")]
    files: Annotated[dict[str, int], Meta(description="name → bytes; each is at …/media/<name>")]
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    frames_per_second: float | None = None
    seconds: float | None = None
    speed: Annotated[int | None, Meta(description="how much faster than life")] = None
    shown: Annotated[list[int] | None, Meta(description="the trials that are shown, from 1")] = None
    episodes: Annotated[int | None, Meta(description="of so many")] = None
    complete: Annotated[bool | None, Meta(description="all trials are shown to their ends")] = None
    agrees: Annotated[bool | None, Meta(description="every answer was replayed as it was recorded")] = None


class Receipt(Struct):
    statement: dict[str, Any]
    signature: Annotated[str, Meta(description="Ed25519, in base64, of the statement as canonical JSON")]


class SigningKey(Struct):
    algorithm: str
    key: Annotated[str, Meta(description="the public key, in base64")]
    fingerprint: Annotated[str, Meta(description="16 digits of its SHA-256, which `python -m grader verify` names")]


class Place(Struct):
    rank: int | None
    entrant: Annotated[str, Meta(description="what it is called")]
    entrant_id: Annotated[str, Meta(description="what its submissions are kept under, whatever it is called")]
    score: float
    secondary: float | None
    spread: float | None
    standard_error: float | None
    tries: int
    tied: bool
    qualified: bool
    steps: int | None
    verdict: str | None
    finished_at: str | None
    submission: str
    baseline: bool


class Leaderboard(Struct):
    challenge: str
    phase: str
    total: Annotated[int, Meta(description="places, baselines included")]
    places: list[Place]


class Scored(Struct):
    submission: str
    score: float
    secondary: float | None
    spread: float | None
    standard_error: float | None
    steps: int
    verdict: str
    finished_at: str


class History(Struct):
    challenge: str
    phase: str
    entrant: str
    submissions: Annotated[list[Scored], Meta(description="those with a score, the newest first")]
