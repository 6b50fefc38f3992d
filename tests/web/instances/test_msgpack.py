"""Bytes over HTTP: create, reset and step in msgpack, with the packed values of the stream."""

from typing import Any

import gymnasium
import msgspec
import numpy as np
import pytest

from gymserve.protocol.spaces import codec
from gymserve.web.instances.parameters import Form, form
from tests.conftest import Secured
from tests.support.servers import Answer, Server
from tests.web.challenges.playing import begin, define

MSGPACK = "application/msgpack"
encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode
FAST: dict[str, str] = {}
PATHS = {"fast path": FAST, "view": {"Origin": "http://{host}"}}  # the fast path leaves requests of pages to the view


def ask(server: Server, path: str, body: Any = None, *, accept: str = MSGPACK, **headers: str) -> Answer:
    """Makes a request with a msgpack body."""
    data = body if isinstance(body, bytes) else encode({} if body is None else body)
    headers = {name: value.format(host=server.url.partition("://")[2]) for name, value in headers.items()}
    return server.request("POST", f"/v1/envs/{path}", data, Content_Type=MSGPACK, Accept=accept, **headers)


def unpacked(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == MSGPACK
    value: dict[str, Any] = decode(answer.body)
    return value


@pytest.mark.parametrize(
    ("content_type", "accept", "expected"),
    [
        ("application/json", "", Form(False, False)),
        ("application/json", "*/*", Form(False, False)),
        ("application/json", MSGPACK, Form(False, True)),
        ("application/json", "application/msgpack, application/json;q=0.9, */*;q=0.1", Form(False, True)),
        ("application/json", "application/json, application/msgpack", Form(False, False)),
        ("application/json", "application/msgpack;q=0.5, application/json", Form(False, False)),
        ("application/json", "application/msgpack;q=0", Form(False, False)),
        ("application/json", "text/html", Form(False, False)),
        (" Application/MsgPack; charset=binary", "Application/MSGPACK", Form(True, True)),
        (MSGPACK, "application/json", Form(True, False)),
        ("application/msgpack2", "application/msgpack2", Form(False, False)),
        ("", "", Form(False, False)),
    ],
)
def test_the_form_is_what_the_headers_say(content_type: str, accept: str, expected: Form) -> None:
    assert form(content_type, accept) == expected


@pytest.mark.parametrize("headers", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1"])
def test_trajectories_match_the_local_environment(server: Server, env_id: str, headers: dict[str, str]) -> None:
    created = {"env_id": env_id, "max_episode_steps": 15}
    instance = unpacked(ask(server, "", created, **headers))["instance_id"]
    env = gymnasium.make(env_id, max_episode_steps=15)
    env.action_space.seed(7)
    actions, observations = codec(env.action_space), codec(env.observation_space)
    first = unpacked(ask(server, f"{instance}/reset/", {"seed": 7}, **headers))
    assert first["observation"] == observations.pack(env.reset(seed=7)[0]) and list(first) == ["observation", "info"]
    for seq in range(20):
        action = env.action_space.sample()
        body = {"action": actions.pack(action), "seq": seq}
        answer = unpacked(ask(server, f"{instance}/step/", body, **headers))
        observation, reward, terminated, truncated, info = env.step(action)
        assert answer == {
            "observation": observations.pack(observation),
            "reward": reward,
            "done": terminated or truncated,
            "terminated": terminated,
            "truncated": truncated,
            "info": info,
        }
        if answer["done"]:
            break


def test_a_vector_instance_answers_bytes(server: Server) -> None:
    instance = server.create("CartPole-v1", num_envs=3, autoreset_mode="SameStep")
    observation = unpacked(ask(server, f"{instance}/reset/", {"seed": [1, 2, 3]}))["observation"]
    local = np.stack([gymnasium.make("CartPole-v1").reset(seed=seed)[0] for seed in (1, 2, 3)])
    assert observation == local.tobytes()
    answer = unpacked(ask(server, f"{instance}/step/", {"action": np.array([0, 1, 0]).tobytes()}))
    assert np.frombuffer(answer["reward"]).tolist() == [1.0] * 3
    assert answer["done"] == answer["terminated"] == answer["truncated"] == bytes(3)
    assert len(answer["observation"]) == 3 * 4 * 4


def test_info_holds_arrays_as_on_the_stream(server: Server) -> None:
    instance = server.create("Taxi-v4")
    info = unpacked(ask(server, f"{instance}/reset/", {"seed": 0}))["info"]
    _, expected = gymnasium.make("Taxi-v4").reset(seed=0)
    mask = info["action_mask"]
    assert mask.code == 1 and decode(mask.data) == ["|i1", [6], expected["action_mask"].tobytes()]


@pytest.mark.guarantee("an answer is lost, and the call repeated")
def test_a_repeated_call_gets_the_same_bytes_and_the_same_step_as_json(server: Server) -> None:
    instance = server.create("Pendulum-v1")
    ask(server, f"{instance}/reset/", {"seed": 1, "seq": 0})
    action = np.array([0.5], np.float32)
    first = ask(server, f"{instance}/step/", {"action": action.tobytes(), "seq": 1})
    assert ask(server, f"{instance}/step/", {"action": action.tobytes(), "seq": 1}).body == first.body
    plain = server.post(f"/v1/envs/{instance}/step/", {"action": [0.5], "seq": 1}).json
    assert np.float32(plain["observation"]).tobytes() == unpacked(first)["observation"]
    assert server.get(f"/v1/envs/{instance}/").json["steps"] == 1
    other = ask(server, f"{instance}/step/", {"action": bytes(4), "seq": 1})
    assert other.status == 422 and other.json["error"] == "KeyReused"


def test_json_may_be_answered_in_msgpack_and_msgpack_in_json(server: Server) -> None:
    instance = server.create("CartPole-v1")
    reset = server.post(f"/v1/envs/{instance}/reset/", {"seed": 3}, Accept=MSGPACK)
    assert len(unpacked(reset)["observation"]) == 16
    step = ask(server, f"{instance}/step/", {"action": 1}, accept="*/*")
    assert step.headers["Content-Type"] == "application/json" and len(step.json["observation"]) == 4
    assert unpacked(server.post(f"/v1/envs/{instance}/reset/", None, Accept=MSGPACK))["info"] == {}
    assert unpacked(ask(server, f"{instance}/reset/", b""))["info"] == {}


def test_a_graded_instance_ends_with_nil(secured: Secured) -> None:
    define(secured, name="packed", trials={"number": 1})
    instance = begin(secured, "packed")["instance_id"]
    headers = {"Authorization": f"Bearer {secured.keys['participant']}"}
    assert len(unpacked(ask(secured.server, f"{instance}/reset/", **headers))["observation"]) == 16
    while not unpacked(ask(secured.server, f"{instance}/step/", {"action": 1}, **headers))["done"]:
        pass
    assert unpacked(ask(secured.server, f"{instance}/reset/", **headers)) == {"observation": None, "info": {}}
    refused = ask(secured.server, f"{instance}/step/", {"action": 1}, **headers)
    assert refused.status == 409 and refused.headers["Content-Type"] == "application/json"


def test_a_submission_begins_with_msgpack(secured: Secured) -> None:
    define(secured, name="packed-too")
    headers = {"Authorization": f"Bearer {secured.keys['participant']}"}
    begun = unpacked(ask(secured.server, "", {"env_id": "challenge:packed-too"}, **headers))
    assert begun["submission_id"] and begun["instance_id"] == begun["token"]


TWICE = b"\x82\xa6action\x00\xa6action\x01"
BAD = {
    "nothing": (b"", "not valid msgpack"),
    "half an action": (b"\x81\xa6action\xc4\x04ab", "truncated"),
    "4 GiB": (b"\x81\xa6action\xc6\xff\xff\xff\xff", "truncated"),
    "2**32 - 1 members": (b"\xdf\xff\xff\xff\xff", "more than 200000 values"),
    "an action twice": (TWICE, "the msgpack names 'action' twice"),
    "no map": (encode([1]), "a map with parameters is needed"),
    "no action": ({"seq": 1}, "A required request parameter 'action' was not provided"),
    "nil": ({"action": None}, "A required request parameter 'action' was not provided"),
    "a list of numbers": ({"action": [0.5]}, "action is a list, expected the bytes of an array"),
    "bytes of another shape": ({"action": bytes(8)}, "action has 8 bytes, expected 4"),
    "NaN": ({"action": np.float32("nan").tobytes()}, "action[0] is NaN"),
    "a NaN elsewhere": ({"action": bytes(4), "other": float("nan")}, "must be finite"),
    "out of range": ({"action": np.float32(3).tobytes()}, "action[0] is 3.0, above its limit of 2.0"),
    "a text as seq": ({"action": bytes(4), "seq": "1"}, "seq must be an integer from 0 to 2**32 - 1, not '1'"),
    "too deep": (b"\x81\xa6action" + b"\x91" * 101 + b"\x00", "too deeply"),
    "an extension": ({"action": msgspec.msgpack.Ext(1, b"")}, "extensions are not allowed"),
}


@pytest.mark.guarantee("somebody sends what takes much time or memory to read")
@pytest.mark.parametrize("headers", PATHS.values(), ids=PATHS)
def test_a_bad_body_is_refused_with_its_reason_as_json(server: Server, headers: dict[str, str]) -> None:
    instance = server.create("Pendulum-v1")
    ask(server, f"{instance}/reset/")
    for name, (body, reason) in BAD.items():
        answer = ask(server, f"{instance}/step/", body, **headers)
        assert answer.status == 400 and reason in answer.json["message"], (name, answer.body)
        assert answer.headers["Content-Type"] == "application/json"
        assert "InvalidRequest InvalidValue".find(answer.json["error"]) >= 0
    assert server.get(f"/v1/envs/{instance}/").json["steps"] == 0


def test_other_requests_hold_only_what_json_could_say(server: Server) -> None:
    instance = server.create("CartPole-v1")
    for path, body, reason in (
        ("", {"env_id": "CartPole-v1", "kwargs": {"a": b"b"}}, "bytes are for packed actions only"),
        ("", {"env_id": "CartPole-v1", "num_envs": 0}, "num_envs must be an integer from 1, not 0"),
        ("", {}, "A required request parameter 'env_id' was not provided"),
        (f"{instance}/reset/", {"seed": -1}, "seed must be an integer from 0 to 2**32 - 1"),
        (f"{instance}/reset/", {"options": {"low": float("inf")}}, "must be finite"),
        (f"{instance}/reset/", [], "a map with parameters is needed"),
    ):
        answer = ask(server, path, body)
        assert answer.status == 400 and reason in answer.json["message"], answer.body
    assert ask(server, f"{instance}/monitor/start/", {"directory": "tmp"}).status == 400


@pytest.mark.parametrize(("path", "status"), [("s0.nobody/step/", 400), ("s0.nobody/reset/", 400), ("a/b/c", 404)])
def test_errors_are_json_whatever_is_asked_for(server: Server, path: str, status: int) -> None:
    answer = ask(server, path, {"action": 0})
    assert answer.status == status and set(answer.json) == {"message", "error"}
