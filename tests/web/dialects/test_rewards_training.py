"""rewards-api's trainings: watched, stopped, evaluated, continued, and their models."""

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import numpy as np
import obstore
import pytest

from gymserve.environments.car_race.race import CarRace
from gymserve.training.runners import processes
from tests.support.servers import wait_for
from tests.training.conftest import AwayBucket
from tests.web.dialects.racers import AGENT, ENVIRONMENT, LEARNING_EPISODES, REWARD, SLOW, Racer, pictures

# --- training --------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_parameters_determine_the_experiment(racer: Racer) -> None:
    name = racer.session(
        "plan", environment={"environment_world": 3},
        agent={"model_configuration": "[[5, 32], [32, 16], [16, 3]]", "optimizer": "rmsprop", "num_episodes": 10_000},
    )  # fmt: skip
    with racer.stream(name):
        pass
    row = racer.show(racer.experiment_of(name))
    assert (row["algorithm"], row["trained_on"]) == ("DQN", "rewards/CarRace-v0")
    assert row["parameters"]["env_kwargs"] == {"track": 3, "car_speed": 20, "reward": REWARD}
    assert row["parameters"]["total_episodes"] == 10_000
    hyperparameters = row["hyperparameters"]
    assert hyperparameters["policy_kwargs"] == {"net_arch": [32, 16], "optimizer_class": "rmsprop"}
    assert hyperparameters["learning_rate"] == pytest.approx(0.0006) and hyperparameters["gamma"] == 0.9
    assert hyperparameters["exploration_initial_eps"] == 0.2
    racer.api("GET", "stop", session_id=name)


@pytest.mark.long
@pytest.mark.guarantee("whoever looks at a training leaves, or too many come")
def test_a_training_continues_without_viewers_until_it_is_stopped(racer: Racer) -> None:
    name = racer.session("long", agent={"num_episodes": 10_000})
    with racer.stream(name) as stream:
        next(pictures(stream))
    experiment = racer.experiment_of(name)
    racer.until_steps(experiment, 500)
    with racer.stream(name) as stream:  # watches the same training
        next(pictures(stream))
    assert racer.experiment_of(name) == experiment
    process = racer.folder(experiment).process()
    assert process is not None and process.is_there()
    stopped = racer.api("GET", "stop", session_id=name)
    assert stopped.json == {"status": 200, "message": "Training stopped"}
    assert not list(processes.members(process.pid)) and racer.status(name) == "stopped"
    history = racer.params(name)["model_history"]["last_trained"]
    assert history["record"] == max(history["scores"]) and len(history["scores"]) == len(history["mean_scores"]) > 5
    assert history["mean_scores"][-1] == pytest.approx(np.mean(history["scores"]))
    assert racer.api("GET", "stop", session_id=name).json["message"] == "Nothing is being trained"


@pytest.mark.long
def test_a_stream_ends_with_its_training_or_session(racer: Racer) -> None:
    for end in ("stop", "delete_session"):
        name = racer.session(f"watched {end}", agent={"num_episodes": 10_000})
        with racer.stream(name) as stream:
            shown = pictures(stream)
            next(shown)
            experiment = racer.experiment_of(name)
            assert racer.api("GET" if end == "stop" else "POST", end, session_id=name).status == 200
            assert len(list(shown)) < 200
        if end == "delete_session":
            assert racer.get(f"/experiments/{experiment}").status == 404 and not racer.folder(experiment).path.exists()


@pytest.mark.guarantee("a reward function fails in mid-training")
def test_a_failing_reward_function_fails_the_training(racer: Racer) -> None:
    reward = (
        "def f(props):\n    o = props['observation']\n    return 1 / (o[0] - o[4]) if o[0] != 0 and o[0] != 200 else 0"
    )
    name = racer.session("failing", training={"reward_function": reward}, agent={"num_episodes": 10_000})
    with racer.stream(name) as stream:
        list(pictures(stream))
    card = racer.params(name)["model_card"]
    assert card["status"] == "failed"
    assert card["reason"] == "EnvironmentFailed: the reward function, line 3: float division by zero"
    evaluated = racer.api("GET", "evaluate", session_id=name)
    assert evaluated.status == 409 and "train it first" in evaluated.json["message"]


