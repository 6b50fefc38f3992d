"""Protection of browsers, secrets and other users."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gym_http_server
from gymserve.settings import Settings
from gymserve.system import logs
from tests import ROOT
from tests.conftest import Secured
from tests.support.servers import PASSWORD, Server, wait_for

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@pytest.mark.parametrize("path", ["/", "/login", "/users/", "/health", "/v1/envs/", "/nothing", "/docs", "/redoc"])
def test_every_response_has_security_headers(secured: Secured, path: str) -> None:
    answer = secured.ask("participant", "GET", path)
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert re.match(r"default-src '(none|self)'", policy)


def test_responses_have_a_request_id_and_a_duration(secured: Secured) -> None:
    token = secured.ask("participant", "POST", "/v1/envs/", {"env_id": "CartPole-v1"}).json["token"]
    seen = set()
    for method, path in (
        ("GET", "/users/me"),
        ("POST", f"/v1/envs/{token}/reset/"),
        ("POST", f"/v1/envs/{token}/step/"),
    ):
        answer = secured.ask("participant", method, path, {"action": 1} if method == "POST" else None)
        assert answer.status == 200 and 0 < float(answer.headers["X-Process-Time"]) < 60
        seen.add(answer.headers["X-Request-Id"])
        kept = secured.ask("participant", method, path, {"action": 1}, X_Request_Id="my-id.1")
        assert kept.headers["X-Request-Id"] == "my-id.1"
        refused = secured.ask("participant", method, path, {"action": 1}, X_Request_Id="a b")
        assert re.fullmatch(r"[0-9a-f]{12}-\d+", refused.headers["X-Request-Id"])
    assert len(seen) == 3


@pytest.mark.parametrize("path", ["/health", "/v1/envs/nothing/step/"])
def test_an_open_server_answers_to_this_machines_names_only(server: Server, path: str) -> None:
    method, body = ("POST", {"action": 1}) if "step" in path else ("GET", None)
    statuses = {
        host: server.request(method, path, body, Host=f"{host}:{server.port}").json.get("error")
        for host in ("127.0.0.1", "localhost", "evil.example", "127.0.0.1.evil.example")
    }
    assert statuses["evil.example"] == statuses["127.0.0.1.evil.example"] == "BadRequest"
    assert statuses["127.0.0.1"] == statuses["localhost"] != "BadRequest"


SECRET = "planted-secret-of-logins-0123456789abcdef"
SPY = '''
import os
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class Spy(CartPoleEnv):
    """Reports what an environment can see of its process."""

    def reset(self, **kwargs):
        observation, info = super().reset(**kwargs)
        info["environ"] = dict(os.environ)
        info["arguments"] = open("/proc/self/cmdline").read()
        return observation, info


gymnasium.register("Spy-v0", Spy)
'''


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with accounts, planted secrets, logs, trusted hosts and allowed origins."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "spy_environments.py").write_text(SPY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""))))
        server = Server(
            folder / "data", AUTH="token", SECRETS=[SECRET],
            LOG_DIR=str(folder / "logs"), LOG_LEVEL="debug", LOG_FILE_MB=1,
            SHARED_ENVIRONMENTS=["Spy-v0"], ENVIRONMENT_MODULES=["spy_environments"],
            TRUSTED_HOSTS=["127.0.0.1", "gym.example.org", ".lab.example"], CORS_ORIGINS=["https://lab.example", "http://[::1]:3000"],
        )  # fmt: skip
    yield server
    assert server.stop() == 0


def test_trusted_hosts_are_a_setting(guarded: Server) -> None:
    good = {
        host: guarded.get("/health/live", Host=host).status for host in ("gym.example.org", "a.lab.example", "other")
    }
    assert good == {"gym.example.org": 200, "a.lab.example": 200, "other": 400}


FOREIGN = {"Origin": "https://evil.example"}


def test_pages_of_other_sites_may_not_call(server: Server) -> None:
    token = server.create("CartPole-v1")
    for path in ("/v1/shutdown/", "/v1/envs/", f"/v1/envs/{token}/reset/", f"/v1/envs/{token}/step/", "/users/"):
        assert server.request("POST", path, b"{}", Content_Type="text/plain", **FOREIGN).status == 403, path
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert server.get(f"/v1/envs/{token}/stream", **FOREIGN, **upgrade).status == 403
    assert "Access-Control-Allow-Origin" not in server.get("/health", **FOREIGN).headers
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    assert server.post(f"/v1/envs/{token}/reset/", **own).status == 200
    assert server.post(f"/v1/envs/{token}/step/", {"action": 1}, **own).status == 200


def test_pages_of_allowed_sites_may_call(guarded: Server) -> None:
    bearer = {"Authorization": f"Bearer {guarded.account('of another site')[1]}"}
    origin = {"Origin": "https://lab.example"}
    answer = guarded.post("/v1/envs/", {"env_id": "CartPole-v1"}, **origin, **bearer)
    assert answer.status == 200 and answer.headers["Access-Control-Allow-Origin"] == "https://lab.example"
    assert "Access-Control-Allow-Credentials" not in answer.headers and "Origin" in answer.headers["Vary"]
    preflight = guarded.request("OPTIONS", "/v1/envs/", **origin, Access_Control_Request_Method="POST")
    assert preflight.status == 200
    allowed = preflight.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Authorization", "If-None-Match", "Last-Event-ID"} <= set(allowed)
    assert {"X-Total-Count", "ETag"} <= set(preflight.headers["Access-Control-Expose-Headers"].split(", "))
    assert guarded.post("/v1/envs/", {"env_id": "CartPole-v1"}, **FOREIGN, **bearer).status == 403


def test_an_allowed_origin_is_compared_as_it_is(guarded: Server) -> None:
    name = "Access-Control-Allow-Origin"
    for origin in (
        None,
        "https://lab.example",
        "http://[::1]:3000",
        "http://1:3000",
        "https://lab.example.evil",
        "null",
    ):
        headers = guarded.get("/health/live", **({"Origin": origin} if origin else {})).headers
        assert headers[name] == (origin if origin in ("https://lab.example", "http://[::1]:3000") else None), origin
        assert "Origin" in headers["Vary"]  # a cache keeps the answers apart


def run(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GYMSERVE_")}
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=60, cwd=cwd, env={**clean, **environment}, check=False
    )


def test_an_open_server_stays_on_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        assert gym_http_server.main(["-p", "0", "-l", host, "--data", str(tmp_path)]) == 1
        message = capsys.readouterr().err
        assert 'set AUTH = "token", or FORCE_OPEN = True' in message and len(message.splitlines()) == 1


@pytest.mark.long  # tests/cli/test_serve.py has the guarantee's short tests
@pytest.mark.guarantee("an open server is started so that other machines reach it")
@pytest.mark.parametrize("has_settings", ["by the folder", "by -c", ""])
def test_an_open_server_stays_local_under_gunicorn(tmp_path: Path, has_settings: str) -> None:
    option = ["-c", "python:gymserve.web.serving.settings"] if has_settings == "by -c" else []
    ended = run(
        sys.executable, "-m", "gunicorn", *option, "-b", "0.0.0.0:0", "gym_http_server:app",
        cwd=ROOT if has_settings == "by the folder" else tmp_path, PYTHONPATH=str(ROOT), GYMSERVE_DATA=str(tmp_path),
    )  # fmt: skip
    assert ended.returncode != 0 and "FORCE_OPEN = True" in ended.stderr, ended.stderr
    assert not has_settings or ended.returncode == 1
    assert ("start it with -c python:gymserve.web.serving.settings" in ended.stderr) == (not has_settings)


def logged(guarded: Server) -> list[dict[str, Any]]:
    """Return the entries of the server's logs."""
    text = "".join(path.read_text() for path in Path(guarded.settings["LOG_DIR"]).iterdir())
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


