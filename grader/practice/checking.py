"""Checks a challenge before it opens: whether it can be created and replayed, how long it takes, and if cheating pays."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from gymserve.environments import Catalogue
from gymserve.grader.challenges import seeds
from gymserve.grader.challenges.challenge import Challenge
from gymserve.grader.challenges.states import TrialState, VerdictState
from gymserve.grader.practice import running
from gymserve.grader.proofs import replays, tables
from gymserve.grader.proofs.verification import Verdict
from gymserve.grader.scores import scoring
from gymserve.journal import Record, Reset, Step, read
from gymserve.system import interpreters

FEW_TRIALS = 20
LONG_SECONDS = 3600.0


@dataclass(frozen=True)
class Findings:
    """The result of a check.

    Args:
        verdict: the verdict of replaying the random agent's trials.
        result: the random agent's score, over as many trials as there was time for.
        played: the number of those trials.
        seconds: the estimated time that the random agent needs for a whole submission.
        longest_seconds: the estimated time if every trial lasts to its step limit; None without a step limit.
        warnings: problems for the organiser to consider.
    """

    verdict: Verdict
    result: scoring.ScoringResult
    played: int
    steps_per_second: float
    seconds: float
    longest_seconds: float | None
    warnings: tuple[str, ...]


def check(
    challenge: Challenge,
    folder: Path,
    catalogue: Catalogue,
    *,
    seconds: float = 20.0,
    progress: Callable[[str], None] = lambda text: None,
) -> Findings:
    """Creates the environment, lets a random agent play for about `seconds`, and replays the journal.

    Args:
        progress: called with what is being done.

    Raises:
        GymserveError: the environment cannot be created, or fails.
    """
    number = min(phase.trials for phase in challenge.phases)
    progress(f"a random agent plays, for at most about {seconds:g} s")
    began = time.perf_counter()
    plan = seeds.practice_plan(challenge, number)
    with interpreters.environment_preserved():
        journal = running.play(
            challenge,
            plan,
            running.agent("random"),
            folder,
            catalogue,
            until=lambda: time.perf_counter() - began > seconds,
        )
    spent = time.perf_counter() - began
    records = list(read(journal))
    played = [trial for trial in scoring.trials_of(records) if trial.state != TrialState.UNPLAYED]
    result = scoring.score_trials(played, challenge.scoring)
    progress(f"replaying {result.steps} steps")
    verdict, warning = replays.check(journal, catalogue.modules, tolerance=challenge.tolerance)
    findings = Findings(
        verdict=verdict,
        result=result,
        played=len(played),
        steps_per_second=result.steps / spent,
        seconds=spent / max(1, len(played)) * number,
        longest_seconds=_longest(challenge, catalogue, number * spent / max(1, result.steps)),
        warnings=(),
    )
    odd = _odd_variants(challenge, catalogue)  # after the agent, which needs a process as fresh as the replay's
    local = (warning,) if warning else ()
    return replace(findings, warnings=(*odd, *local, *_warnings(challenge, findings, records)))


def summary(findings: Findings) -> str:
    """The command line's text for a check."""
    longest = findings.longest_seconds
    lines = [
        f"replay: {tables.verdict_text(findings.verdict)}",
        f"speed: {findings.steps_per_second:.0f} steps a second with random actions",
        f"a submission: {findings.seconds:.1f} s with a random agent"
        + ("" if longest is None else f", {longest:.1f} s if each trial lasts to its horizon"),
        "",
        f"a random agent over {findings.played} trials:",
        tables.result_table(findings.result),
    ]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in findings.warnings)])


def _odd_variants(challenge: Challenge, catalogue: Catalogue) -> list[str]:
    """A warning for each variant with other spaces than the first, since agents only see the first one's."""
    plan = seeds.practice_plan(challenge, len(challenge.trials.variants))
    recipe = running.recipe(challenge, plan, catalogue)
    spaces = []
    for trial in range(len(plan)):
        env = catalogue.make(recipe.for_trial(trial))
        spaces.append((env.action_space, env.observation_space))
        env.close()
    return [
        f"variant {number} of the trials has other spaces than the first, but agents see only the first one's"
        for number, pair in enumerate(spaces, 1)
        if pair != spaces[0]
    ]


def _longest(challenge: Challenge, catalogue: Catalogue, seconds: float) -> float | None:
    """`seconds` times the step limit of an episode, or None without a limit."""
    limit = challenge.max_episode_steps or catalogue.resolve(challenge.environment).spec.max_episode_steps
    return None if limit is None else seconds * limit


def _warnings(challenge: Challenge, findings: Findings, records: list[Record]) -> Iterator[str]:
    for phase in challenge.phases:
        if phase.trials < FEW_TRIALS:
            yield (
                f"phase {phase.name} has {phase.trials} trials: with fewer than {FEW_TRIALS}, whoever tries most often "
                "wins by luck"
            )
    verdict, longest, limit = findings.verdict, findings.longest_seconds, challenge.limits.submission_seconds
    if verdict.state != VerdictState.VERIFIED:
        yield (
            "scores cannot be verified by replaying: submissions will be not replayable, and wait until you accept or "
            "void each"
        )
    if longest is None:
        yield "the environment has no step limit, so a trial may never end: set max_episode_steps"
    elif limit is not None and longest > limit:
        yield f"a submission may need {longest:.0f} s or more, but limits.submission_seconds allows {limit:g}"
    elif longest > LONG_SECONDS:
        yield f"a submission may take {longest / 3600:.1f} hours on this machine"
    if any(trial.state == TrialState.FAILED for trial in findings.result.trials):
        yield "random actions give rewards that are not finite, which makes trials fail"
    if challenge.scoring.cut == "stands" and _cutting_pays(challenge, findings, records):
        yield 'an agent that resets at once beats a random agent: set scoring.cut = "worst" and scoring.worst'


def _cutting_pays(challenge: Challenge, findings: Findings, records: list[Record]) -> bool:
    """Whether trials that are reset after the first step have better values than the random agent's."""
    firsts = [after for before, after in pairwise(records) if isinstance(before, Reset) and isinstance(after, Step)]
    totals = [trial.total for trial in findings.result.trials if trial.total is not None]
    if not firsts or not totals:
        return False
    gain = statistics.fmean(step.reward for step in firsts) - statistics.fmean(totals)
    return gain > 0 if challenge.scoring.better == "higher" else gain < 0
