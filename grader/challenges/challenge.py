"""A challenge: an environment, secret trials, how they are scored and ranked, and when."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from grader.challenges.fields import InvalidChallenge

REFUSE, CLIP = "refuse", "clip"
PRACTICE, PUBLIC, FINAL = "practice", "public", "final"


@dataclass(frozen=True)
class Variant:
    """What sets some trials apart: options of their reset, and kwargs of their environment."""

    options: dict[str, Any] | None
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Trials:
    """Trial k has the variant k modulo their number. `fresh`: each submission has seeds of its own."""

    number: int
    fresh: bool
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Scoring:
    """How trial returns become a score.

    Args:
        function: of the trials' values: mean, sum, median, min or `module:function` of the organiser's.
        secondary: another such, or "steps"; "" for none.
        worst: what a trial counts that is not worth anything; None: such a submission has no score.
        unplayed: what a trial counts that was not played: "worst" or a number.
        cut: what a trial counts that the agent reset before its end: "stands" (what it has) or "worst".
    """

    function: str
    better: str
    secondary: str
    secondary_better: str
    worst: float | None
    unplayed: float | str
    cut: str


@dataclass(frozen=True)
class Ranking:
    """`rule`: best or last submission; `ties`: shared ranks, the earlier one first, or the secondary score decides."""

    rule: str
    ties: str
    qualifying_score: float | None
    hidden_until: datetime | None


@dataclass(frozen=True)
class Limits:
    """None: no limit. An agent may take `step_seconds` a step, and `overage_seconds` more in all."""

    submissions_per_day: int | None
    submissions: int | None
    concurrent: int | None
    step_seconds: float | None
    overage_seconds: float
    submission_seconds: float | None
    idle_seconds: float | None


@dataclass(frozen=True)
class Phase:
    """A time in which submissions are taken, with seeds and a leaderboard of its own.

    Args:
        kind: "practice" (its seeds are known to all, and it uses up no submissions), "public", or "final" (for those
            who reached the qualifying score in a public phase, where the challenge has one).
        opens, closes: None for always and never.
        trials: their number in this phase.
    """

    name: str
    kind: str
    opens: datetime | None
    closes: datetime | None
    trials: int
    hidden_until: datetime | None

    def is_open(self, now: datetime) -> bool:
        return (self.opens is None or self.opens <= now) and (self.closes is None or now < self.closes)

    def is_over(self, now: datetime) -> bool:
        """Whether it takes no submissions any more; those that began before may go on."""
        return self.closes is not None and self.closes <= now


@dataclass(frozen=True)
class Baseline:
    """A score to compare with, which takes no rank."""

    name: str
    score: float
    description: str


@dataclass(frozen=True)
class Teams:
    allowed: bool
    most_members: int


@dataclass(frozen=True)
class Challenge:
    """All that an organiser says.

    Args:
        actions: what becomes of one outside of the action space: "refuse" (nothing is stepped) or "clip".
        tolerance: by how much a replayed return may differ; 0: not at all.
    """

    name: str
    title: str
    description: str
    environment: str
    kwargs: dict[str, Any]
    max_episode_steps: int | None
    actions: str
    tolerance: float
    trials: Trials
    scoring: Scoring
    ranking: Ranking
    limits: Limits
    phases: tuple[Phase, ...]
    baselines: tuple[Baseline, ...]
    teams: Teams

    def phase(self, name: str) -> Phase:
        """The phase of this name.

        Raises:
            InvalidChallenge: there is none.
        """
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise InvalidChallenge(f"{self.name} has no phase {name!r:.50}, only {', '.join(p.name for p in self.phases)}")

    def phase_at(self, now: datetime) -> Phase | None:
        """The last phase in the file's order that is open; None: there is none."""
        return next((phase for phase in reversed(self.phases) if phase.is_open(now)), None)

    def to_map(self) -> dict[str, Any]:
        """As plain data, which `definition.from_map` reads."""
        told = dict(_plain(asdict(self)))
        if self.actions == REFUSE:
            del told["actions"]  # so that challenges from before there was a choice keep their digests
        return told

    def to_json(self) -> bytes:
        """The same as one canonical text."""
        return canonical(self.to_map())

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(self.to_json()).hexdigest()


def canonical(data: Any) -> bytes:
    """One JSON text for the same data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
