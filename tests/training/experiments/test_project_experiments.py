"""Experiments as printed in the TJU platform's document, with a program like PyMARL."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gymserve.training.runners.readers import parse_partial
from tests.support.servers import alive, wait_for
from tests.training.conftest import Trainer

CHECKOUT = Path(__file__).parent / "program"
RUNNERS = {name: {"interpreter": sys.executable, "directory": str(CHECKOUT)} for name in ("pymarl", "ptf")}
REQUEST: dict[str, Any] = {
    "title": "训练标题",
    "description": "用来描述这个训练，比如这个是针对pymarl的， 然后parameter里面的参数，取决于你entry部分所使用的",
    "parameter": {"algo_name": "qmix", "map_name": "3s5z"},
}
PROJECT = {"title": "标题", "description": "", "project_type": "pymarl"}
PRINTED = "/users/1/projects/1/experiments/"  # as in the document, used only by its test
EXPERIMENTS = "/users/1/projects/2/experiments/"


@pytest.fixture(scope="module")
def tju(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    """A server with the document's account, its token, and two projects."""
    server = Trainer(
        tmp_path_factory.mktemp("tju"), AUTH="token", SIGN_UP=True, RUNNERS=RUNNERS, EXPERIMENT_GRACE_SECONDS=5
    )
    assert server.post("/users/", {"email": "tju_rl.tju.edu.cn", "password": "tju_rl"}).json["id"] == 1
    form = b"grant_type=&username=tju_rl.tju.edu.cn&password=tju_rl&scope=&client_id=&client_secret="
    login = server.request("POST", "/token", form, Content_Type="application/x-www-form-urlencoded")
    server.key = login.json["access_token"]
    assert [server.post("/users/1/projects/", PROJECT).json["id"] for _ in range(2)] == [1, 2]
    yield server
    server.stop()
    server.end_experiments()


def test_the_documents_requests_as_printed(tju: Trainer) -> None:
    assert tju.get(PRINTED).json == []
    made = tju.post(PRINTED, {**REQUEST, "parameter": {**REQUEST["parameter"], "t_max": 100000}}).json
    wanted = "{'algo_name': 'qmix', 'map_name': '3s5z', 't_max': 100000}"
    assert (made["title"], made["description"], made["parameter"]) == (REQUEST["title"], REQUEST["description"], wanted)
    assert (made["id"], made["project_id"], made["owner_id"], made["is_active"]) == (1, 1, 1, True)
    assert made["metric"] is None and str(tju.data) not in made["log_path"]

    one = wait_for(lambda: (row := tju.get(f"{PRINTED}1").json)["metric"] and row, 300)
    metric = one["metric"]
    assert metric["return_mean"][:2] == [0.5, 1.0] and metric["return_mean_T"][:2] == [100, 200]
    assert set(metric["epsilon"]) == {0.5} and len(metric["epsilon"]) == len(metric["epsilon_T"])
    (listed,) = tju.get(PRINTED).json
    assert listed["id"] == 1 and listed["metric"]
    (nested,) = tju.get("/users/1/projects/1").json["experiments"]
    assert (nested["id"], nested["title"]) == (1, REQUEST["title"])
    assert tju.get("/users/1").json["projects"][0]["experiments"] == [nested]

    leader = tju.leader(one["experiment_id"])
    stopped = tju.request("POST", f"{PRINTED}1/stop", b"").json
    assert (stopped["is_active"], stopped["status"], alive(leader)) == (False, "stopped", False)
    work = tju.folder(one["experiment_id"]).path / "work"
    assert json.loads((work / "results/sacred/1/run.json").read_text())["status"] == "INTERRUPTED"
    # The program may have been stopped while rewriting this file, which is then truncated.
    text = (work / "results/sacred/1/info.json").read_text()
    written, complete = parse_partial(text) if text else ({}, False)
    means, known = written.get("return_mean", []), stopped["metric"]["return_mean"]
    assert known[:2] == [0.5, 1.0] and known[: len(means)] == means[: len(known)]
    assert len(known) == len(means) or not complete
    assert tju.request("POST", f"{PRINTED}1/stop", b"").json["is_active"] is False
    assert not (CHECKOUT / "results").exists()


