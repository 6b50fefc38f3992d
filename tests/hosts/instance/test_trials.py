"""The state machine of graded instances: every trial counts once, whatever an agent does."""

from pathlib import Path
from typing import Any

import gymnasium
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gymserve.client import Conflict, Limits
from gymserve.client.transport.address import Address
from gymserve.client.transport.instance import Instance, InstanceRequest
from gymserve.client.transport.sync import SyncConnection
from gymserve.hosts import folders
from gymserve.journal import Reset, Step
from gymserve.protocol.errors import InvalidRequest
from tests.hosts.instance.graders import FAULTY, PLAN, SEEDS, Grader
from tests.support.environments.faulty import Telltale
from tests.support.servers import Server, wait_for

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


def firsts(seeds: list[int] = SEEDS) -> list[list[float]]:
    return [gymnasium.make("CartPole-v1").reset(seed=seed)[0].tolist() for seed in seeds]


def test_resets_follow_the_plan_and_then_return_null(grader: Grader) -> None:
    token = grader.create()
    seen = []
    for trial in range(3):
        seen.append(grader.reset(token, seed=1, options={"low": 0.0, "high": 0.0}).json["observation"])
        grader.play(token)
        description = grader.describe(token)
        progress = description["trial"], description["trials"], description["trials_over"]
        assert progress == (trial + 1, 3, trial == 2)
    assert seen == firsts()
    before = grader.records(token)
    for _ in range(3):
        answer = grader.reset(token)
        assert (answer.status, answer.json) == (200, {"observation": None, "info": {}})
        refused = grader.step(token)
        assert refused.status == 409 and "trials are over" in refused.json["message"]
    assert grader.records(token) == before


def test_a_reset_during_a_trial_ends_it(grader: Grader) -> None:
    token = grader.create()
    for _ in range(3):
        assert grader.reset(token).json["observation"]
        assert grader.step(token).status == 200
    assert grader.reset(token).json["observation"] is None
    assert grader.step(token).status == 409
    kinds = [type(record).__name__ for record in grader.records(token)[1:]]
    assert kinds == ["Reset", "Step"] * 3 + ["Ended"]
    assert grader.records(token)[-1].reason == "reset"


def test_repeated_resets_give_no_more_trials_than_the_plan_has(grader: Grader) -> None:
    token = grader.create()
    starts = [grader.reset(token).json["observation"] for _ in range(12)]
    assert starts == firsts() + [None] * 9
    assert sum(isinstance(record, Reset) for record in grader.records(token)) == 3


def test_a_step_before_a_reset_or_after_a_trial_is_a_conflict(grader: Grader) -> None:
    token = grader.create()
    assert grader.step(token).status == 409
    grader.reset(token)
    grader.play(token)
    refused = grader.step(token)
    assert refused.status == 409 and "reset" in refused.json["message"]


def test_agents_cannot_create_graded_instances(grader: Grader) -> None:
    answer = grader.server.post("/v1/envs/", {"env_id": "CartPole-v1", "trials": PLAN})
    token = answer.json["instance_id"]
    assert "trials" not in grader.describe(token) and not grader.records(token)[0].recipe.is_graded
    wrong_trials: tuple[list[dict[str, object]], ...] = (
        [], [{}], [{"seed": 2**63}], [{"seed": True}], [{"seed": 1, "options": 3}], [{"seed": 1, "x": 2}],
    )  # fmt: skip
    for wrong in wrong_trials:
        with pytest.raises(InvalidRequest):
            grader.create(trials=wrong)
    with pytest.raises(InvalidRequest):
        grader.create(num_envs=2)


def test_binary_and_text_frames_say_that_the_trials_are_over(grader: Grader) -> None:
    token = grader.create()
    with connect(f"ws://127.0.0.1:{grader.server.port}/v1/envs/{token}/stream") as stream:

        def ask(*message: Any) -> Any:
            stream.send(pack(message))
            return unpack(stream.recv())

        for seq in range(3):
            assert isinstance(ask(0, seq, 7, None)[2], bytes)
        assert ask(0, 3, None, None) == ask(0, 3, None, None) == [0, 3, None, {}]
        assert ask(0, 4, None, None) == [0, 4, None, {}]
        assert ask(1, 5, 0)[:4] == [4, 5, 409, "Conflict"]
        stream.send('{"op": "reset"}')
        assert msgspec.json.decode(stream.recv()) == {"op": "reset", "seq": None, "observation": None, "info": {}}


@pytest.mark.parametrize("way", ["stream", "zstd", "http"])
def test_the_client_plays_until_a_reset_has_no_observation(grader: Grader, way: str) -> None:
    token = grader.create()
    request = InstanceRequest(env_id="CartPole-v1", kwargs={})
    request.__dict__["send"] = lambda http, patience: Instance(token, request, grader.describe(token))
    connection = SyncConnection(
        Address.of(grader.server.url, None), request, Limits(), compression="zstd" if way == "zstd" else None
    )
    connection._conversation.over_http = way == "http"
    played = 0
    while connection.reset(None, None)[0] is not None:
        played += 1
        done = False
        while not done:
            _, _, terminated, truncated, _ = connection.step(0)
            done = terminated or truncated
    assert played == 3 and connection.reset(1, None) == (None, {})
    with pytest.raises(Conflict):
        connection.step(0)
    connection.close()


