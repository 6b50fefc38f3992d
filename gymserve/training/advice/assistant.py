"""The assistant: reads hyper-parameters and curves, and reports what it sees, with numbers, and what to change.

It only knows rules; their texts and sources are in `phrases.toml`.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gymserve.protocol.wire import JSONObject, JSONValue

INFO, WARNING, SEVERE = "info", "warning", "severe"
ENGLISH, CHINESE = "en", "zh"
PARTS = 20  # of a curve, compared by their means
LEAST = 8  # points needed to judge a curve
SAME = 30  # episodes with an identical return needed to report that
EARLY = 0.1  # of a run, in which returns say nothing yet
EXPLORERS = ("ent_coef", "exploration_fraction", "exploration_final_eps", "use_sde")
LAYERS = {  # of Stable-Baselines3's policies without net_arch
    "SAC": (256, 256), "TQC": (256, 256), "CrossQ": (256, 256), "TD3": (400, 300), "DDPG": (400, 300),
}  # fmt: skip
USUAL = (64, 64)
SHARED = ("PPO", "A2C", "TRPO", "MaskablePPO", "RecurrentPPO")  # policy and value may share layers

Curve = tuple[Sequence[float], Sequence[float]]
"""Timesteps and values, both (n,)."""


@dataclass(frozen=True)
class Finding:
    """One observation about a run.

    Args:
        about: "hyper-parameters" or "curves".
        severity: info, warning or severe.
        seen: what was observed, with numbers.
        advice: what to change.
        why: the reason, and `source` its reference.
    """

    name: str
    about: str
    severity: str
    seen: str
    advice: str
    why: str
    source: str


class RuleResult(NamedTuple):
    """A rule's result: the name of its phrases, its severity, and the numbers for the text."""

    phrase: str
    severity: str
    numbers: Mapping[str, object]

    def phrased(self, language: str) -> Finding:
        """Fill in the phrases in a language."""
        known = phrases()["finding"][self.phrase]
        name, *texts = known[language]
        seen, advice, why = (text.format_map(self.numbers) for text in texts)
        source = phrases()["sources"][known["source"]]
        return Finding(name, known["about"], self.severity, seen, advice, why, source)


@dataclass(frozen=True)
class TrainingRun:
    """What a run used.

    Args:
        hyperparameters: all of them, including defaults.
        threshold: the mean return at which the environment counts as solved, if known.
        diverged: whether it failed because its numbers became NaN or infinite.
    """

    algorithm: str
    hyperparameters: Mapping[str, object]
    total_timesteps: int
    n_envs: int = 1
    threshold: float | None = None
    diverged: bool = False


@cache
def phrases() -> JSONObject:
    """Return the content of `phrases.toml`."""
    return tomllib.loads((Path(__file__).parent / "phrases.toml").read_text())


def _result(phrase: str, severity: str, **numbers: object) -> RuleResult:
    return RuleResult(phrase, severity, numbers)


def findings(run: TrainingRun, curves: Mapping[str, Curve], language: str = ENGLISH) -> list[Finding]:
    """Return the findings on a run, gravest first.

    Args:
        curves: by metric name, such as `reward` and `train/approx_kl`.
        language: "en" or "zh".
    """
    algorithm, hyperparameters, total = run.algorithm, run.hyperparameters, run.total_timesteps
    seen = [_result("divergence", SEVERE, rate=hyperparameters.get("learning_rate"))] if run.diverged else []
    seen += [*_parameters(algorithm, hyperparameters, total, run.n_envs)]
    seen += _network(algorithm, hyperparameters)
    rewards = curves.get("reward")
    if (parts := _parts(rewards)) is not None and rewards is not None:
        of_rewards = [*_constant(rewards, run.threshold)]
        if not of_rewards and rewards[0][-1] >= EARLY * total:
            of_rewards = [*_rewards(parts, run.threshold, hyperparameters)]
        seen += [*of_rewards, *_fitting_network(algorithm, hyperparameters, {each.phrase for each in of_rewards})]
    seen += _losses(curves)
    seen += _exploration(curves, hyperparameters, total)
    grave = (SEVERE, WARNING, INFO)
    return [each.phrased(language) for each in sorted(seen, key=lambda each: grave.index(each.severity))]