def test_both_apis_show_the_same_experiments(tju: Trainer) -> None:
    made = tju.post(EXPERIMENTS, {**REQUEST, "parameter": {**REQUEST["parameter"], "t_max": 3}}).json
    row = tju.until(made["experiment_id"], "completed")
    assert (row["runner"], row["algorithm"], row["environment"], row["exit_code"]) == ("pymarl", "qmix", "3s5z", 0)
    metrics = tju.get(f"/experiments/{made['experiment_id']}/metrics").json
    assert [each["return_mean"] for each in metrics["metrics"]] == [0.5, 1.0, 1.5]
    assert metrics["summary"] == {
        "avg_reward_last_100": 1.0, "total_timesteps": 300, "best_reward": 1.5, "total_episodes": None,
    }  # fmt: skip
    curve = tju.get(f"/experiments/{made['experiment_id']}/curve").body.decode()
    assert "return_mean over 100 to 300 timesteps: from 0.5 to 1.5" in curve
    assert made["id"] in [each["id"] for each in tju.get(EXPERIMENTS).json]
    again = tju.post(f"/experiments/{made['experiment_id']}/copy").json
    assert tju.get(EXPERIMENTS).json[-1]["experiment_id"] == again["id"]
    refused = tju.post(f"/experiments/{again['id']}/pause")
    assert refused.status == 400 and "cannot pause" in refused.json["message"]


def test_a_program_that_fails_says_why(tju: Trainer) -> None:
    made = tju.post(EXPERIMENTS, {**REQUEST, "parameter": {"algo_name": "broken", "map_name": "x", "t_max": 1}}).json
    row = tju.until(made["experiment_id"], "failed")
    assert (row["exit_code"], row["reason"]) == (3, "the program ended with 3: ValueError: no such mixer")


@pytest.mark.guarantee("a parameter contains shell syntax, a path or an option")
@pytest.mark.parametrize(
    "value",
    [
        "; touch x", "$(touch x)", "a b", "a\nb", "../../etc", "--config=x", "-x", "", "`x`", "a'b",
        "x" * 301, [1], {"a": 1}, None,
    ],
)  # fmt: skip
def test_parameters_never_leave_their_argument(tju: Trainer, value: Any) -> None:
    for name in ("algo_name", "map_name"):
        refused = tju.post(EXPERIMENTS, {**REQUEST, "parameter": {**REQUEST["parameter"], name: value}})
        assert refused.status == 422 and name in refused.json["detail"]
    zero = tju.post(EXPERIMENTS, {**REQUEST, "parameter": {"algo_name": "a\0"}})  # no text may contain NUL
    assert zero.status == 400
    refused = tju.post(EXPERIMENTS, {**REQUEST, "parameter": {"use_cuda": True}})
    assert refused.status == 422 and "has no parameter" in refused.json["detail"]


def test_a_project_without_its_program_says_what_is_set_up(tju: Trainer) -> None:
    project = tju.post("/users/1/projects/", {**PROJECT, "project_type": "epymarl"}).json["id"]
    refused = tju.post(f"/users/1/projects/{project}/experiments/", REQUEST)
    assert refused.status == 422 and "there are sb3, pymarl, ptf" in refused.json["detail"]


def test_ptf_runs_like_pymarl(tju: Trainer) -> None:
    project = tju.post("/users/1/projects/", {**PROJECT, "project_type": "ptf"}).json["id"]
    path = f"/users/1/projects/{project}/experiments/"
    parameter = {"algo_name": "a3c", "env_name": "grid", "episodes": 3}
    made = tju.post(path, {**REQUEST, "parameter": parameter}).json
    assert (made["parameter"], made["is_active"]) == (repr(parameter), True)
    tju.until(made["experiment_id"], "completed")
    metric = tju.get(f"{path}1").json["metric"]
    assert (metric["undiscounted_reward"], metric["undiscounted_reward_T"]) == ([0, 42, 84, 126], [0, 1, 2, 3])
    assert (metric["win"], metric["episode"], metric["step"]) == ([0, 0, 1, 0], [0, 1, 2, 3], [99] * 4)
    experiment = f"/experiments/{made['experiment_id']}"
    assert "episode : 3, " in tju.get(f"{experiment}/log").body.decode()
    assert tju.get(f"{experiment}/metrics").json["summary"] == {
        "avg_reward_last_100": 63.0, "total_timesteps": 3, "best_reward": 126.0, "total_episodes": 4,
    }  # fmt: skip
    assert "undiscounted_reward over 0 to 3 episodes: from 0 to 126" in tju.get(f"{experiment}/curve").body.decode()
    for wrong in ({"algo_name": "dqn"}, {"env_name": "maze"}):
        assert tju.post(path, {**REQUEST, "parameter": {**parameter, **wrong}}).status == 422