@pytest.mark.guarantee("secrets are planted and looked for")
def test_secrets_appear_nowhere(guarded: Server) -> None:
    """Planted secrets, passwords and keys appear in no response, log, error or process list, and in no environment."""
    server = guarded
    _, key = server.account("a", "admin")
    bearer = {"Authorization": f"Bearer {key}"}
    texts = []
    form = f"username=a&password={PASSWORD.replace(' ', '+')}".encode()
    form_type = {"Content_Type": "application/x-www-form-urlencoded"}
    login = server.request("POST", "/token", form, **form_type).json["access_token"]
    server.request("POST", "/token", form + b"x", **form_type)
    token = server.post("/v1/envs/", {"env_id": "Spy-v0"}, **bearer).json["token"]
    for answer in (
        server.post(f"/v1/envs/{token}/reset/", **bearer),
        server.post(f"/v1/envs/{token}/step/", {"action": 77}, **bearer),
        server.post(f"/v1/envs/{token}/step/", {"action": 1}, Authorization=f"Bearer {key}x"),
        server.get("/users/", **bearer),
        server.get("/metrics", **bearer),
        server.get("/openapi.json"),
        server.get("/users/?limit=x", **bearer),
        server.get(f"/setup/{key}"),
        server.get(f"/no/such/path/{key}"),
    ):
        texts.append(answer.body.decode().replace(f"/no/such/path/{key}", ""))
    assert "environ" in texts[0]
    server.get("/health", X_Request_Id="the-last")  # requests are logged before they are answered
    wait_for(lambda: "the-last" in [entry.get("request_id") for entry in logged(server)])
    processes = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in server.processes()]
    audit = run(sys.executable, "gym_http_server.py", "--data", str(server.data), "audit").stdout
    logs = [path.read_text() for path in Path(server.settings["LOG_DIR"]).iterdir()]
    assert audit and logs[0]
    for secret in (SECRET, PASSWORD, PASSWORD + "x", key, login, key + "x"):
        for place in (*texts, *processes, *logs, audit, "".join(server.output)):
            assert secret not in place, place[:3000]
    assert token not in "".join(logs)  # it gives no access, but is not needed there either


