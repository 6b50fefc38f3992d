"""Reads challenges from TOML files, from TOML text, or from plain data, for example a request's."""

import tomllib
from collections.abc import Collection
from pathlib import Path

from gymserve.grader.challenges.challenge import (
    CLIP,
    FINAL,
    PRACTICE,
    PUBLIC,
    REFUSE,
    Baseline,
    Challenge,
    ChallengeLimits,
    Phase,
    RankingOptions,
    Scoring,
    TeamOptions,
    TrialOptions,
    Variant,
)
from gymserve.grader.challenges.fields import Fields, InvalidChallenge, Source
from gymserve.grader.challenges.toml_lines import lines_of
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.text import TOO_DEEP, check_all

FUNCTIONS = ("mean", "sum", "median", "min")
DIRECTIONS = ("higher", "lower")
KINDS = (PRACTICE, PUBLIC, FINAL)
_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
_FUNCTION = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
_NAME_RULE = "at most 63 lower-case letters, digits, - and _"


def load(path: Path, *, functions: Collection[str] | None = None) -> Challenge:
    """The challenge in a TOML file, see `read`.

    Raises:
        InvalidChallenge: the definition is invalid; the message names the file and the line.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidChallenge(f"{path} cannot be read: {error}") from error
    return read(text, str(path), functions=functions)


def read(text: str, name: str = "the challenge", *, functions: Collection[str] | None = None) -> Challenge:
    """The challenge that a TOML text defines.

    Args:
        name: the text's name in error messages.
        functions: the scoring functions, as `module:function`, that it may use; None allows any, for trusted text.

    Raises:
        InvalidChallenge: the definition is invalid; the message has `name` and the line.
    """
    try:
        data = tomllib.loads(text)
        check_all(data)
    except (tomllib.TOMLDecodeError, InvalidRequest) as error:
        raise InvalidChallenge(f"{name}: {error}") from error
    except RecursionError:
        raise InvalidChallenge(f"{name}: {TOO_DEEP}") from None
    return _challenge(Fields(data, Source(name, lines_of(text))), functions)


def from_dict(data: object, name: str = "the challenge", *, functions: Collection[str] = ()) -> Challenge:
    """The challenge that plain data, as in TOML, defines. It may use no scoring functions but `functions`.

    Raises:
        InvalidChallenge: the definition is invalid; the message names the field.
    """
    return _challenge(Fields(data, Source(name)), functions)


def _challenge(fields: Fields, functions: Collection[str] | None) -> Challenge:
    name = fields.text("name", pattern=_NAME, wanted=_NAME_RULE)
    trials = _trials(fields.table("trials"))
    challenge = Challenge(
        name=name,
        title=fields.text("title", name),
        description=fields.text("description", ""),
        environment=fields.text("environment", pattern=r"[A-Za-z0-9_./-]{1,100}", wanted="an id such as CartPole-v1"),
        kwargs=fields.plain("kwargs"),
        max_episode_steps=fields.integer("max_episode_steps", None, least=1),
        actions=fields.choice("actions", (REFUSE, CLIP), REFUSE),
        tolerance=fields.number("tolerance", 0.0, least=0.0),
        trials=trials,
        scoring=_scoring(fields.table("scoring"), functions),
        ranking=_ranking(fields.table("ranking")),
        limits=_limits(fields.table("limits")),
        phases=_phases(fields, trials.number),
        baselines=tuple(_baseline(each) for each in fields.tables("baselines")),
        teams=_teams(fields.table("teams")),
    )
    if challenge.ranking.ties == "secondary" and not challenge.scoring.secondary:
        raise fields.source.wrong(("ranking", "ties"), "secondary needs scoring.secondary")
    fields.end()
    return challenge


def _trials(fields: Fields) -> TrialOptions:
    number = fields.integer("number", 20, least=1, most=10_000)
    fresh = fields.flag("fresh", False)
    variants = []
    for each in fields.tables("variants"):
        variants.append(Variant(each.plain("options") or None, each.plain("kwargs")))
        each.end()
    fields.end()
    return TrialOptions(number, fresh, tuple(variants) or (Variant(None, {}),))


def _function(fields: Fields, name: str, default: str, known: Collection[str], allowed: Collection[str] | None) -> str:
    wanted = f"one of {', '.join(known)}, or module:function"
    value = fields.text(name, default, pattern=rf"{'|'.join(known)}|{_FUNCTION}|", wanted=wanted)
    if ":" in value and allowed is not None and value not in allowed:
        raise fields.wrong(name, f"{value} is not among the functions that this server allows")
    return value


def _scoring(fields: Fields, functions: Collection[str] | None) -> Scoring:
    better = fields.choice("better", DIRECTIONS, "higher")
    scoring = Scoring(
        function=_function(fields, "function", "mean", FUNCTIONS, functions) or "mean",
        better=better,
        secondary=_function(fields, "secondary", "", (*FUNCTIONS, "steps"), functions),
        secondary_better=fields.choice("secondary_better", DIRECTIONS, better),
        worst=fields.number("worst", None),
        unplayed=fields.number_or("unplayed", "worst", "worst"),
        cut=fields.choice("cut", ("stands", "worst"), "stands"),
    )
    fields.end()
    return scoring


def _ranking(fields: Fields) -> RankingOptions:
    ranking = RankingOptions(
        rule=fields.choice("rule", ("best", "last"), "best"),
        ties=fields.choice("ties", ("shared", "earlier", "secondary"), "shared"),
        qualifying_score=fields.number("qualifying_score", None),
        hidden_until=fields.moment("hidden_until"),
    )
    fields.end()
    return ranking


def _limits(fields: Fields) -> ChallengeLimits:
    limits = ChallengeLimits(
        submissions_per_day=fields.integer("submissions_per_day", None, least=1),
        submissions=fields.integer("submissions", None, least=1),
        concurrent=fields.integer("concurrent", None, least=1),
        step_seconds=fields.number("step_seconds", None, least=0.0),
        overage_seconds=fields.number("overage_seconds", 0.0, least=0.0),
        submission_seconds=fields.number("submission_seconds", None, least=0.0),
        idle_seconds=fields.number("idle_seconds", None, least=0.0),
    )
    fields.end()
    return limits


def _phases(fields: Fields, number: int) -> tuple[Phase, ...]:
    phases: list[Phase] = []
    for each in fields.tables("phases"):
        phase = Phase(
            name=each.text("name", pattern=_NAME, wanted=_NAME_RULE),
            kind=each.choice("kind", KINDS, PUBLIC),
            opens=each.moment("opens"),
            closes=each.moment("closes", whole_day=True),
            trials=each.integer("trials", number, least=1, most=10_000),
            hidden_until=each.moment("hidden_until"),
        )
        each.end()
        if phase.opens is not None and phase.closes is not None and phase.closes <= phase.opens:
            raise each.wrong("closes", "must be later than opens")
        if any(phase.name == other.name for other in phases):
            raise each.wrong("name", f"there are two phases {phase.name}, which would share their seeds")
        phases.append(phase)
    return tuple(phases) or (Phase(PUBLIC, PUBLIC, None, None, number, None),)


def _baseline(fields: Fields) -> Baseline:
    baseline = Baseline(fields.text("name"), fields.number("score", 0.0), fields.text("description", ""))
    fields.end()
    return baseline


def _teams(fields: Fields) -> TeamOptions:
    teams = TeamOptions(fields.flag("allowed", False), fields.integer("most_members", 5, least=1))
    fields.end()
    return teams
