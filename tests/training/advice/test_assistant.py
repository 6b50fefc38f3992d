"""The assistant detects what is wrong with badly trained runs, and reports nothing severe about a good one."""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gymserve.training.advice import assistant
from gymserve.training.advice.assistant import SEVERE, Finding, TrainingRun, findings
from gymserve.training.plan import algorithms
from tests.training.advice.curves.make import CASES
from tests.training.conftest import Trainer

CURVES = Path(__file__).parent / "curves"
BAD = {  # runs recorded by advice/curves/make.py
    "rate-too-high": {"learning rate", "policy jumps"},
    "collapse": {"learning rate", "collapse"},
    "no-exploration": {"exploration ends early"},
    "never-starts": {"learning starts", "no progress"},
    "clipped-away": {"clip range", "no progress"},
    "plateau": {"discount", "plateau"},
    "ceiling": {"plateau"},  # no episode may be long enough
}
SOLVED = 475.0  # CartPole-v1


def recorded(case: str) -> list[Finding]:
    """Return the findings on a recorded run."""
    run = json.loads((CURVES / f"{case}.json").read_text())
    known = algorithms.find(run["algorithm"]).defaults | run["hyperparameters"]
    sizes = {name: run[name] for name in ("total_timesteps", "n_envs")}
    return findings(TrainingRun(run["algorithm"], known, threshold=SOLVED, **sizes), run["curves"])


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_run_is_detected(fault: str) -> None:
    results = recorded(fault)
    assert BAD[fault] <= {each.name for each in results}, results
    assert all(each.source and each.advice and any(letter.isdigit() for letter in each.seen) for each in results)


def test_every_recorded_run_can_be_made_again() -> None:
    assert {file.stem for file in CURVES.glob("*.json")} == set(CASES) == {*BAD, "good"}


def test_nothing_severe_is_reported_on_a_good_run() -> None:
    assert not [each for each in recorded("good") if each.severity == SEVERE or each.name == "plateau"]


def advice(trainer: Trainer, **settings: Any) -> list[dict[str, Any]]:
    name = trainer.started(seed=1, **settings)
    trainer.until(name, "completed")
    answer = trainer.get(f"/experiments/{name}/advice")
    assert answer.status == 200, answer.body
    results = answer.json["findings"]
    report = trainer.get(f"/experiments/{name}/advice?format=markdown").body.decode()
    assert report.count("\n## ") == 4 and all(each["seen"] in report for each in results)
    return list(results)


@pytest.mark.long
def test_a_live_run_is_detected_like_a_recorded_one(trainer: Trainer) -> None:
    results = advice(trainer, **CASES["never-starts"])
    assert BAD["never-starts"] <= {each["name"] for each in results}, results
    assert [each["name"] for each in results] == [each.name for each in recorded("never-starts")]


def curve(*values: float) -> tuple[list[float], list[float]]:
    return list(np.arange(len(values)) * 100.0), list(values)


def named(rewards: list[float], **more: Any) -> set[str]:
    return {each.name for each in findings(TrainingRun("PPO", {}, 1000, **more), {"reward": curve(*rewards)})}


def test_a_rise_that_is_lost_again_is_a_collapse() -> None:
    assert "collapse" in named([*np.linspace(10, 200, 50), *np.linspace(200, 20, 50)])


def test_a_constant_return_is_a_plateau_unless_it_is_solved() -> None:
    rewards = [*np.linspace(10, 200, 30), *[200.0] * 100]
    assert named(rewards) == {"plateau", "architecture"} and named(rewards, threshold=195.0) == {"solved"}


def test_a_jumping_return_is_unstable() -> None:
    rewards = [*np.linspace(10, 100, 50), *([20.0] * 8 + [180.0] * 8) * 4]
    assert "instability" in named(rewards)


def test_a_run_that_has_just_started_is_not_judged() -> None:
    rewards = {"reward": curve(*[10.0] * 20)}
    assert [each.name for each in findings(TrainingRun("PPO", {}, 19_000), rewards)] == [
        "no progress",
        "architecture",
    ]
    assert findings(TrainingRun("PPO", {}, 20_000), rewards) == []


def test_identical_returns_are_reported_from_the_start() -> None:
    rewards = {"reward": curve(*[-100.0] * 60)}
    results = findings(TrainingRun("SAC", {}, 10**6), rewards)
    assert [each.name for each in results] == ["no signal", "architecture"] and "all 60 episodes" in results[0].seen
    assert findings(TrainingRun("SAC", {}, 10**6, threshold=-100.0), rewards) == []


