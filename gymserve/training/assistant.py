"""The assistant: reads hyper-parameters and curves, and says what it saw, with the numbers, and what to change.

It knows rules and nothing else, each with its source:

PPO      Schulman et al. 2017, Proximal Policy Optimization Algorithms
37       Huang et al. 2022, The 37 Implementation Details of Proximal Policy Optimization
WHAT     Andrychowicz et al. 2021, What Matters in On-Policy Reinforcement Learning?
DQN      Mnih et al. 2015, Human-level control through deep reinforcement learning
MATTERS  Henderson et al. 2018, Deep Reinforcement Learning that Matters
TIPS     Stable-Baselines3's documentation, Reinforcement Learning Tips and Tricks
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PPO = "Schulman et al. 2017, Proximal Policy Optimization Algorithms"
DETAILS = "Huang et al. 2022, The 37 Implementation Details of Proximal Policy Optimization"
WHAT = "Andrychowicz et al. 2021, What Matters in On-Policy Reinforcement Learning?"
DQN = "Mnih et al. 2015, Human-level control through deep reinforcement learning"
MATTERS = "Henderson et al. 2018, Deep Reinforcement Learning that Matters"
TIPS = "Stable-Baselines3's documentation, Reinforcement Learning Tips and Tricks"
INFO, WARNING, SEVERE = "info", "warning", "severe"
PARTS = 20  # of a curve, which are compared by their means
HEADINGS = ("Hyper-parameters", "Curves", "What to change", "Steps")
LEAST = 8  # points of a curve, for anything to be said of it
EARLY = 0.1  # of a run: before that its returns say nothing yet

Curve = tuple[Sequence[float], Sequence[float]]
"""Timesteps and values, both (n,)."""


@dataclass(frozen=True)
class Finding:
    """One thing that was seen.

    Args:
        about: "hyper-parameters" or "curves".
        severity: info, warning or severe.
        seen: what, with the numbers.
        advice: what to change.
        why: the reason, and `source` where that stands.
    """

    name: str
    about: str
    severity: str
    seen: str
    advice: str
    why: str
    source: str


def findings(
    algorithm: str,
    hyperparameters: Mapping[str, Any],
    curves: Mapping[str, Curve],
    *,
    total_timesteps: int,
    n_envs: int = 1,
    threshold: float | None = None,
) -> list[Finding]:
    """What is to be said of a run, the gravest first.

    Args:
        hyperparameters: all of them, defaults too.
        curves: by the names of an experiment's metrics, such as `reward` and `train/approx_kl`.
        threshold: the mean return at which the environment counts as solved, if that is known.
    """
    told = [*_parameters(algorithm, hyperparameters, total_timesteps, n_envs)]
    rewards = curves.get("reward")
    if (parts := _parts(rewards)) is not None and rewards is not None and rewards[0][-1] >= EARLY * total_timesteps:
        told += _rewards(parts, threshold)
    told += _losses(curves)
    told += _exploration(curves, hyperparameters, total_timesteps)
    grave = (SEVERE, WARNING, INFO)
    return sorted(told, key=lambda finding: grave.index(finding.severity))


def spread(runs: Sequence[Curve]) -> Finding | None:
    """What the spread of several seeds' rewards says; None: there are fewer than two runs that can be compared."""
    ends = [float(parts[-PARTS // 4 :].mean()) for run in runs if (parts := _parts(run)) is not None]
    if len(ends) < 2:
        return None
    mean, deviation = float(np.mean(ends)), float(np.std(ends, ddof=1))
    wide = deviation > 0.3 * max(abs(mean), 1e-9)
    return Finding(
        "seed spread", "curves", WARNING if wide else INFO,
        f"{len(ends)} seeds ended at {mean:.4g} on average, with a standard deviation of {deviation:.3g}",
        "judge by at least five seeds, and report all of them" if wide else "the seeds agree",
        "one seed can look like another algorithm", MATTERS,
    )  # fmt: skip


def _parameters(algorithm: str, given: Mapping[str, Any], total: int, n_envs: int) -> Iterator[Finding]:
    rate = given.get("learning_rate")
    if isinstance(rate, (int, float)) and rate > 3e-3:
        yield Finding(
            "learning rate", "hyper-parameters", SEVERE if rate >= 0.01 else WARNING,
            f"learning_rate is {rate:g}", "try 3e-4, and go up or down by factors of three",
            "with Adam, rates above some 1e-3 make policies jump, and what was learnt is lost", WHAT,
        )  # fmt: skip
    gamma = given.get("gamma")
    if isinstance(gamma, (int, float)) and gamma < 0.9:
        yield Finding(
            "discount", "hyper-parameters", WARNING,
            f"gamma is {gamma:g}: rewards more than {1 / (1 - gamma):.0f} steps ahead hardly count",
            "0.99 for most tasks; 0.95 where only the next moments matter", "the horizon is about 1 / (1 - gamma)", WHAT,
        )  # fmt: skip
    clip = given.get("clip_range")
    if isinstance(clip, (int, float)) and not 0.05 <= clip <= 0.4:
        yield Finding(
            "clip range", "hyper-parameters", WARNING, f"clip_range is {clip:g}", "0.1 to 0.3",
            "it bounds how far one update moves the policy: too little learns nothing, too much forgets", PPO,
        )  # fmt: skip
    rollout = int(given.get("n_steps") or 0) * n_envs
    batch = given.get("batch_size")
    if algorithm == "PPO" and isinstance(batch, int) and rollout and rollout % batch:
        yield Finding(
            "batch size", "hyper-parameters", INFO,
            f"batch_size {batch} does not divide n_steps x n_envs = {rollout}", "a divisor of it",
            "the last batch of each pass is small, and its gradient noisy", DETAILS,
        )  # fmt: skip
    starts = given.get("learning_starts")
    if isinstance(starts, int) and starts > 0.5 * total:
        yield Finding(
            "learning starts", "hyper-parameters", SEVERE if starts >= total else WARNING,
            f"learning_starts is {starts:,} of {total:,} timesteps", "a hundredth to a tenth of the timesteps",
            "until then nothing is learnt", DQN,
        )  # fmt: skip


def _rewards(parts: np.ndarray, threshold: float | None) -> Iterator[Finding]:
    """Args: parts: (PARTS,) float64, means of equal parts of the curve."""
    quarter = PARTS // 4
    first, end = float(parts[:2].mean()), float(parts[-quarter:].mean())
    smooth = np.convolve(parts, np.ones(3) / 3, "valid")
    best = float(smooth.max())
    gained, scale = best - first, max(abs(best), abs(first), 1e-9)
    wobble = float(np.abs(np.diff(parts[PARTS // 2 :])).mean())
    if threshold is not None and end >= threshold:
        yield Finding(
            "solved", "curves", INFO, f"the last quarter's mean return is {end:.4g}; {threshold:g} counts as solved",
            "stop here, or try a harder task", "there is nothing to gain", TIPS,
        )  # fmt: skip
        return
    if gained > 0.2 * scale and best - end > 0.4 * gained:
        yield Finding(
            "collapse", "curves", SEVERE, f"the return rose from {first:.4g} to {best:.4g}, and fell to {end:.4g}",
            "lower the learning rate, let it fall to 0 (lin_…), and keep the best model by evaluating on the way",
            "updates that are too large leave the region in which the policy is good", PPO,
        )  # fmt: skip
    elif gained <= 0.1 * scale or end - first <= 0.1 * scale:
        yield Finding(
            "no progress", "curves", SEVERE,
            f"the return was {first:.4g} at the start and is {end:.4g} in the last quarter",
            "first a known good set (tuned: true), then more timesteps; look whether the reward tells the agent anything",
            "algorithms that learn show it early on tasks of this size", TIPS,
        )  # fmt: skip
    elif abs(end - parts[-2 * quarter : -quarter].mean()) < 0.05 * scale and wobble <= 0.25 * gained:
        yield Finding(
            "plateau", "curves", WARNING, f"the return has stayed at {end:.4g} for half of the run",
            "more exploration (ent_coef, exploration_final_eps), another learning rate, or more copies of the environment",
            "a policy that no longer changes learns nothing new", WHAT,
        )  # fmt: skip
    if gained > 0.2 * scale and wobble > 0.25 * gained:
        yield Finding(
            "instability", "curves", WARNING,
            f"in the second half the return changes by {wobble:.3g} from one part to the next, of {gained:.3g} gained in all",
            "a lower learning rate, larger batches, or more copies of the environment",
            "noisy gradients throw the policy about", WHAT,
        )  # fmt: skip


def _losses(curves: Mapping[str, Curve]) -> Iterator[Finding]:
    if (kl := _late(curves.get("train/approx_kl"))) is not None and kl > 0.03:
        yield Finding(
            "policy jumps", "curves", SEVERE if kl > 0.1 else WARNING,
            f"approx_kl is {kl:.3g} in the second half", "a lower learning rate, fewer epochs, or target_kl = 0.02",
            "0.01 to 0.02 is what good runs show; above, an update leaves what its data can vouch for", DETAILS,
        )  # fmt: skip
    clipped = _late(curves.get("train/clip_fraction"))
    if clipped is not None and clipped > 0.4:
        yield Finding(
            "clipping", "curves", WARNING, f"{clipped:.0%} of the updates are clipped in the second half",
            "a lower learning rate, or fewer epochs", "clipped samples teach nothing", PPO,
        )  # fmt: skip
    explained = _late(curves.get("train/explained_variance"))
    if explained is not None and explained < 0.1:
        yield Finding(
            "value function", "curves", WARNING, f"explained_variance is {explained:.2g} in the second half",
            "normalise rewards (normalize: true), a larger value network, or more epochs",
            "at 0 the value function predicts no better than a constant, and advantages are noise", DETAILS,
        )  # fmt: skip
    values = _parts(curves.get("train/value_loss"))
    if values is not None and values[-5:].mean() > 20 * max(float(np.median(values[:5])), 1e-9):
        yield Finding(
            "value loss", "curves", WARNING,
            f"value_loss rose from {np.median(values[:5]):.3g} to {values[-5:].mean():.3g}",
            "normalise rewards (normalize: true), or clip gradients closer (max_grad_norm)",
            "returns grow faster than the value function follows", DETAILS,
        )  # fmt: skip


def _exploration(curves: Mapping[str, Curve], given: Mapping[str, Any], total: int) -> Iterator[Finding]:
    rates = curves.get("rollout/exploration_rate")
    fraction = given.get("exploration_fraction")
    if rates is not None and isinstance(fraction, (int, float)) and fraction < 0.05:
        yield Finding(
            "exploration ends early", "curves", WARNING,
            f"after {fraction * total:,.0f} of {total:,} timesteps only {float(rates[1][-1]):.0%} of the actions are random",
            "exploration_fraction of 0.1 to 0.3", "what was never tried is never learnt", DQN,
        )  # fmt: skip
    entropy = _parts(curves.get("train/entropy_loss"))
    if entropy is not None and abs(entropy[0]) > 0.1 and abs(entropy[-5:].mean()) < 0.03 * abs(entropy[0]):
        yield Finding(
            "entropy", "curves", WARNING,
            f"the policy's entropy fell from {abs(entropy[0]):.3g} to {abs(entropy[-5:].mean()):.2g}",
            "ent_coef of 0.01, or a lower learning rate",
            "a policy that is sure of itself explores no more, whether it is right or not", WHAT,
        )  # fmt: skip


def _parts(curve: Curve | None) -> np.ndarray | None:
    """(PARTS,) float64: means of equal parts; None: there is too little."""
    if curve is None:
        return None
    values = np.asarray(curve[1], np.float64)
    values = values[np.isfinite(values)]
    if len(values) < LEAST:
        return None
    return np.array([part.mean() for part in np.array_split(np.repeat(values, PARTS), PARTS)])


def _late(curve: Curve | None) -> float | None:
    """The median of the second half; None: there is too little."""
    parts = _parts(curve)
    return None if parts is None else float(np.median(parts[PARTS // 2 :]))


def report(title: str, found: Sequence[Finding], headings: tuple[str, str, str, str] = HEADINGS) -> Iterator[str]:
    """The findings in prose: Markdown in four parts, a piece at a time."""
    yield f"# {title}\n\n"
    for number, about in enumerate(("hyper-parameters", "curves")):
        yield f"## {number + 1}. {headings[number]}\n\n"
        own = [each for each in found if each.about == about]
        for each in own:
            yield f"- **{each.name}** ({each.severity}): {each.seen}.\n"
        yield "\n" if own else "Nothing stands out.\n\n"
    yield f"## 3. {headings[2]}\n\n"
    for each in found:
        yield f"- {each.advice} — {each.why} ({each.source}).\n"
    yield "\n" if found else "Nothing: go on.\n\n"
    yield f"## 4. {headings[3]}\n\n"
    grave = [each for each in found if each.severity != INFO]
    for number, each in enumerate(grave, 1):
        yield f"{number}. {each.name}: {each.advice}.\n"
    yield f"{len(grave) + 1}. Change one thing at a time, and compare at least three seeds.\n"
