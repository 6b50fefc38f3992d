"""Every operation in the API description succeeds as described, on a real server with all features enabled."""

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
from tests.training.experiments.test_project_experiments import CHECKOUT, REQUEST
from tests.web.dialects.racers import Racer

ROW = "every operation of `/openapi.json` is used as it is meant to be"
FORM = "application/x-www-form-urlencoded"
SHORT = {"total_timesteps": 256, "hyperparameters": {"n_steps": 128}}
CHALLENGE = {
    "name": "cart", "environment": "CartPole-v1", "max_episode_steps": 5, "trials": {"number": 1}, "scoring": {"worst": 0},
    "teams": {"allowed": True},
}  # fmt: skip


class Recorder(Racer):
    """A server, with a record of its responses to an administrator."""

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
        """Open a stream, and record its handshake."""
        headers = {"Authorization": f"Bearer {self.key}"}
        with connect(f"ws://127.0.0.1:{self.port}{path}", additional_headers=headers) as stream:
            assert stream.response is not None
            self.answers.append(("GET", path, Answer(stream.response.status_code, stream.response.headers, b"")))


class Visitor(Recorder):
    """The same for a server that is already running, and keeps running."""

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
    """The operations that succeeded at least once, and the last responses of the others."""

    succeeded: set[tuple[str, str]]
    failed: dict[tuple[str, str], bytes]


def outcome(server: Recorder, description: Description, folder: Path) -> Outcome:
    """Return the outcome of all requests; fail if a response is not as described."""
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

    result = outcome(server, description, tmp_path / "none")
    missing = {each: result.failed.get(each, b"not requested") for each in description.operations - result.succeeded}
    assert not missing, missing


# --- what users do, by subject; only responses that a later request needs are checked -----------------------------------


def use_the_server(server: Recorder) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/metrics", "/sys_info", "/signing-key"):
        server.get(path)


def decide(server: Recorder) -> None:
    """Make two submissions in an environment that does not replay; the organiser accepts one and voids the other."""
    habit = {"environment": "Habitual-v0", "kwargs": {"habits": ["pid"]}, "max_episode_steps": 5}
    server.post("/challenges", {"definition": {**CHALLENGE, "name": "habit", **habit}})
    for verb in ("accept", "void"):
        submission = server.post("/challenges/habit/submissions").json
        token, path = submission["token"], f"/submissions/{submission['submission_id']}"
        server.post(f"/v1/envs/{token}/reset")
        while not server.post(f"/v1/envs/{token}/step", {"action": 1}).json["done"]:
            pass
        server.post(f"/v1/envs/{token}/close")
        wait_for(lambda path=path: server.get(path).json["state"] == "not replayable")
        assert server.post(f"{path}/{verb}").status == 200


def compete_by_hand(server: Recorder) -> None:
    """Make a submission and abandon it."""
    definition = {**CHALLENGE, "name": "by-hand"}
    server.post("/challenges", {"definition": definition})
    cart = "/challenges/by-hand"
    submission = server.post(f"{cart}/submissions").json
    closed = server.post(f"/v1/envs/{submission['token']}/monitor/close")
    assert closed.status == 200, closed.body
    for path in (
        "/challenges",
        cart,
        f"{cart}/submissions",
        f"{cart}/leaderboard",
        f"/submissions/{submission['submission_id']}",
    ):
        server.get(path)
    for verb in ("close", "open"):
        server.post(f"{cart}/{verb}")


def begin_training(server: Recorder) -> tuple[str, dict[str, Any]]:
    """Start an experiment and a training of RUNT's; return the experiment's id and the names of the training."""
    experiment = server.started(**SHORT)
    path = f"/experiments/{server.experiment()}"
    for verb in ("train", "pause", "resume", "stop", "retry", "stop"):
        server.post(f"{path}/{verb}")
    server.request("PUT", path, {"tags": ["test"]})
    server.delete(f"/experiments/{server.post(f'{path}/copy').json['id']}")
    server.get("/experiments?limit=10")

    projects = f"/users/{server.id}/projects"
    project = f"{projects}/{server.post(projects, {'title': 'maps', 'project_type': 'pymarl'}).json['id']}"
    server.post(f"{project}/experiments", REQUEST)
    server.post(f"{project}/experiments/1/stop")
    for path in (f"{project}/experiments", f"{project}/experiments/1", projects, project):
        server.get(path)
    server.request("PATCH", project, {"title": "other maps"})
    server.delete(project)

    payload = {"algorithm": "PPO", "target_episode": 2, "n_UE": 1}
    return experiment, server.post("/train", payload).json["data"]


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
    instance = f"{envs}/{server.create('CartPole-v1', render_mode='rgb_array')}"
    server.post(f"{instance}/monitor/start", {"directory": "results"})
    server.post(f"{instance}/reset", {"seed": 1})
    server.post(f"{instance}/step", {"action": 0})
    server.post(f"{instance}/observation_space/contains", {"name": "Box"})
    server.connect(f"{instance}/stream")
    spaces = ("action_space", "action_space/sample", "action_space/contains/1", "observation_space")
    for path in (envs, instance, f"{instance}/render", *(f"{instance}/{space}" for space in spaces)):
        server.get(path)
    server.post("/tickets", {"path": f"{instance}/stream"})
    server.post(f"{instance}/monitor/close")
    server.post(f"{instance}/close")
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
    """Use the sessions of rewards-api; reading a stream waits until it ends."""
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
    """Send RUNT's requests about a training."""
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
    """Use models; return the id of one that is not deleted."""
    model = f"/models/{server.post('/models', {'experiment_id': experiment}).json['id']}"
    for path in ("/models", model, f"{model}/graph", f"{model}/onnx"):
        server.get(path)
    file = server.get(f"{model}/file").body
    upload = "/models/upload?title=mine&algorithm=PPO&environment=CartPole-v1"
    other = server.post(upload, file, Content_Type="application/zip").json["id"]
    server.request("PATCH", model, {"is_promoted": True})
    for verb, payload in (("push", None), ("retrain", {}), ("predict", {"observation": [0] * 4}), ("rollout", {})):
        server.post(f"{model}/{verb}", payload)
    server.delete(model)
    return str(other)


def compete(server: Recorder, model: str) -> None:
    """Make a team's two submissions: one is abandoned, the other is played by a model, and gets a video."""
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