def test_a_trial_does_not_reveal_its_random_generator(grader: Grader) -> None:
    token = grader.create("Telltale-v0")
    grader.reset(token)
    assert grader.describe(token)["offers"] == []
    with connect(f"ws://127.0.0.1:{grader.server.port}/v1/envs/{token}/stream") as stream:
        stream.send(pack((5, None, "np_random", [])))
        assert unpack(stream.recv())[:4] == [4, None, 400, "InvalidRequest"]
    plain = grader.server.create("CartPole-v1")
    assert grader.describe(plain)["offers"] == ["np_random"]


def test_a_second_stream_replaces_the_first(grader: Grader) -> None:
    token = grader.create()
    url = f"ws://127.0.0.1:{grader.server.port}/v1/envs/{token}/stream"
    with connect(url) as first, connect(url) as second:
        with pytest.raises(ConnectionClosed) as closed:
            first.send(pack((0, 0, None, None)))
            first.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
        second.send(pack((0, 0, None, None)))
        assert unpack(second.recv())[0] == 0
    assert sum(isinstance(record, Reset) for record in grader.records(token)) == 1


def test_a_trial_with_secret_kwargs_cannot_be_rendered(grader: Grader) -> None:
    """FrozenLake draws its map, which is the trial's secret here."""
    plan = [{"seed": SEEDS[0], "options": None, "kwargs": {"desc": ["SFFH", "FFFF", "HFFF", "FFFG"]}}]
    secret, plain = grader.create("FrozenLake-v1", plan), grader.create("FrozenLake-v1", [PLAN[0]])
    for token, status in ((secret, 409), (plain, 200)):
        grader.reset(token)
        assert grader.server.get(f"/v1/envs/{token}/render").status == status


def test_a_graded_instance_has_its_own_host(grader: Grader) -> None:
    one, two, plain = grader.create(), grader.create(), grader.server.post("/v1/envs/", {"env_id": "CartPole-v1"})
    slots = [folders.slot_of(token) or "" for token in (one, two, str(plain.json["instance_id"]))]
    assert len(set(slots)) == 3 and [slot[0] for slot in slots] == ["g", "g", "s"]


@pytest.mark.long
def test_no_answer_and_no_file_for_agents_contains_a_seed_or_an_option(tmp_path: Path) -> None:
    grader = Grader(Server(tmp_path, **FAULTY, LOG_LEVEL="debug"))
    options, kwargs = {"level": 77123, "word": "nightmare"}, {"secret": "undisclosed"}
    plan = [{"seed": seed, "options": options, "kwargs": kwargs} for seed in SEEDS]
    tokens = [grader.create("Telltale-v0", plan, idempotency_key="a"), grader.create("CartPole-v1")]
    if gymnasium.registry.get("ALE/Pong-v5"):
        tokens.append(grader.create("ALE/Pong-v5"))
    seen: list[bytes] = []
    for token in tokens:
        base = f"/v1/envs/{token}"
        post = grader.server.post
        seen.append(post(f"{base}/monitor/start/", {"directory": "tmp", "force": True}).body)
        for _ in range(4):
            seen += [post(f"{base}/{call}/", {"action": 0, "options": {"x": 1}}).body for call in ("reset", "step")]
            seen += [grader.step(token, Telltale.RAISE).body, grader.step(token, 99).body]
            seen += [grader.server.get(f"{base}/{page}").body for page in ("", "render", "action_space/sample")]
            grader.kill_hosts()
        with connect(f"ws://127.0.0.1:{grader.server.port}{base}/stream") as stream:
            stream.send(pack((0, None, None, None)))
            seen.append(bytes(stream.recv()))
        seen.append(post(f"{base}/monitor/close/").body)
    seen.append(grader.server.get("/v1/envs/").body)
    seen += [path.read_bytes() for path in grader.server.data.glob("**/*") if path.is_file() and path.name != "journal"]
    grader.leave()
    assert grader.server.stop() == 0
    seen.append("".join(grader.server.output).encode())
    everything = b"\n".join(seen)
    assert b"harmless" in everything and b"RuntimeError" in everything
    for secret in [b"nightmare", b"77123", b"undisclosed"] + [form for seed in SEEDS for form in forms(seed)]:
        assert secret not in everything, secret


def forms(seed: int) -> list[bytes]:
    """The encodings of a seed as text and as bytes."""
    texts = [str(seed), f"{seed:x}", repr(float(seed))]
    return [text.encode() for text in texts] + [seed.to_bytes(8, "big"), seed.to_bytes(8, "little"), pack(float(seed))]


def test_a_closed_graded_instance_is_unknown(grader: Grader) -> None:
    token = grader.create()
    grader.reset(token)
    assert grader.server.post(f"/v1/envs/{token}/close/").status == 204
    assert grader.server.post(f"/v1/envs/{token}/close/").status == 400
    assert grader.reset(token).status == 400
    wait_for(lambda: (grader.server.data / "closed" / token / "journal").exists())
    assert not any(isinstance(record, Step) for record in grader.records(token))


@pytest.mark.parametrize("limit", ["idle_seconds", "submission_seconds"])
def test_an_instance_that_is_idle_or_out_of_time_is_closed(grader: Grader, limit: str) -> None:
    token = grader.create(allowance={limit: 0.3})
    grader.reset(token)
    wait_for(lambda: (grader.server.data / "closed" / token).exists())
    assert grader.reset(token).status == 400
    with pytest.raises(InvalidRequest):
        grader.create(allowance={limit: float("nan")})
    with pytest.raises(InvalidRequest):
        grader.create(allowance={"seconds": 1})