def test_a_program_that_ignores_sigint_loses_nothing_that_it_has_written(tju: Trainer) -> None:
    """As PTF's A3C does; SIGTERM ends it, and what it has printed and written by then is kept."""
    project = tju.post("/users/1/projects/", {**PROJECT, "project_type": "ptf"}).json["id"]
    path = f"/users/1/projects/{project}/experiments/"
    parameter = {"algo_name": "a3c", "env_name": "grid", "episodes": 10**6, "save_every": 10}
    name = tju.post(path, {**REQUEST, "parameter": parameter}).json["experiment_id"]
    tju.until_steps(name, 20)
    before = wait_for(lambda: tju.show(name)["resources"]["cpu_seconds"])
    stopped = tju.post(f"/experiments/{name}/stop").json
    assert (stopped["status"], stopped["exit_code"]) == ("stopped", -15)
    assert stopped["resources"]["cpu_seconds"] >= before
    (file,) = (tju.folder(name).path / "work" / "results").rglob("out.json")
    text = file.read_text()
    written = parse_partial(text)[0]["win"] if text else []
    assert stopped["timesteps"] >= max(20, len(written) - 1)
    assert f"episode : {stopped['timesteps']}, " in tju.get(f"/experiments/{name}/log").body.decode()


def test_the_documents_curl_lines(tju: Trainer) -> None:
    """Requests as curl sends them: without a content type, with or without a slash, with an empty form."""
    for path in ("/users", "/users/", "/users/1", "/users/1/", "/users/1/projects", "/users/1/projects/1/"):
        assert tju.get(path, Accept="application/json").status == 200
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    made = tju.post(EXPERIMENTS, {**REQUEST, "parameter": {**REQUEST["parameter"], "t_max": 100000}}).json
    for slash in ("", "/"):  # the second request is for a stopped experiment
        stopped = tju.request("POST", f"{EXPERIMENTS}{made['id']}/stop{slash}", b"", **form)
        assert stopped.status == 200 and stopped.json["is_active"] is False
    refused = tju.request("POST", "/token", b"username=tju_rl.tju.edu.cn&password=wrong", **form)
    assert refused.status == 401 and refused.json["detail"] and refused.headers["WWW-Authenticate"] == "Bearer"
    again = tju.post("/users/", {"email": "tju_rl.tju.edu.cn", "password": "tju_rl"})
    assert (again.status, again.json["detail"]) == (400, "Email already registered")


@pytest.mark.long
def test_a_project_of_stable_baselines_experiments(tju: Trainer) -> None:
    project = tju.post("/users/1/projects/", {**PROJECT, "project_type": "sb3"}).json["id"]
    parameter = {
        "algorithm": "PPO",
        "environment": "CartPole-v1",
        "total_timesteps": 500,
        "evaluation": {"episodes": 1},
    }
    made = tju.post(f"/users/1/projects/{project}/experiments/", {**REQUEST, "parameter": parameter}).json
    assert made["parameter"] == repr(parameter) and made["id"] == 1
    tju.until(made["experiment_id"], "completed")
    metric = tju.get(f"/users/1/projects/{project}/experiments/1").json["metric"]
    assert len(metric["reward"]) == len(metric["reward_T"]) > 5
    assert tju.request("DELETE", f"/users/1/projects/{project}/").status == 204
    assert tju.get(f"/experiments/{made['experiment_id']}").status == 404


def test_other_accounts_experiments_are_not_found(tju: Trainer) -> None:
    made = tju.post(EXPERIMENTS, {**REQUEST, "parameter": {**REQUEST["parameter"], "t_max": 1}}).json
    tju.until(made["experiment_id"], "completed")
    _, key = tju.account("other")
    other = {"Authorization": f"Bearer {key}"}
    for method, path in (
        ("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/train"), ("POST", "/stop"), ("POST", "/pause"),
        ("POST", "/retry"), ("POST", "/resume"), ("POST", "/copy"), ("GET", "/metrics"), ("GET", "/metrics/stream"),
        ("GET", "/results"), ("GET", "/log"),
    ):  # fmt: skip
        body: dict[str, object] | None = {} if method in ("PUT", "POST") else None
        answer = tju.request(method, f"/experiments/{made['experiment_id']}{path}", body, **other)
        assert answer.status == 404, (method, path)
    assert tju.get("/experiments", **other).json == []
    assert tju.get(EXPERIMENTS, **other).status == 404
    _, admin = tju.account("root", "admin")
    assert tju.get(f"/experiments/{made['experiment_id']}", Authorization=f"Bearer {admin}").status == 200


@pytest.mark.long
def test_the_role_that_may_train_is_a_setting(train: Callable[..., Trainer]) -> None:
    server = train(AUTH="token", TRAINING_ROLE="organiser")
    _, participant = server.account("a")
    _, organiser = server.account("b", "organiser")
    settings = {"name": "x", "algorithm": "PPO", "environment": "CartPole-v1"}
    refused = server.post("/experiments", settings, Authorization=f"Bearer {participant}")
    assert refused.status == 403 and "TRAINING_ROLE" in refused.json["message"]
    assert server.post("/experiments", settings, Authorization=f"Bearer {organiser}").status == 201