def test_an_untrained_session_has_no_model(racer: Racer) -> None:
    racer.session("fresh")
    assert racer.api("POST", "evaluate", session_id="fresh").status == 409
    assert racer.api("POST", "push_model", session_id="fresh").status == 409
    assert racer.api("GET", "stream", session_id="fresh", retrain="true").status == 409
    assert racer.status("fresh") == "created"
    assert racer.api("GET", "final_eval_score", session_id="fresh").json["session"]["rank"] is None


@pytest.mark.guarantee("whoever looks at a training leaves, or too many come")
def test_viewers_are_limited_until_others_leave(racer: Racer) -> None:
    name = racer.session("crowd", agent={"num_episodes": 10_000}, environment={"car_speed": 2})
    streams = [racer.stream(name) for _ in range(8)]
    refused = racer.api("GET", "stream", session_id=name)
    assert (
        refused.status == 429 and "too many live requests" in refused.json["message"] and refused.headers["Retry-After"]
    )
    experiment = racer.experiment_of(name)
    racer.until_steps(experiment, 1)
    for each in streams:
        each.close()

    def again() -> Any:
        try:
            return racer.stream(name)
        except urllib.error.HTTPError:
            return None

    wait_for(again, 300).close()
    racer.until_steps(experiment, racer.show(experiment)["timesteps"] + 1)  # the training continues
    racer.api("GET", "stop", session_id=name)


# --- what was learned -------------------------------------------------------------------------------------------------


def random_mean(track: int, trials: int = 30) -> float:
    """Return the mean number of steps that a randomly driven car survives."""
    env, random, total = CarRace(track), np.random.default_rng(0), 0
    for seed in range(trials):
        env.reset(seed=seed)
        while not env.step(int(random.integers(3)))[2]:
            total += 1
    return total / trials


@pytest.mark.long
def test_a_car_learns_to_drive_and_its_history_shows_it(racer: Racer, driver: str) -> None:
    trained = racer.params(driver)["model_history"]["last_trained"]
    assert set(trained) == {"date", "time", "record", "scores", "mean_scores"}
    assert len(trained["scores"]) == LEARNING_EPISODES and trained["record"] == max(trained["scores"])
    assert np.mean(trained["scores"][-20:]) > 5 * random_mean(1)
    metrics = racer.params(driver)["training_metrics"]
    assert metrics == {"plot_scores": trained["scores"], "plot_mean_scores": trained["mean_scores"]}
    listed = racer.get("/api/v1/get_all_sessions").json[driver]
    assert 50 < len(listed["training_metrics"]["plot_scores"]) <= 101
    assert listed["model_history"]["last_trained"]["record"] == trained["record"]


@pytest.mark.long
def test_a_stream_shows_an_episode_of_the_training(racer: Racer, driver: str) -> None:
    experiment = racer.experiment_of(driver)
    kept = racer.folder(experiment).shown()
    assert kept is not None
    car = CarRace(1)
    car.reset(seed=0)
    car.np_random.bit_generator.state = kept["random"]
    car.reset()
    ends = [car.step(action)[2] for action in kept["actions"]]
    assert not any(ends[:-1]) and (ends[-1] or len(ends) == 500)
    lengths = racer.get(f"/experiments/{experiment}/metrics?names=episode_length").json["metrics"]
    assert {"timestep": kept["timesteps"], "episode_length": len(ends)} in lengths


