"""The command line's output: a submission's trials as a table, and a replay's verdict."""

from gymserve.grader.proofs.verification import Verdict
from gymserve.grader.scores.scoring import ScoringResult


def result_table(result: ScoringResult) -> str:
    """A table of the trials, with mean, spread and score."""
    lines = [f"{'trial':>5}  {'return':>12}  {'counts':>12}  {'steps':>7}  {'seconds':>8}  state"]
    for trial in result.trials:
        lines.append(
            f"{trial.number:>5}  {_number(trial.total):>12}  {_number(trial.value):>12}  {trial.steps:>7}  "
            f"{'–' if trial.seconds is None else format(trial.seconds, '.2f'):>8}  {trial.state}"
        )
    values = [trial.value for trial in result.trials if trial.value is not None]
    mean = sum(values) / len(values) if values else None
    lines += [
        "",
        f"mean {_number(mean)}, spread {_number(result.spread)}, standard error {_number(result.standard_error)}",
    ]
    lines.append(f"score {_number(result.score)}" + (f" ({result.reason})" if result.reason else ""))
    if result.secondary is not None:
        lines.append(f"secondary score {_number(result.secondary)}")
    return "\n".join(lines)


def verdict_text(verdict: Verdict) -> str:
    """A line on the verdict, and a second one with its reason."""
    speed = verdict.steps / verdict.seconds if verdict.seconds else 0.0
    text = f"{verdict.state}: {verdict.steps} steps replayed in {verdict.seconds:.2f} s ({speed:.0f} a second)"
    if verdict.tolerance:
        text += f", returns differ by at most {verdict.difference:g} (tolerance {verdict.tolerance:g})"
    return f"{text}\n{verdict.reason}" if verdict.reason else text


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
