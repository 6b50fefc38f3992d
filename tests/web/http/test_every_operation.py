"""Every operation of the API's description is answered with success, as described, by a real server that has everything on."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from websockets.sync.client import connect

from gymserve.settings import Settings
from gymserve.web.app import create_app
from gymserve.web.http.openapi import path_of
from tests.conftest import Secured
from tests.support.buckets import Moto
from tests.support.description import Description
from tests.support.servers import PASSWORD, Answer, wait_for
from tests.training.experiments.test_project_experiments import CHECKOUT, ORDER
from tests.web.dialects.racers import Racer

ROW = "every operation of `/openapi.json` is used as it is meant to be"
FORM = "application/x-www-form-urlencoded"
SHORT = {"total_timesteps": 256, "hyperparameters": {"n_steps": 128}}
CHALLENGE = {
    "name": "cart", "environment": "CartPole-v1", "max_episode_steps": 5, "trials": {"number": 1}, "scoring": {"worst": 0},
    "teams": {"allowed": True},
}  # fmt: skip


class Recorder(Racer):
    """A server, and what it has answered to an administrator."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.answers: list[tuple[str, str, Answer]] = []
        super().__init__(data, **settings)
        self.id, self.key = self.account("admin@example.org", "admin")

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        answer = super().request(method, path, body, **headers)
        self.answers.append((method, path.partition("?")[0], answer))
        return answer

    def delete(self, path: str) -> None:
        self.request("DELETE", path)

    def connect(self, path: str) -> None:
        """The stream's handshake."""
        headers = {"Authorization": f"Bearer {self.key}"}
        with connect(f"ws://127.0.0.1:{self.port}{path}", additional_headers=headers) as stream:
            assert stream.response is not None
            self.answers.append(("GET", path, Answer(stream.response.status_code, stream.response.headers, b"")))


class Visitor(Recorder):
    """The same of a server that runs already, and goes on."""

    def __init__(self, secured: Secured) -> None:
        self.answers = []
        self.url, self.port, self.data = secured.server.url, secured.server.port, secured.server.data
        self.id, self.key = secured.ids["admin"], secured.keys["admin"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Recorder]:
    bucket = Moto()
    runners = {"pymarl": {"interpreter": sys.executable, "directory": str(CHECKOUT)}}
    started = Recorder(
        tmp_path, AUTH="token", WORKERS=1, MEDIA=True, MEDIA_SECONDS=1.0, MAX_CONCURRENT_EXPERIMENTS=1, RUNNERS=runners,
        ENVIRONMENT_MODULES=["tests.support.environments.habitual"], **bucket.settings,
    )  # fmt: skip
    yield started
    started.stop()
    started.end_experiments()
    bucket.stop()


class Outcome(NamedTuple):
    """Which operations succeeded at least once, and what the others answered last."""

    succeeded: set[tuple[str, str]]
    failed: dict[tuple[str, str], bytes]


def outcome(server: Recorder, description: Description, folder: Path) -> Outcome:
    """What became of all requests; fails where an answer is not as described."""
    routes = create_app(Settings(DATA=str(folder))).url_map.bind("")
    succeeded, last = set(), {}
    for method, path, answer in server.answers:
        operation = method.lower(), path_of(routes.match(path, method, return_rule=True)[0])
        if operation in description.operations:
            description.check(*operation, answer.status, answer.headers.get("Content-Type"), answer.body)
            last[operation] = answer.body
            if answer.status < 400:
                succeeded.add(operation)
    return Outcome(succeeded, {operation: body for operation, body in last.items() if operation not in succeeded})


@pytest.mark.guarantee(ROW)
def test_operations_that_need_no_training_succeed_as_they_are_described(secured: Secured, tmp_path: Path) -> None:
    visitor = Visitor(secured)
    description = Description(visitor)
    use_accounts(visitor)
    use_instances(visitor)
    compete_by_hand(visitor)
    use_the_server(visitor)
    assert len(visitor.answers) > 40
    assert not outcome(visitor, description, tmp_path).failed


@pytest.mark.long
@pytest.mark.guarantee(ROW)
def test_every_operation_succeeds_as_it_is_described(server: Recorder, tmp_path: Path) -> None:
    description = Description(server)
    experiment, offloading = begin_training(server)
    use_accounts(server)
    use_instances(server)
    grade_elsewhere(server)
    use_sessions(server)
    offload(server, offloading)
    server.until(experiment, "completed")
    read_training(server, experiment)
    model = use_models(server, experiment)
    compete(server, model)
    decide(server)
    wait_for(lambda: server.get(f"/experiments/{experiment}/video").status == 200, 300)
    use_the_server(server)
    server.post("/v1/shutdown/")

    found = outcome(server, description, tmp_path / "none")
    missing = {each: found.failed.get(each, b"it was not asked") for each in description.operations - found.succeeded}
    assert not missing, missing


