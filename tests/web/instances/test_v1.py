"""The v1 API, as openai/gym-http-api's clients call it, and its later additions."""

import gzip
import http.client
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from PIL import Image

from gymserve.hosts import folders
from tests import ROOT
from tests.support.servers import Server, alive, wait_for

GOLDEN = json.loads((Path(__file__).parent / "golden" / "v1.json").read_text())


def test_golden(server: Server) -> None:
    """Check all cases in order, since later ones build on earlier ones."""
    instance = server.create("CartPole-v1")
    assert len(GOLDEN) > 50
    for case in GOLDEN:
        try:
            check_case(server, instance, case)
        except AssertionError as error:
            raise AssertionError(case) from error


def check_case(server: Server, instance: str, case: dict[str, Any]) -> None:
    method = "POST" if "post" in case else "GET"
    path = (case.get("post") or case["get"]).replace("INSTANCE", instance)
    content_type = case.get("type", "application/json")
    headers = {"Content_Type": content_type} if content_type and method == "POST" else {}
    answer = server.request(method, path, case.get("body", "").encode() if method == "POST" else None, **headers)
    assert answer.status == case["status"], answer.body
    if answer.status == 204:
        assert answer.headers["Content-Type"].startswith("text/html") and not answer.body
        return
    assert answer.headers["Content-Type"] == "application/json"
    assert ("message" in answer.json) == (answer.status >= 400)
    assert case.get("message", "").replace("INSTANCE", instance).lower() in answer.json.get("message", "").lower()
    assert answer.json == case.get("json", answer.json)
    assert sorted(answer.json) == case.get("keys", sorted(answer.json))


@pytest.mark.parametrize(
    ("requested", "environment"),
    [("FrozenLake-v0", "FrozenLake-v1"), ("Pendulum-v0", "Pendulum-v1"), ("LunarLander-v2", "LunarLander-v3")],
)
def test_old_ids_are_echoed_as_requested(server: Server, requested: str, environment: str) -> None:
    token = server.create(requested)
    assert server.get("/v1/envs/").json["all_envs"][token] == requested
    described = server.get(f"/v1/envs/{token}/").json
    assert (described["env_id"], described["environment"]) == (requested, environment)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_a_seed_is_for_the_first_reset_only(server: Server, seed: int) -> None:
    token = server.create("CartPole-v1", seed=seed)
    env = gymnasium.make("CartPole-v1")
    assert server.post(f"/v1/envs/{token}/reset/").json["observation"] == env.reset(seed=seed)[0].tolist()
    assert server.post(f"/v1/envs/{token}/reset/").json["observation"] == env.reset()[0].tolist()


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1", "Taxi-v4", "LunarLander-v3"]
)
def test_trajectories_match_the_local_environment(server: Server, env_id: str) -> None:
    token = server.create(env_id)
    env = gymnasium.make(env_id)
    env.action_space.seed(7)
    seen = server.post(f"/v1/envs/{token}/reset/", {"seed": 7}).json["observation"]
    assert np.allclose(np.asarray(seen, float), np.asarray(env.reset(seed=7)[0], float), rtol=0, atol=0)
    for _ in range(30):
        action = env.action_space.sample()
        answer = server.post(f"/v1/envs/{token}/step/", {"action": np.asarray(action).tolist()}).json
        observation, reward, terminated, truncated, _ = env.step(action)
        assert np.allclose(np.asarray(answer["observation"], float), np.asarray(observation, float), rtol=0, atol=0)
        assert (answer["reward"], answer["terminated"], answer["truncated"]) == (reward, terminated, truncated)
        assert answer["done"] == (terminated or truncated)
        if answer["done"]:
            break


def test_a_time_limit_is_reported_in_info_for_old_clients(server: Server) -> None:
    token = server.create("CartPole-v1", max_episode_steps=2)
    server.post(f"/v1/envs/{token}/reset/")
    assert "TimeLimit.truncated" not in server.post(f"/v1/envs/{token}/step/", {"action": 0}).json["info"]
    last = server.post(f"/v1/envs/{token}/step/", {"action": 0}).json
    assert last["done"] and last["truncated"] and last["info"]["TimeLimit.truncated"] is True
    over = server.post(f"/v1/envs/{token}/step/", {"action": 0})
    assert over.status == 409 and "reset" in over.json["message"]