def test_logs_are_json_with_request_ids(guarded: Server) -> None:
    guarded.get("/health", X_Request_Id="find-me")
    (entry,) = wait_for(lambda: [entry for entry in logged(guarded) if entry.get("request_id") == "find-me"])
    assert entry["message"] == "GET /health 200" and entry["level"] == "info" and entry["milliseconds"] > 0
    today = time.strftime("gymserve-%Y-%m-%d.0.jsonl", time.gmtime())
    assert today in [path.name for path in Path(guarded.settings["LOG_DIR"]).iterdir()]


def test_errors_have_their_own_log_file(tmp_path: Path) -> None:
    logs.configure(Settings(LOG_DIR=str(tmp_path)).pick(logs.LogSettings))
    try:
        for name in ("gymserve.web", "gymserve.training"):
            logging.getLogger(name).info("fine")
            logging.getLogger(name).error("oh dear")
    finally:
        logs.configure(Settings().pick(logs.LogSettings))
    messages = {
        path.name.partition(time.strftime("%Y"))[0]: [
            json.loads(line)["message"] for line in path.read_text().splitlines()
        ]
        for path in tmp_path.iterdir()
    }
    assert messages == {
        "gymserve-": ["fine", "oh dear"] * 2, "training_": ["fine", "oh dear"], "errors_": ["oh dear"] * 2,
    }  # fmt: skip


SMUGGLING = {
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nGET /",
    "a length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "chunks, misspelt": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a length with a sign": b"Content-Length: +4\r\n\r\nGET ",
    "a length in hexadecimal": b"Content-Length: 0x4\r\n\r\nGET ",
    "a space before the colon": b"Content-Length : 4\r\n\r\nGET ",
    "a bare line feed in a chunk": b"Transfer-Encoding: chunked\r\n\r\n2\nGE\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("what", SMUGGLING)
def test_smuggled_requests_are_refused(server: Server, what: str) -> None:
    token = server.create("CartPole-v1")
    hidden = f"POST /v1/envs/{token}/close/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as sock:
        sock.sendall(b"POST /v1/envs/x/reset/ HTTP/1.1\r\nHost: 127.0.0.1\r\n" + SMUGGLING[what] + hidden)
        answer = sock.recv(65536)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), answer
    assert server.get(f"/v1/envs/{token}/").status == 200, "the hidden request was carried out"
