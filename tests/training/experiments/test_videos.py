"""What viewers see of an experiment: its best evaluation episode as a video, and its curve on its models' cards."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import gymnasium
import numpy as np
import pytest

from gymserve.environments import Catalogue
from gymserve.journal import episodes_of
from gymserve.journal.records import decode
from gymserve.recording.video.episodes import make_environment, records_of, replay
from gymserve.training.experiments import curve
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners import best_episode, vector_env
from tests.support.servers import wait_for
from tests.training.conftest import Trainer

PLAN = TrainingPlan(package="stable_baselines3", algorithm="PPO", environment="CartPole-v1", resolved="CartPole-v1")


@pytest.mark.guarantee("an experiment's evaluation is made into a video")
def test_the_best_episode_is_saved_and_replays_exactly(tmp_path: Path) -> None:
    env = vector_env.make(PLAN, training=False, records_best=True)
    env.seed(3)
    env.reset()
    env.env_method("forget")
    env.reset()  # the generator's state has advanced and must be restored
    env.action_space.seed(1)
    totals: list[float] = []
    total = 0.0
    while len(totals) < 6:
        _, rewards, dones, _ = env.step([env.action_space.sample()])
        total += float(rewards[0])
        if dones[0]:
            totals.append(total)
            total = 0.0
    best_episode.keep(env.env_method("best")[0], PLAN, tmp_path)
    (episode,) = episodes_of(records_of(tmp_path / best_episode.FILE))
    assert episode.total == max(totals) and episode.is_over
    assert episode.reset.seed is None
    shown = list(replay(make_environment(episode, Catalogue(), render=False), episode))
    assert all(moment.agrees for moment in shown) and shown[-1].total == max(totals)
    env.env_method("forget")
    assert env.env_method("best")[0] == []


def test_an_episode_is_saved_with_its_resets_options() -> None:
    import_module("tests.support.environments.faulty")
    bare = gymnasium.make("Grabbing-v0")
    bare_spaces = (bare.observation_space, bare.action_space)
    env = vector_env.EpisodeRecorder(best_episode.BestEpisode(bare), bare_spaces)
    options = {"size": 3, "nested": {"a": 1}}
    env.reset(seed=1, options=options)
    env.step(np.array([2.0]))
    (recorded,) = (decode(body, 0) for body in env.env.best()[:1])
    assert recorded.options == env.snapshot()["options"] == options == {"size": 3, "nested": {"a": 1}}
    again = vector_env.EpisodeRecorder(gymnasium.make("Grabbing-v0"), bare_spaces)
    assert again.restore(env.snapshot())


@pytest.mark.guarantee("an experiment's evaluation is made into a video")
@pytest.mark.long
def test_a_completed_experiment_gets_a_video_and_its_models_card_shows_it(train: Callable[..., Trainer]) -> None:
    trainer = train(WORKERS=1, MEDIA=True, MEDIA_SECONDS=5.0)
    settings = {"total_timesteps": 256, "hyperparameters": {"n_steps": 128}}
    name = trainer.started(evaluation={"every": 128, "episodes": 2}, **settings)
    assert trainer.get(f"/experiments/{name}/video").status == 404
    trainer.until(name, "completed")
    results = wait_for(
        lambda: (answer := trainer.get(f"/experiments/{name}/results").json)["video_path"] and answer, 300
    )
    assert results["video_path"] == f"experiments/{name}/video"
    assert results["video"] == {"state": "made", "reason": "", "agrees": True}
    whole = trainer.get(f"/experiments/{name}/video")
    assert whole.headers["Content-Type"] == "video/webm" and whole.body[:4] == b"\x1aE\xdf\xa3"
    assert trainer.get(f"/experiments/{name}/video", Range="bytes=0-3").body == whole.body[:4]
    assert trainer.get(f"/experiments/{name}/video?format=mp4").body[4:8] == b"ftyp"
    assert trainer.get(f"/experiments/{name}/video?format=gif").status == 400
    assert b"<video" in trainer.get(f"/training/{name}").body
    assert trainer.get(f"/training/{name}/video").body == whole.body

    card = trainer.post("/models/", {"experiment_id": name}).json
    assert (
        card["video_path"] == results["video_path"] and card["started_at"] < card["completed_at"] < card["created_at"]
    )
    summary = trainer.get(f"/experiments/{name}/metrics").json["summary"]
    assert card["record"]["best_episode"] == summary["best_reward"]
    assert card["record"]["best_evaluation"] >= results["final_evaluation"]["mean_reward"]
    picture = trainer.get(f"/{card['graph_path']}")
    assert ElementTree.fromstring(picture.body).tag.endswith("svg") and "default-src 'none'" in str(picture.headers)

    assert trainer.request("DELETE", f"/experiments/{name}/").status == 204
    assert not (trainer.data / "media" / "experiments" / name).exists()
    assert trainer.get(f"/models/{card['id']}/").json["video_path"] is None


def test_a_missing_video_says_why(trainer: Trainer) -> None:
    name = trainer.experiment()
    refused = trainer.get(f"/experiments/{name}/video")
    assert refused.status == 404 and "MEDIA is off" in refused.json["message"]


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0], [-5.0, 3.0, 1e9]])
def test_a_small_curve_stays_in_its_frame(values: list[float]) -> None:
    picture = ElementTree.fromstring(curve.small("reward", range(len(values)), values))
    path = picture.find("{http://www.w3.org/2000/svg}path")
    assert path is not None
    left, top, width, height = map(int, picture.attrib["viewBox"].split())
    points = [tuple(map(float, each.split())) for each in path.attrib["d"][1:].split("L")]
    assert len(points) >= 2 and all(0 <= x - left <= width and 0 <= y - top <= height for x, y in points)
