"""Training improves policies: through the API, with fixed seeds, evaluated on separate episodes."""

from typing import Any

import pytest

from tests.training.conftest import Trainer

RUNS: dict[str, tuple[dict[str, Any], float]] = {
    "PPO on CartPole": ({"algorithm": "PPO", "environment": "CartPole-v1", "total_timesteps": 60_000}, 475),
    "DQN on CartPole": ({"algorithm": "DQN", "environment": "CartPole-v1", "total_timesteps": 50_000}, 400),
    "SAC on Pendulum": ({"algorithm": "SAC", "environment": "Pendulum-v1", "total_timesteps": 6_000}, -200),
}


@pytest.mark.long
@pytest.mark.parametrize("name", RUNS)
def test_a_policy_learns(trainer: Trainer, name: str) -> None:
    settings, least = RUNS[name]
    experiment = trainer.started(**settings, tuned=True, seed=1, evaluation={"episodes": 20})
    trainer.until(experiment, "completed", seconds=600)
    evaluation = trainer.get(f"/experiments/{experiment}/results").json["final_evaluation"]
    assert evaluation["mean_reward"] >= least, evaluation
    episodes = trainer.get(f"/experiments/{experiment}/metrics?names=reward").json["metrics"]
    returns = [each["reward"] for each in episodes]
    assert sum(returns[-10:]) / 10 > sum(returns[:10]) / 10
