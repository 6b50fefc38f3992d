"""On a full disk every kind of request is answered or refused, nothing acknowledged is lost, and the server recovers."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import PASSWORD, Answer, Server, small_disk, wait_for

FORM = "application/x-www-form-urlencoded"
LIGHT = {
    "name": "cart",
    "environment": "CartPole-v1",
    "max_episode_steps": 5,
    "trials": {"number": 1},
    "scoring": {"worst": 0},
}
EXPERIMENT = {"name": "waits", "algorithm": "PPO", "environment": "CartPole-v1", "total_timesteps": 256}
PROJECT = {"title": "maps", "description": "", "project_type": "pymarl"}


class FullServer:
    """A server on a small disk that can be filled, with an instance, a submission, an experiment and a project."""

    def __init__(self, disk: Path) -> None:
        self.disk = disk
        # No experiments run and no videos are made: other tests cover those processes.
        self.server = Server(
            disk / "data", AUTH="token", SIGN_UP=True, MAX_CONCURRENT_EXPERIMENTS=0, LOGIN_ATTEMPTS=1000
        )
        self.user, self.key = self.server.account("organiser@example.org", "admin")
        self.token = self.create("POST", "/v1/envs/", {"env_id": "Pendulum-v1", "max_episode_steps": 10**6})["token"]
        self.create("POST", f"/v1/envs/{self.token}/reset/")
        self.challenge = self.create("POST", "/challenges/", {"definition": LIGHT})["name"]
        self.submission = self.create("POST", "/challenges/cart/submissions/")["token"]
        self.experiment = self.create("POST", "/experiments/", EXPERIMENT)["id"]
        self.project = self.create("POST", f"/users/{self.user}/projects/", PROJECT)["id"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return self.server.request(method, path, body, Authorization=f"Bearer {self.key}", **headers)

    def create(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.ask(method, path, body)
        assert answer.status in (200, 201), answer.body
        return answer.json

    def fill(self) -> None:
        with contextlib.suppress(OSError), (self.disk / "filler").open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        (self.disk / "filler").unlink()

    def everything(self) -> Iterator[tuple[str, Answer]]:
        """Send each kind of request that writes, and all that only read, and yield their responses."""
        here, cart, experiment = f"/v1/envs/{self.token}", "/challenges/cart", f"/experiments/{self.experiment}"
        password = f"username=organiser@example.org&password={PASSWORD}".encode()
        for method, path, body in (
            ("POST", "/token", password),
            ("POST", "/token", b"username=nobody&password=wrong"),
            ("POST", "/login", {"username": "organiser@example.org", "password": PASSWORD}),
            ("POST", "/users/", {"email": "new@example.org", "password": PASSWORD}),
            ("PATCH", f"/users/{self.user}/", {"email": "chief@example.org"}),
            ("POST", f"/users/{self.user}/keys/", {"name": "another"}),
            ("POST", f"/users/{self.user}/projects/", {**PROJECT, "title": "more"}),
            ("PATCH", f"/users/{self.user}/projects/{self.project}/", {"title": "changed"}),
            ("POST", "/v1/envs/", {"env_id": "CartPole-v1"}),
            ("POST", "/v1/envs/", {"env_id": "HalfCheetah-v5"}),
            ("POST", f"{here}/step/", {"action": [0.0]}),
            ("POST", f"{here}/monitor/start/", {"directory": "results"}),
            ("POST", f"{here}/reset/", {}),
            ("POST", f"{here}/monitor/close/", None),
            ("POST", "/v1/upload/", {"training_dir": "results", "api_key": "x"}),
            ("POST", "/challenges/", {"definition": {**LIGHT, "name": "another"}}),
            ("POST", f"{cart}/close/", None),
            ("POST", f"{cart}/open/", None),
            ("POST", f"{cart}/submissions/", None),
            ("POST", f"{cart}/team/", {"name": "we"}),
            ("POST", f"/v1/envs/{self.submission}/reset/", {}),
            ("POST", f"/v1/envs/{self.submission}/step/", {"action": 0}),
            ("POST", f"/v1/envs/{self.submission}/monitor/close/", None),
            ("POST", "/experiments/", EXPERIMENT),
            ("PUT", experiment, {"tags": ["full"]}),
            ("POST", f"{experiment}/train", None),
            ("POST", f"{experiment}/copy", None),
            ("POST", f"{experiment}/stop", None),
            ("POST", "/models/upload?title=m&algorithm=PPO&environment=CartPole-v1", b"no zip"),
            ("POST", "/api/v1/create_session?session_id=racer", None),
            ("DELETE", f"/users/{self.user}/projects/{self.project}/", None),
        ):
            kind = {"Content_Type": FORM} if isinstance(body, bytes) else {}
            yield f"{method} {path}", self.ask(method, path, body, **kind)
        for path, operations in self.server.get("/openapi.json").json["paths"].items():
            if "get" in operations and "{" not in path and "/stream" not in path:
                yield f"GET {path}", self.ask("GET", path)
        for path in ("/", "/login", "/training", here, f"{here}/render", cart, f"{cart}/leaderboard/"):
            yield f"GET {path}", self.ask("GET", path)


@pytest.mark.long
@pytest.mark.needs("mount")
@pytest.mark.guarantee("the disk is full")
def test_with_a_full_disk_every_kind_of_request_is_answered_or_refused(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=8) as disk, contextlib.ExitStack() as stopping:
        full = FullServer(disk)
        stopping.callback(full.server.stop)
        workers, supervisor = full.server.workers(), full.server.supervisor()
        full.fill()
        refused = 0
        for what, answer in full.everything():
            full.fill()  # space that a request has freed must not help the next one
            assert answer.status < 500 or answer.status in (503, 507), (what, answer.status, answer.body)
            refused += answer.status == 507
            if answer.status >= 500 and what.startswith("POST"):
                assert "full" in answer.json["message"] or "space" in answer.json["message"] or answer.status == 503, (
                    what
                )
        assert refused > 5
        assert (full.server.workers(), full.server.supervisor()) == (workers, supervisor)
        full.empty()
        wait_for(lambda: full.ask("POST", f"/v1/envs/{full.token}/step/", {"action": [0.0]}).status == 200)
        for what, answer in full.everything():
            ready = what == "GET /health/ready"  # it needs more space than this disk has
            assert answer.status < 500 or ready, (what, answer.status, answer.body)
        for name in ("one", "two"):
            answer = full.ask("POST", f"/users/{full.user}/keys/", {"name": name})
            assert answer.status == 200, json.loads(answer.body)
        assert full.server.stop() == 0
