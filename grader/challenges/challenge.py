"""A challenge: an environment with secret trials, and the rules for scoring, ranking and dates."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime

from gymserve.grader.challenges.fields import InvalidChallenge
from gymserve.protocol.wire import JSONObject, JSONValue

REFUSE, CLIP = "refuse", "clip"
PRACTICE, PUBLIC, FINAL = "practice", "public", "final"


@dataclass(frozen=True)
class Variant:
    """The reset options and environment kwargs of some of the trials."""

    options: JSONObject | None
    kwargs: JSONObject


@dataclass(frozen=True)
class TrialOptions:
    """The trials of a submission, which cycle through the variants. With `fresh`, each submission has its own seeds."""

    number: int
    fresh: bool
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Scoring:
    """How a score is computed from the returns of trials.

    Args:
        function: the function of the trials' values: mean, sum, median, min, or the organiser's `module:function`.
        better: whether "higher" or "lower" scores are better.
        secondary: the function for the secondary score, or "steps", or "" for none.
        worst: the value of a trial that failed; None gives the submission no score.
        unplayed: the value of a trial that was not played: "worst" or a number.
        cut: the value of a trial that the agent reset early: "stands" for its return, or "worst".
    """

    function: str
    better: str
    secondary: str
    secondary_better: str
    worst: float | None
    unplayed: float | str
    cut: str


@dataclass(frozen=True)
class RankingOptions:
    """How submissions are ranked, see `grader/scores/ranking.py`; the leaderboard is hidden until `hidden_until`."""

    rule: str
    ties: str
    qualifying_score: float | None
    hidden_until: datetime | None


@dataclass(frozen=True)
class ChallengeLimits:
    """Limits, or None for no limit. An agent has `step_seconds` per step, plus `overage_seconds` in total."""

    submissions_per_day: int | None
    submissions: int | None
    concurrent: int | None
    step_seconds: float | None
    overage_seconds: float
    submission_seconds: float | None
    idle_seconds: float | None


@dataclass(frozen=True)
class Phase:
    """A period in which submissions are accepted, with its own seeds and leaderboard.

    Args:
        kind: "practice" (with public seeds, and without limits on submissions), "public", or "final" (which needs the
            challenge's qualifying score, if there is one, in a public phase).
        opens: None if it has always been open.
        closes: None if it never closes.
        trials: the number of trials in this phase.
    """

    name: str
    kind: str
    opens: datetime | None
    closes: datetime | None
    trials: int
    hidden_until: datetime | None

    def is_open(self, now: datetime) -> bool:
        """Whether submissions may begin."""
        return (self.opens is None or self.opens <= now) and (self.closes is None or now < self.closes)

    def is_over(self, now: datetime) -> bool:
        """Whether no more submissions may begin. Earlier ones may continue."""
        return self.closes is not None and self.closes <= now


@dataclass(frozen=True)
class Baseline:
    """A reference score, which is shown on the leaderboard without a rank."""

    name: str
    score: float
    description: str


@dataclass(frozen=True)
class TeamOptions:
    """Whether there are teams, and their size."""

    allowed: bool
    most_members: int


@dataclass(frozen=True)
class Challenge:
    """The organiser's definition of a challenge.

    Args:
        actions: how actions outside the action space are handled: "refuse" (without a step) or "clip".
        tolerance: by how much a replayed return may differ; 0 for not at all.
    """

    name: str
    title: str
    description: str
    environment: str
    kwargs: JSONObject
    max_episode_steps: int | None
    actions: str
    tolerance: float
    trials: TrialOptions
    scoring: Scoring
    ranking: RankingOptions
    limits: ChallengeLimits
    phases: tuple[Phase, ...]
    baselines: tuple[Baseline, ...]
    teams: TeamOptions

    def phase(self, name: str) -> Phase:
        """The phase with this name.

        Raises:
            InvalidChallenge: there is no such phase.
        """
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise InvalidChallenge(f"{self.name} has no phase {name!r:.50}, only {', '.join(p.name for p in self.phases)}")

    def phase_at(self, now: datetime) -> Phase | None:
        """The open phase, or None. If several are open, the last one in the definition."""
        return next((phase for phase in reversed(self.phases) if phase.is_open(now)), None)

    def to_dict(self) -> JSONObject:
        """The definition as plain data, for `definition.from_dict`."""
        fields = dict(_plain(asdict(self)))
        if self.actions == REFUSE:
            del fields["actions"]  # so that definitions from before this option keep their digests
        return fields

    def to_json(self) -> bytes:
        """The definition as canonical JSON."""
        return canonical(self.to_dict())

    @property
    def digest(self) -> str:
        """The SHA-256 of the definition."""
        return hashlib.sha256(self.to_json()).hexdigest()


def canonical(data: object) -> bytes:
    """Canonical JSON: equal data gives equal text."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: object) -> JSONValue:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