@pytest.mark.parametrize(
    ("algorithm", "name", "low", "right", "high"),
    [
        ("SAC", "learning_rate", 1e-8, 3e-4, 0.02),
        ("PPO", "gamma", 0.5, 0.99, 1.0),
        ("DQN", "batch_size", 1, 32, 100_000),
        ("DQN", "buffer_size", 1, 100_000, 10**8),
        ("PPO", "clip_range", 0.001, 0.2, 5.0),
        ("PPO", "n_steps", 4, 2048, None),
        ("PPO", "ent_coef", None, 0.0, 1.0),
        ("DQN", "exploration_final_eps", None, 0.05, 0.9),
        ("DQN", "learning_starts", None, 100, 60_000),
        ("PPO", "policy_kwargs", {"net_arch": [4]}, {"net_arch": [64, 64]}, {"net_arch": {"pi": [4096], "vf": [64]}}),
    ],
)
def test_a_value_is_judged_on_both_sides(algorithm: str, name: str, low: Any, right: Any, high: Any) -> None:
    defaults = algorithms.find(algorithm).defaults
    assert not findings(TrainingRun(algorithm, defaults, 100_000), {})
    for value in (low, right, high):
        if value is None:
            continue
        results = findings(TrainingRun(algorithm, {**defaults, name: value}, 100_000), {})
        assert bool(results) == (value is not right), (value, results)


@pytest.mark.parametrize("algorithm", ["PPO", "A2C", "DQN", "SAC", "TD3"])
def test_advice_names_only_parameters_of_the_algorithm(algorithm: str) -> None:
    rewards = {"reward": curve(*np.linspace(10, 200, 30), *[200.0] * 100)}
    known = algorithms.find(algorithm).defaults
    (plateau,) = [each for each in findings(TrainingRun(algorithm, known, 1000), rewards) if each.name == "plateau"]
    for name in ("ent_coef", "exploration_fraction", "exploration_final_eps", "use_sde"):
        assert (name in plateau.advice) == (name in known), name


def test_every_phrase_exists_in_each_language() -> None:
    for name, known in assistant.phrases()["finding"].items():
        numbers = [
            {each for _, each, _, _ in string.Formatter().parse(" ".join(known[language])) if each}
            for language in ("en", "zh")
        ]
        assert numbers[0] == numbers[1], name
        assert all(len(known[language]) == 4 for language in ("en", "zh"))
        assert known["about"] in ("hyper-parameters", "curves") and known["source"] in assistant.phrases()["sources"]
        assert all(any("\u4e00" <= letter <= "\u9fff" for letter in text) for text in known["zh"]), name


def test_a_short_curve_is_not_judged() -> None:
    assert named([1.0] * 5) == set() and findings(TrainingRun("PPO", {}, 1), {}) == []
    assert findings(TrainingRun("PPO", {}, 1), {"reward": curve(*[float("nan")] * 50)}) == []


@pytest.mark.parametrize(
    "name, values, wanted",
    [
        ("train/approx_kl", [0.2] * 20, "policy jumps"),
        ("train/clip_fraction", [0.6] * 20, "clipping"),
        ("train/explained_variance", [0.0] * 20, "value function"),
        ("train/value_loss", [*[1.0] * 10, *[100.0] * 10], "value loss"),
        ("train/entropy_loss", [*[-0.69] * 10, *[-0.001] * 10], "entropy"),
    ],
)
def test_curves_of_losses_are_judged(name: str, values: list[float], wanted: str) -> None:
    assert {each.name for each in findings(TrainingRun("PPO", {}, 1), {name: curve(*values)})} == {wanted}
    calm = [value / 1000 for value in values] if name in ("train/approx_kl", "train/clip_fraction") else [0.9] * 20
    assert findings(TrainingRun("PPO", {}, 1), {name: curve(*calm)}) == []


def test_disagreeing_seeds_are_reported() -> None:
    close, far = curve(*[100.0] * 20), curve(*[10.0] * 20)
    apart, agreed = assistant.spread([close, far]), assistant.spread([close, close])
    assert apart is not None and apart.severity == "warning" and "standard deviation of 63.6" in apart.seen
    assert agreed is not None and agreed.severity == "info" and assistant.spread([close]) is None


@pytest.mark.long
def test_advice_on_several_seeds(trainer: Trainer, experiment: str, other_seed: str) -> None:
    results = trainer.get(f"/experiments/{experiment}/advice?ids={other_seed}").json["findings"]
    assert "2 seeds ended at" in next(each["seen"] for each in results if each["name"] == "seed spread")
    assert trainer.get(f"/experiments/{experiment}/advice?format=pdf").status == 400


def test_a_curve_is_drawn(trainer: Trainer, experiment: str) -> None:
    path = f"/experiments/{experiment}/curve"
    assert trainer.get(f"/experiments/{experiment}/results").json["graph_path"] == path[1:]
    drawn = trainer.get(path)
    assert (
        drawn.headers["Content-Type"] == "image/svg+xml; charset=utf-8"
        and b"&lt;pole&gt;: PPO on CartPole-v1" in drawn.body
    )
    assert b'class="mean"' in drawn.body and b"no values" in trainer.get(f"{path}?metric=nothing").body
    assert (
        trainer.get(f"{path}?format=png").body.startswith(b"\x89PNG") and trainer.get(f"{path}?format=x").status == 400
    )
    assert trainer.get(f"{path}?format=x").json["message"] == "format must be svg or png, not 'x'"
    assert "script-src" not in drawn.headers["Content-Security-Policy"] and "default-src 'none'" in str(drawn.headers)