# --- what users do, room by room: requests that are no use to a later one are not looked at ------------------------------


def use_the_server(server: Recorder) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/metrics", "/sys_info", "/signing-key"):
        server.get(path)


def decide(server: Recorder) -> None:
    """Submissions in an environment that does not replay, of which the organiser accepts one and voids the other."""
    habit = {"environment": "Habitual-v0", "kwargs": {"habits": ["pid"]}, "max_episode_steps": 5}
    server.post("/challenges", {"definition": {**CHALLENGE, "name": "habit", **habit}})
    for verb in ("accept", "void"):
        begun = server.post("/challenges/habit/submissions").json
        token, one = begun["token"], f"/submissions/{begun['submission_id']}"
        server.post(f"/v1/envs/{token}/reset")
        while not server.post(f"/v1/envs/{token}/step", {"action": 1}).json["done"]:
            pass
        server.post(f"/v1/envs/{token}/close")
        wait_for(lambda one=one: server.get(one).json["state"] == "not replayable")
        assert server.post(f"{one}/{verb}").status == 200


def compete_by_hand(server: Recorder) -> None:
    """A submission that is given up."""
    definition = {**CHALLENGE, "name": "by-hand"}
    server.post("/challenges", {"definition": definition})
    cart = "/challenges/by-hand"
    begun = server.post(f"{cart}/submissions").json
    closed = server.post(f"/v1/envs/{begun['token']}/monitor/close")
    assert closed.status == 200, closed.body
    for path in (
        "/challenges",
        cart,
        f"{cart}/submissions",
        f"{cart}/leaderboard",
        f"/submissions/{begun['submission_id']}",
    ):
        server.get(path)
    for verb in ("close", "open"):
        server.post(f"{cart}/{verb}")


def begin_training(server: Recorder) -> tuple[str, dict[str, Any]]:
    """An experiment that runs, and what RUNT's, which waits, is called; others wait no more."""
    experiment = server.started(**SHORT)
    path = f"/experiments/{server.experiment()}"
    for verb in ("train", "pause", "resume", "stop", "retry", "stop"):
        server.post(f"{path}/{verb}")
    server.request("PUT", path, {"tags": ["test"]})
    server.delete(f"/experiments/{server.post(f'{path}/copy').json['id']}")
    server.get("/experiments?limit=10")

    projects = f"/users/{server.id}/projects"
    one = f"{projects}/{server.post(projects, {'title': 'maps', 'project_type': 'pymarl'}).json['id']}"
    server.post(f"{one}/experiments", ORDER)
    server.post(f"{one}/experiments/1/stop")
    for path in (f"{one}/experiments", f"{one}/experiments/1", projects, one):
        server.get(path)
    server.request("PATCH", one, {"title": "other maps"})
    server.delete(one)

    order = {"algorithm": "PPO", "target_episode": 2, "n_UE": 1}
    return experiment, server.post("/train", order).json["data"]


def use_accounts(server: Recorder) -> None:
    user = server.post("/users", {"email": "one@example.org", "password": PASSWORD}).json["id"]
    form = f"grant_type=password&username=one@example.org&password={PASSWORD}".encode()
    server.post("/token", form, Content_Type=FORM)
    key = server.post(f"/users/{user}/keys", {"name": "agent"}).json["id"]
    for path in ("/users", "/users/me", f"/users/{user}", f"/users/{user}/keys"):
        server.get(path)
    server.request("PATCH", f"/users/{user}", {"role": "organiser"})
    for path in (f"/users/{user}/keys/{key}", f"/users/{user}"):
        server.delete(path)


def use_instances(server: Recorder) -> None:
    envs = "/v1/envs"
    one = f"{envs}/{server.create('CartPole-v1', render_mode='rgb_array')}"
    server.post(f"{one}/monitor/start", {"directory": "results"})
    server.post(f"{one}/reset", {"seed": 1})
    server.post(f"{one}/step", {"action": 0})
    server.post(f"{one}/observation_space/contains", {"name": "Box"})
    server.connect(f"{one}/stream")
    spaces = ("action_space", "action_space/sample", "action_space/contains/1", "observation_space")
    for path in (envs, one, f"{one}/render", *(f"{one}/{space}" for space in spaces)):
        server.get(path)
    server.post("/tickets", {"path": f"{one}/stream"})
    server.post(f"{one}/monitor/close")
    server.post(f"{one}/close")
    server.post("/v1/upload", {"training_dir": "results", "api_key": "mine"})
    for path in ("/v1/environments", "/v1/environments/CartPole-v1"):
        server.get(path)


