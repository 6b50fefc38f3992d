"""Training plans: any version's stored plans are read, and a card shows no secrets."""

import json
from pathlib import Path

import pytest

from gymserve.environments import Catalogue
from gymserve.protocol.errors import Untrainable
from gymserve.store.models import Experiment, now
from gymserve.training.plan import stored
from gymserve.training.plan.checker import Checker
from gymserve.training.plan.training_plan import Evaluation, TrainingPlan
from gymserve.training.runners.folder import Folder

OLD = {  # as stored by the first versions, in a row and in an experiment's folder
    "timeout_minutes": 1440.0, "server": None, "package": "stable_baselines3", "resolved": "LunarLander-v3",
    "hyperparameters": {"n_steps": 64}, "total_timesteps": 1000, "total_episodes": None, "n_envs": 2,
    "vectorisation": "sync", "normalize": {"norm_obs": True}, "frame_stack": 0, "atari": False, "max_episode_steps": None,
    "evaluation": {"every": 0, "episodes": 3, "deterministic": True}, "checkpoint_every": None, "tensorboard": True,
    "show": False, "device": "auto", "env_kwargs": {}, "policy": "MlpPolicy",
}  # fmt: skip


def test_older_versions_plans_are_read(tmp_path: Path) -> None:
    row = Experiment(runner="sb3", algorithm="PPO", environment="LunarLander-v2", seed=7, parameters=OLD)
    plan = stored.plan_of(row)
    assert (plan.env_id, plan.environment, plan.seed) == ("LunarLander-v3", "LunarLander-v2", 7)
    assert plan.evaluation == Evaluation(episodes=3) and plan.normalize == {"norm_obs": True}
    in_folder = {
        **OLD,
        "runner": "sb3",
        "algorithm": "PPO",
        "environment": "LunarLander-v3",
        "seed": 7,
        "modules": ["m"],
    }
    (tmp_path / "order.json").write_text(json.dumps({**in_folder, "seconds_before": 2.5, "cpu_before": 1.5}))
    kept = Folder(tmp_path).training_plan()
    assert kept == plan.replace(environment="LunarLander-v3", modules=["m"], seconds_before=2.5, cpu_before=1.5)
    Folder(tmp_path).prepare(plan)
    assert Folder(tmp_path).training_plan() == plan
    assert stored.plan_of(Experiment(runner="sb3", **stored.row_of(plan))) == plan


def test_a_newer_versions_plan_is_read_and_nonsense_is_not() -> None:
    least = {"package": "p", "algorithm": "PPO", "environment": "CartPole-v1"}
    assert TrainingPlan.from_dict({**least, "colour": "blue"}) == TrainingPlan.from_dict(least)
    wrong_plans: tuple[object, ...] = ([], {}, {**least, "n_envs": "many"})
    for wrong in wrong_plans:
        with pytest.raises(ValueError, match="not a training plan"):
            TrainingPlan.from_dict(wrong)


def test_a_models_card_shows_nothing_of_the_servers_own() -> None:
    row = Experiment(runner="sb3", algorithm="PPO", environment="LunarLander-v2", seed=7, parameters=OLD, seconds=9.0)
    plan = stored.runnable(row, {}, modules=["secret.module"])
    assert isinstance(plan, TrainingPlan) and (plan.modules, plan.seconds_before) == (["secret.module"], 9.0)
    assert {"modules", "seconds_before", "cpu_before"}.isdisjoint(plan.card())
    assert plan.card().items() >= {"n_envs": 2, "policy": "MlpPolicy", "seed": 7}.items()


def test_hyperparameters_change_with_the_policy_among_them() -> None:
    row = Experiment(runner="sb3", algorithm="PPO", environment="LunarLander-v2", seed=7, parameters=OLD)
    tried: list[TrainingPlan] = []
    catalogue = Catalogue()
    checker = Checker(
        catalogue, {}, catalogue.spaces, lambda plan, spaces: tried.append(plan), minutes=60.0, servers=()
    )
    row.parameters = checker.change(row, {"gamma": 0.9, "policy": "MlpPolicy"})
    plan = stored.plan_of(row)
    assert (plan.policy, plan.hyperparameters, plan.gamma) == ("MlpPolicy", {"n_steps": 64, "gamma": 0.9}, 0.9)
    assert tried == [plan]
    row.started_at = now()
    checker.change(row, {"policy": "MlpPolicy", "n_steps": 64})  # the values that it already has
    for wrong in ({"n_steps": 65}, {"policy": "CnnPolicy"}, {"gamma": 7}):
        with pytest.raises(Untrainable):
            checker.change(row, wrong)