def test_a_step_before_the_first_reset_is_a_conflict(server: Server) -> None:
    answer = server.post(f"/v1/envs/{server.create('CartPole-v1')}/step/", {"action": 0})
    assert answer.status == 409 and "before its first step" in answer.json["message"]


def test_a_vector_instance_returns_lists(server: Server) -> None:
    token = server.create("CartPole-v1", num_envs=3, autoreset_mode="SameStep")
    assert np.shape(server.post(f"/v1/envs/{token}/reset/", {"seed": 1}).json["observation"]) == (3, 4)
    answer = server.post(f"/v1/envs/{token}/step/", {"action": [0, 1, 0]}).json
    assert answer["reward"] == [1.0] * 3 and answer["done"] == [False] * 3
    described = server.get(f"/v1/envs/{token}/").json
    assert described["num_envs"] == 3 and described["autoreset_mode"] == "SameStep"
    assert described["observation_space"]["shape"] == [4]
    wrong = server.post(f"/v1/envs/{token}/step/", {"action": [0, 1]})
    assert wrong.status == 400 and "shape" in wrong.json["message"]


def test_kwargs_reach_the_environment(server: Server) -> None:
    token = server.create("FrozenLake-v1", kwargs={"map_name": "8x8"})
    assert server.get(f"/v1/envs/{token}/observation_space/").json == {"info": {"name": "Discrete", "n": 64}}


def test_infinite_bounds_are_numbers(server: Server) -> None:
    body = server.get(f"/v1/envs/{server.create('CartPole-v1')}/observation_space/").body
    info = json.loads(body)["info"]
    assert info["high"][1] == 1e100 and info["low"][1] == -1e100 and b"Infinity" not in body and b"null" not in body


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_rendered_images_match_the_local_environment(server: Server, render_mode: str | None) -> None:
    token = server.create("CartPole-v1", render_mode=render_mode)
    server.post(f"/v1/envs/{token}/reset/", {"seed": 3})
    server.post(f"/v1/envs/{token}/step/", {"action": 1})
    answer = server.get(f"/v1/envs/{token}/render")
    assert answer.headers["Content-Type"] == "image/png"
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    env.reset(seed=3)
    env.step(1)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.body))), env.render())


def test_a_description_has_the_instances_progress(server: Server) -> None:
    token = server.create("CartPole-v1")
    server.post(f"/v1/envs/{token}/reset/", {"seq": 4})
    server.post(f"/v1/envs/{token}/step/", {"action": 1, "seq": 5})
    described = server.get(f"/v1/envs/{token}/").json
    assert (described["steps"], described["episode"], described["seq"], described["state"]) == (1, 1, 5, "running")
    split = described["latency_us"]
    assert 0 < split["environment"] < split["total"] and 0 < split["journal"] < split["total"]
    assert all(mean <= described["latency_p99_us"][part] <= 2 * mean + 1 for part, mean in split.items())  # of one step


def test_an_idempotency_key_makes_one_instance(server: Server) -> None:
    answers = [server.post("/v1/envs/", {"env_id": "CartPole-v1"}, Idempotency_Key="a key") for _ in range(3)]
    assert len({answer.json["instance_id"] for answer in answers}) == 1
    other = server.post("/v1/envs/", {"env_id": "Pendulum-v1"}, Idempotency_Key="a key")
    assert other.status == 422 and "Idempotency-Key" in other.json["message"]


@pytest.mark.parametrize(("describe", "query"), [("full", ""), ("short", "?bounds=short")])
def test_a_new_instance_is_described_in_the_same_response(server: Server, describe: str, query: str) -> None:
    created = server.post(f"/v1/envs/?describe={describe}", {"env_id": "Pendulum-v1"}).json
    described = server.get(f"/v1/envs/{created['instance_id']}/{query}").json
    changing = {"age_seconds": 0, "idle_seconds": 0}
    assert created["description"] | changing == described | changing
    assert "description" not in server.post("/v1/envs/", {"env_id": "Pendulum-v1"}).json


def test_an_unknown_kind_of_description_makes_no_instance(server: Server) -> None:
    before = server.get("/v1/envs/").json
    refused = server.post("/v1/envs/?describe=long", {"env_id": "CartPole-v1"})
    assert refused.status == 400 and "describe must be" in refused.json["message"]
    assert server.get("/v1/envs/").json == before