@pytest.mark.long
def test_evaluations_are_streamed_and_recorded(racer: Racer, driver: str) -> None:
    with racer.stream(driver, "evaluate", mode="training", track_num=1) as stream:
        assert next(pictures(stream)).shape == (700, 800, 3)
    metrics = racer.params(driver)["evaluation_metrics"]
    assert (
        metrics["session_id"] == driver
        and metrics["evaluation"] == {}
        and metrics["training"]["total_elapsed_time"] > 0
    )
    assert metrics["training"]["1"]["num_trials"] == 5 and metrics["training"]["1"]["record"] > 3 * random_mean(1)
    body = json.dumps({"session_id": driver, "mode": "evaluation", "track_num": 1}).encode()
    request = urllib.request.Request(f"{racer.url}/api/v1/evaluate", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SLOW) as stream:
        next(pictures(stream))
    metrics = racer.params(driver)["evaluation_metrics"]
    assert metrics["evaluation"]["1"]["record"] > 3 * random_mean(1) and metrics["training"]["1"]["num_trials"] == 5
    scores = racer.api("GET", "final_eval_score", session_id=driver).json
    assert scores["session"] == scores["leaderboard"][0]
    assert scores["session"] == {
        "rank": 1, "session_id": driver, "user": "everybody", "score": pytest.approx(metrics["evaluation"]["1"]["mean"] / 3),
    }  # fmt: skip
    (place,) = racer.get("/api/v1/get_user_list").json["leaderboard_data"]
    shown = place["user"]["identities"][0]["identity_data"]  # the part that the old front end reads
    assert (shown["full_name"], place["score"]) == ("everybody", scores["session"]["score"])
    assert shown["avatar_url"].startswith("data:") and shown["email"] == ""
    for bad in ({"track_num": 4}, {"mode": "both"}, {"track_num": "x"}):
        refused = racer.api("GET", "evaluate", session_id=driver, **bad)
        assert refused.status == 400 and f"{next(iter(bad))} must be" in refused.json["message"]


@pytest.mark.long
def test_a_models_card_has_a_small_graph(racer: Racer, driver: str) -> None:
    with racer.stream(driver, "evaluate"):
        pass
    card = racer.params(driver)["model_card"]
    assert racer.get(card["card"]).json["title"] == driver and card["version"] == 1
    graph = racer.get(card["graph"])
    assert graph.headers["Content-Type"].startswith("image/svg+xml") and b"<path" in graph.body


@pytest.mark.long
def test_a_model_continues_learning_on_another_track(racer: Racer, driver: str) -> None:
    before = racer.experiment_of(driver)
    racer.post(
        "/api/v1/write_env_params", {"session_id": driver, **ENVIRONMENT, "environment_world": 2, "car_speed": 240}
    )
    racer.post("/api/v1/write_agent_params", {"session_id": driver, **AGENT, "epsilon": 0, "num_episodes": 1})
    record = racer.params(driver)["model_history"]["last_trained"]["record"]
    with racer.stream(driver, retrain="true") as stream:
        list(pictures(stream))
    assert racer.params(driver)["model_history"]["last_trained"]["record"] >= record
    row = racer.show(racer.experiment_of(driver))
    assert row["id"] != before and row["status"] == "completed" and row["parameters"]["env_kwargs"]["track"] == 2
    assert [each["experiment_id"] for each in row["lineage"]] == [before]
    racer.post("/api/v1/write_agent_params", {"session_id": driver, **AGENT, "model_configuration": "[[5,7],[7,3]]"})
    other = racer.api("GET", "stream", session_id=driver, retrain="true")
    assert other.status == 422 and "policy_kwargs shapes the model's weights" in other.json["message"]


@pytest.mark.long
def test_a_model_is_pushed_to_the_bucket(racer: Racer, driver: str, bucket: AwayBucket) -> None:
    bucket.arrive()
    answer = racer.post("/api/v1/push_model", {"session_id": driver}).json
    assert (answer["status"], answer["response"]) == (200, "ok")
    assert f"models/{answer['model_id']}/model.zip" in answer["keys"]
    for key in answer["keys"]:
        assert bytes(obstore.get(bucket.store, key).bytes()) == (racer.data / key).read_bytes()