def grade_elsewhere(server: Recorder) -> None:
    server.post("/challenges", {"definition": {**CHALLENGE, "name": "elsewhere"}})
    _, key = server.account("two@example.org")
    query = f"?challenge_client_name=elsewhere&api_key={key}&grading_status="
    number = server.post(f"/api/external_graders{query}submitted").json["submission_id"]
    server.request("PATCH", f"/api/external_graders/{number}{query}graded&score=1")
    for path in (f"external_graders/{key}", f"submissions/{number}", "submissions?challenge_client_name=elsewhere"):
        server.get(f"/api/{path}")


def use_sessions(server: Recorder) -> None:
    """rewards-api's; reading a stream waits for what it shows."""
    name = server.session("racer", agent={"num_episodes": 3}, environment={"car_speed": 240})
    server.post("/api/v1/write_agent_params", {"session_id": name, "num_episodes": 3})
    server.api("GET", "stream", session_id=name)
    for method in ("GET", "POST"):
        server.api(method, "evaluate", session_id=name)
    server.post("/api/v1/write_reward_fn", {"session_id": name, "reward_function": "1"})
    for path in ("get_all_params", "get_all_sessions", "stop", "final_eval_score", "get_user_list"):
        server.api("GET", path, session_id=name)
    for path in ("get_all_envs", "get_all_tracks", "push_model", "delete_session"):
        server.api("POST", path, session_id=name)


def offload(server: Recorder, training: dict[str, Any]) -> None:
    """RUNT's requests of a training."""
    server.until(training["experiment_id"], "completed")
    number = training["id"]
    server.post("/testmodel", {"model_id": number, "observation": [0.5] * 8})
    server.post("/stop-train", {"model_id": number})
    server.get(f"/models/{number}/train-data")
    server.post("/trainingassistent", {"hyperparameters": {"algorithm": "PPO"}, "rewards": [1, 2, 3]})


def read_training(server: Recorder, experiment: str) -> None:
    for path in ("", "/log", "/metrics", "/metrics/stream", "/results", "/advice", "/advice/stream", "/curve"):
        server.get(f"/experiments/{experiment}{path}")
    server.post("/tickets/", {"path": f"/experiments/{experiment}/metrics/stream"})
    for path in (f"/experiments/metrics?ids={experiment}", "/environments", "/algorithms", "/config"):
        server.get(path)


def use_models(server: Recorder, experiment: str) -> str:
    """A model that stays."""
    one = f"/models/{server.post('/models', {'experiment_id': experiment}).json['id']}"
    for path in ("/models", one, f"{one}/graph", f"{one}/onnx"):
        server.get(path)
    file = server.get(f"{one}/file").body
    upload = "/models/upload?title=mine&algorithm=PPO&environment=CartPole-v1"
    other = server.post(upload, file, Content_Type="application/zip").json["id"]
    server.request("PATCH", one, {"is_promoted": True})
    for path, asked in (("push", None), ("retrain", {}), ("predict", {"observation": [0] * 4}), ("rollout", {})):
        server.post(f"{one}/{path}", asked)
    server.delete(one)
    return str(other)


def compete(server: Recorder, model: str) -> None:
    """A team's submissions: one is given up, a model plays the other one, and is filmed."""
    server.post("/challenges", {"definition": CHALLENGE})
    cart = "/challenges/cart"
    for verb in ("close", "open"):
        server.post(f"{cart}/{verb}")
    server.post(f"{cart}/team", {"name": "we"})
    server.post(f"{cart}/team/invitation")
    server.get(f"{cart}/team")
    server.delete(f"{cart}/team")
    begun = server.post(f"{cart}/submissions").json["token"]
    assert server.post(f"/v1/envs/{begun}/monitor/close").status == 200

    submission = server.post(f"/models/{model}/submit", {"challenge": "cart"}).json["submission_id"]
    one = f"/submissions/{submission}"
    wait_for(lambda: server.get(f"{one}/media").json["state"] == "made", 300)
    history = f"{cart}/leaderboard/history?entrant=account%201"
    for path in ("/challenges", cart, f"{cart}/submissions", f"{cart}/leaderboard", history):
        server.get(path)
    for path in (one, f"{one}/receipt", f"{one}/media/video.webm"):
        server.get(path)
    server.post(f"{one}/media")
    over = {"phases": [{"name": "public", "closes": "2026-01-01T00:00:00+00:00"}]}
    server.post("/challenges", {"definition": {**CHALLENGE, **over}})
    server.get(f"{one}/bundle")