def test_a_body_may_have_a_byte_order_mark_but_no_compression(server: Server) -> None:
    instance = server.create("CartPole-v1")
    assert server.post(f"/v1/envs/{instance}/reset/").status == 200
    payload = b'{"action": 1}'
    marked = server.post(f"/v1/envs/{instance}/step/", b"\xef\xbb\xbf" + payload, Content_Type="application/json")
    assert marked.status == 200, marked.body
    for path in (f"/v1/envs/{instance}/step/", "/v1/envs/"):
        packed = server.post(path, gzip.compress(payload), Content_Type="application/json", Content_Encoding="gzip")
        assert packed.status == 415 and "gzip" in packed.json["message"]


def test_an_invalid_step_limit_is_refused_with_its_range(server: Server) -> None:
    for steps in (-1, 0, 10**12, 1.5):
        answer = server.post("/v1/envs/", {"env_id": "CartPole-v1", "max_episode_steps": steps})
        assert answer.status == 400 and "from 1 to 2**31 - 1" in answer.json["message"]


def test_a_vector_needs_at_least_one_copy(server: Server) -> None:
    for copies in (0, -1, True, 2.0):
        answer = server.post("/v1/envs/", {"env_id": "CartPole-v1", "num_envs": copies})
        assert answer.status == 400 and f"num_envs must be an integer from 1, not {copies}" in answer.json["message"]


def test_each_copy_needs_its_own_seed_if_one_has_it(server: Server) -> None:
    token = server.create("Pendulum-v1", num_envs=3)
    answer = server.post(f"/v1/envs/{token}/reset/", {"seed": [3, 9, 3]}).json["observation"]
    assert answer[0] == answer[2] != answer[1]
    # A seed drawn for a copy without one is not in the journal, so its episode could not be replayed.
    for seed, text in (([3, None, 5], "seed[1] must be"), ([3, -1, 5], "seed[1] must be"), ([3], "has 1 elements")):
        refused = server.post(f"/v1/envs/{token}/reset/", {"seed": seed})
        assert refused.status == 400 and text in refused.json["message"]
    one = server.post(f"/v1/envs/{server.create('CartPole-v1')}/reset/", {"seed": [3]})
    assert one.status == 400 and "seed must be an integer" in one.json["message"]


def test_the_catalogue_is_listed(server: Server) -> None:
    rows = {row["id"]: row for row in server.get("/v1/environments/").json["environments"]}
    assert rows["CartPole-v1"]["action_space"] == {"name": "Discrete", "n": 2}
    assert server.get("/v1/environments/ALE/Pong-v5/").json["observation_space"]["shape"] == [210, 160, 3]


def test_health(server: Server) -> None:
    health = server.get("/health").json
    assert health["status"] == "healthy" and health["timestamp"].endswith("Z") and health["uptime_seconds"] > 0


@pytest.mark.long
def test_the_server_can_be_shut_down(start: Callable[..., Server]) -> None:
    server = start()
    processes = server.processes()
    answer = server.post("/v1/shutdown/")
    assert answer.status == 200 and answer.body == b"Server shutting down"
    assert server.process.wait(30) == 0
    wait_for(lambda: not [pid for pid in processes if alive(pid)])


def test_tokens_cannot_be_guessed() -> None:
    tokens = {folders.new_token("s0") for _ in range(100_000)}
    assert len(tokens) == 100_000
    assert {len(token) for token in tokens} == {len("s0-") + 22}  # 22 characters of 6 bits: 128 random bits
    counts = np.zeros((21, 256), int)
    for token in tokens:
        for place, character in enumerate(token[3:24]):
            counts[place, ord(character)] += 1
    used = counts[:, counts.any(0)]
    assert used.shape == (21, 64) and (abs(used - 100_000 / 64) < 6 * np.sqrt(100_000 / 64)).all()


@pytest.mark.long
def test_gunicorn_serves_it_by_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gunicorn", "-b", f"unix:{tmp_path}/s", "gym_http_server:app"]
    environment = os.environ | {"GYMSERVE_DATA": str(tmp_path / "data")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        wait_for((tmp_path / "s").exists)
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(tmp_path / "s"))
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        process.terminate()
        assert process.wait(40) == 0
    supervisor = int((tmp_path / "data" / "lock").read_text())
    wait_for(lambda: not alive(supervisor))