def spread(runs: Sequence[Curve]) -> Finding | None:
    """Judge the spread of several seeds' rewards; None with fewer than two comparable runs."""
    ends = [float(parts[-PARTS // 4 :].mean()) for run in runs if (parts := _parts(run)) is not None]
    if len(ends) < 2:
        return None
    numbers = {"count": len(ends), "mean": float(np.mean(ends)), "deviation": float(np.std(ends, ddof=1))}
    wide = numbers["deviation"] > 0.3 * max(abs(numbers["mean"]), 1e-9)
    return RuleResult("seed-spread-wide" if wide else "seed-spread", WARNING if wide else INFO, numbers).phrased(
        ENGLISH
    )


def _parameters(algorithm: str, values: Mapping[str, object], total: int, n_envs: int) -> Iterator[RuleResult]:
    if (rate := _number(values, "learning_rate")) is not None and algorithm != "ARS":
        if rate > 3e-3:
            yield _result("learning-rate-high", SEVERE if rate >= 0.01 else WARNING, rate=rate)
        elif rate < 1e-5:
            yield _result("learning-rate-low", SEVERE if rate < 1e-6 else WARNING, rate=rate)
    if (gamma := _number(values, "gamma")) is not None:
        if gamma < 0.9:
            yield _result("discount-low", WARNING, gamma=gamma, horizon=1 / (1 - gamma))
        elif gamma > 0.9995:
            yield _result("discount-high", WARNING, gamma=gamma)
    if (clip := _number(values, "clip_range")) is not None and not 0.05 <= clip <= 0.4:
        yield _result("clip-range", WARNING, clip=clip)
    if (bonus := _number(values, "ent_coef")) is not None and bonus > 0.1:
        yield _result("entropy-bonus", WARNING, bonus=bonus)
    if (epsilon := _number(values, "exploration_final_eps")) is not None and epsilon > 0.2:
        yield _result("exploration-lasts", WARNING, epsilon=epsilon)
    yield from _batches(algorithm, values, int(_number(values, "n_steps") or 0) * n_envs)
    yield from _replay(values, total)


def _batches(algorithm: str, values: Mapping[str, object], rollout: int) -> Iterator[RuleResult]:
    batch = values.get("batch_size")
    if algorithm in SHARED and algorithm != "A2C" and 0 < rollout < 64:
        yield _result("rollout-short", WARNING, rollout=rollout)
    if not isinstance(batch, int) or batch < 1:
        return
    if batch < 16:
        yield _result("batch-size-small", SEVERE if batch < 4 else WARNING, batch=batch)
    elif batch > 2048:
        yield _result("batch-size-large", WARNING, batch=batch)
    elif algorithm == "PPO" and rollout and rollout % batch:
        yield _result("batch-size-uneven", INFO, batch=batch, rollout=rollout)


def _replay(values: Mapping[str, object], total: int) -> Iterator[RuleResult]:
    size = values.get("buffer_size")
    wanted = min(100_000, max(1000, total))
    if isinstance(size, int) and size < min(wanted, total) / 10:
        yield _result("buffer-small", SEVERE if size < 100 else WARNING, size=size, wanted=wanted)
    elif isinstance(size, int) and size > 5_000_000:
        yield _result("buffer-large", WARNING, size=size)
    starts = values.get("learning_starts")
    if isinstance(starts, int) and starts > 0.5 * total:
        yield _result("learning-starts", SEVERE if starts >= total else WARNING, starts=starts, total=total)


def _layers(algorithm: str, values: Mapping[str, JSONValue]) -> list[int]:
    """Return the sizes of the policy network's layers; empty if unknown."""
    chosen = (values.get("policy_kwargs") or {}).get("net_arch") if algorithm else []
    if chosen is None:
        chosen = LAYERS.get(algorithm, USUAL)
    if isinstance(chosen, Mapping):
        chosen = chosen.get("pi", ())
    return [each for each in chosen if isinstance(each, int)]


def _network(algorithm: str, values: Mapping[str, object]) -> Iterator[RuleResult]:
    layers = _layers(algorithm, values)
    numbers = {"layers": _written(layers), "wanted": LAYERS.get(algorithm, USUAL)[0]}
    if layers and max(layers) < 16:
        yield RuleResult("network-small", WARNING, numbers)
    elif layers and (max(layers) > 1024 or len(layers) > 4):
        yield RuleResult("network-large", WARNING, numbers)


def _fitting_network(algorithm: str, values: Mapping[str, object], seen: set[str]) -> Iterator[RuleResult]:
    """Judge the network by the curve of rewards."""
    layers = _layers(algorithm, values)
    if not layers or max(layers) < 16:
        return
    if seen & {"no-progress", "plateau", "constant"} and max(layers) < 512:
        yield _result("network-more", INFO, layers=_written(layers), wanted=2 * max(layers))
    elif seen & {"collapse", "instability"} and algorithm in SHARED:
        separate = f"net_arch = {{'pi': {layers}, 'vf': {layers}}}"
        yield _result("network-steady", INFO, layers=_written(layers), separate=separate)


def _written(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))


def _constant(rewards: Curve, threshold: float | None) -> Iterator[RuleResult]:
    values = np.asarray(rewards[1], np.float64)
    value = float(values[0])
    if len(values) >= SAME and bool((values == value).all()) and (threshold is None or value < threshold):
        yield _result("constant", SEVERE, value=value, count=len(values))


def _rewards(parts: np.ndarray, threshold: float | None, hyperparameters: Mapping[str, object]) -> Iterator[RuleResult]:
    """Judge the curve of rewards.

    Args:
        parts: (PARTS,) float64, means of equal parts of the curve.
    """
    quarter = PARTS // 4
    first, end = float(parts[:2].mean()), float(parts[-quarter:].mean())
    smooth = np.convolve(parts, np.ones(3) / 3, "valid")
    best = float(smooth.max())
    gained, scale = best - first, max(abs(best), abs(first), 1e-9)
    wobble = float(np.abs(np.diff(parts[PARTS // 2 :])).mean())
    if threshold is not None and end >= threshold:
        yield _result("solved", INFO, end=end, threshold=threshold)
        return
    if gained > 0.2 * scale and best - end > 0.4 * gained:
        yield _result("collapse", SEVERE, first=first, best=best, end=end)
    elif gained <= 0.1 * scale or end - first <= 0.1 * scale:
        yield _result("no-progress", SEVERE, first=first, end=end)
    elif abs(end - parts[-2 * quarter : -quarter].mean()) < 0.05 * scale and wobble <= 0.25 * gained:
        own = [name for name in EXPLORERS if name in hyperparameters]
        yield _result("plateau", WARNING, end=end, explore=f" ({', '.join(own)})" if own else "")
    if gained > 0.2 * scale and wobble > 0.25 * gained:
        yield _result("instability", WARNING, wobble=wobble, gained=gained)


def _losses(curves: Mapping[str, Curve]) -> Iterator[RuleResult]:
    if (kl := _late(curves.get("train/approx_kl"))) is not None and kl > 0.03:
        yield _result("policy-jumps", SEVERE if kl > 0.1 else WARNING, kl=kl)
    clipped = _late(curves.get("train/clip_fraction"))
    if clipped is not None and clipped > 0.4:
        yield _result("clipping", WARNING, clipped=clipped)
    explained = _late(curves.get("train/explained_variance"))
    if explained is not None and explained < 0.1:
        yield _result("value-function", WARNING, explained=explained)
    values = _parts(curves.get("train/value_loss"))
    if values is not None and values[-5:].mean() > 20 * max(float(np.median(values[:5])), 1e-9):
        yield _result("value-loss", WARNING, first=float(np.median(values[:5])), end=float(values[-5:].mean()))


def _exploration(curves: Mapping[str, Curve], values: Mapping[str, object], total: int) -> Iterator[RuleResult]:
    rates = curves.get("rollout/exploration_rate")
    fraction = values.get("exploration_fraction")
    if rates is not None and isinstance(fraction, (int, float)) and fraction < 0.05:
        rate = float(rates[1][-1])
        yield _result("exploration-ends", WARNING, steps=fraction * total, total=total, rate=rate)
    entropy = _parts(curves.get("train/entropy_loss"))
    if entropy is not None and abs(entropy[0]) > 0.1 and abs(entropy[-5:].mean()) < 0.03 * abs(entropy[0]):
        yield _result("entropy", WARNING, first=abs(entropy[0]), end=abs(entropy[-5:].mean()))


def _parts(curve: Curve | None) -> np.ndarray | None:
    """Return the means of equal parts, (PARTS,) float64; None if there are too few points."""
    if curve is None:
        return None
    values = np.asarray(curve[1], np.float64)
    values = values[np.isfinite(values)]
    if len(values) < LEAST:
        return None
    return np.array([part.mean() for part in np.array_split(np.repeat(values, PARTS), PARTS)])


def _late(curve: Curve | None) -> float | None:
    """Return the median of the second half; None if there are too few points."""
    parts = _parts(curve)
    return None if parts is None else float(np.median(parts[PARTS // 2 :]))


def _number(values: Mapping[str, JSONValue], name: str) -> float | None:
    value = values.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def report(title: str, results: Sequence[Finding], language: str = ENGLISH) -> Iterator[str]:
    """Write the findings as Markdown in four parts, piece by piece."""
    words = phrases()["report"][language]
    texts = [{**vars(each), "severity": words["severities"][each.severity]} for each in results]
    yield f"# {title}\n\n"
    for number, about in enumerate(("hyper-parameters", "curves")):
        yield f"## {number + 1}. {words['parts'][number]}\n\n"
        own = [words["seen"].format_map(each) for each in texts if each["about"] == about]
        yield from own
        yield "\n" if own else f"{words['nothing_seen']}\n\n"
    yield f"## 3. {words['parts'][2]}\n\n"
    yield from (words["changed"].format_map(each) for each in texts)
    yield "\n" if results else f"{words['nothing_to_change']}\n\n"
    yield f"## 4. {words['parts'][3]}\n\n"
    grave = [text for text, each in zip(texts, results, strict=True) if each.severity != INFO]
    for number, each in enumerate(grave, 1):
        yield words["step"].format_map({**each, "number": number})
    yield words["last_step"].format(number=len(grave) + 1)
