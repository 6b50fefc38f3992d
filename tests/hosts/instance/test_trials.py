"""A graded instance's closed state machine: every trial counts once, whatever an agent, or a kill, does in between."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from client import Conflict, Limits
from client.transport.address import Address
from client.transport.instance import Instance, InstanceRequest
from client.transport.sync import SyncConnection
from grader.challenges import definition
from grader.proofs import verification
from grader.scores import scoring
from gymserve.environments import Catalogue
from gymserve.hosts import folders
from gymserve.hosts.pool.instances import Instances
from gymserve.journal import Ended, Reset, Step, read
from gymserve.journal.records import Spent
from gymserve.protocol.errors import InvalidRequest
from gymserve.settings import Settings
from tests.support.environments.faulty import EXIT, RAISE, SEGFAULT, Telltale
from tests.support.servers import Answer, Server, wait_for

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
FAULTY = {"ENVIRONMENT_MODULES": ["tests.support.environments.faulty"], "SHARED_ENVIRONMENTS": ["Telltale-v0"]}
SEEDS = [2**62 + 123456789 * k for k in range(1, 4)]
WORST = definition.from_map({"name": "c", "environment": "CartPole-v1", "scoring": {"worst": 0}}).scoring
PLAN = [{"seed": seed, "options": None, "kwargs": {}} for seed in SEEDS]


class Grader:
    """Makes graded instances in a running server, as the grader's side of it will."""

    def __init__(self, server: Server) -> None:
        self.server = server
        settings = Settings(DATA=str(server.data))
        self.instances = Instances(settings, Catalogue(["tests.support.environments.faulty"]))

    def create(self, env_id: str = "CartPole-v1", trials: list[dict[str, Any]] = PLAN, **order: Any) -> str:
        return self.instances.create(env_id, trials=trials, **order)

    def reset(self, token: str, **more: Any) -> Answer:
        return self.server.post(f"/v1/envs/{token}/reset/", more)

    def step(self, token: str, action: int = 0, **more: Any) -> Answer:
        return self.server.post(f"/v1/envs/{token}/step/", {"action": action, **more})

    def play(self, token: str) -> int:
        """Steps until the trial is done; returns how many steps that took."""
        for steps in range(1, 1000):
            if self.step(token, steps % 2).json["done"]:
                return steps
        raise AssertionError("the trial does not end")

    def records(self, token: str) -> list[Any]:
        folder = self.server.data / "instances" / token
        return list(read((folder if folder.exists() else self.server.data / "closed" / token) / "journal"))

    def describe(self, token: str) -> dict[str, Any]:
        return dict(self.server.get(f"/v1/envs/{token}/").json)

    def leave(self) -> None:
        """Closes the connections to the server's processes."""
        self.instances.pool.supervisor.forget()
        for connections in self.instances.pool._idle.values():
            for connection in connections:
                connection.close()

    def kill_hosts(self) -> None:
        for pid in self.server.hosts():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grader]:
    started = Grader(Server(tmp_path_factory.mktemp("data"), **FAULTY))
    yield started
    started.leave()
    assert started.server.stop() == 0


def firsts(seeds: list[int] = SEEDS) -> list[list[float]]:
    return [gymnasium.make("CartPole-v1").reset(seed=seed)[0].tolist() for seed in seeds]


def test_resets_go_through_the_plan_and_then_answer_null(grader: Grader) -> None:
    token = grader.create()
    seen = []
    for trial in range(3):
        seen.append(grader.reset(token, seed=1, options={"low": 0.0, "high": 0.0}).json["observation"])
        grader.play(token)
        told = grader.describe(token)
        assert (told["trial"], told["trials"], told["trials_over"]) == (trial + 1, 3, trial == 2)
    assert seen == firsts()
    before = grader.records(token)
    for _ in range(3):
        answer = grader.reset(token)
        assert (answer.status, answer.json) == (200, {"observation": None, "info": {}})
        refused = grader.step(token)
        assert refused.status == 409 and "trials are over" in refused.json["message"]
    assert grader.records(token) == before


def test_a_reset_in_mid_trial_ends_it_as_it_stands(grader: Grader) -> None:
    token = grader.create()
    for _ in range(3):
        assert grader.reset(token).json["observation"]
        assert grader.step(token).status == 200
    assert grader.reset(token).json["observation"] is None
    assert grader.step(token).status == 409
    kinds = [type(record).__name__ for record in grader.records(token)[1:]]
    assert kinds == ["Reset", "Step"] * 3 + ["Ended"]
    assert grader.records(token)[-1].reason == "reset"


def test_a_scummer_gets_no_more_trials_than_there_are(grader: Grader) -> None:
    token = grader.create()
    starts = [grader.reset(token).json["observation"] for _ in range(12)]
    assert starts == firsts() + [None] * 9
    assert sum(isinstance(record, Reset) for record in grader.records(token)) == 3


def test_a_step_before_a_reset_and_after_a_trial_is_a_conflict(grader: Grader) -> None:
    token = grader.create()
    assert grader.step(token).status == 409
    grader.reset(token)
    grader.play(token)
    refused = grader.step(token)
    assert refused.status == 409 and "reset" in refused.json["message"]


def test_agents_cannot_make_graded_instances(grader: Grader) -> None:
    answer = grader.server.post("/v1/envs/", {"env_id": "CartPole-v1", "trials": PLAN})
    token = answer.json["instance_id"]
    assert "trials" not in grader.describe(token) and not grader.records(token)[0].recipe.is_graded
    for wrong in ([], [{}], [{"seed": 2**63}], [{"seed": True}], [{"seed": 1, "options": 3}], [{"seed": 1, "x": 2}]):
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
def test_our_client_plays_until_there_is_no_observation(grader: Grader, way: str) -> None:
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


def test_a_trial_does_not_tell_its_generator(grader: Grader) -> None:
    token = grader.create("Telltale-v0")
    grader.reset(token)
    assert grader.describe(token)["offers"] == []
    with connect(f"ws://127.0.0.1:{grader.server.port}/v1/envs/{token}/stream") as stream:
        stream.send(pack((5, None, "np_random", [])))
        assert unpack(stream.recv())[:4] == [4, None, 400, "InvalidRequest"]
    plain = grader.server.create("CartPole-v1")
    assert grader.describe(plain)["offers"] == ["np_random"]


def test_a_second_stream_takes_over(grader: Grader) -> None:
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


@pytest.mark.parametrize("action", [Telltale.NAN, Telltale.INFINITE])
def test_a_reward_that_is_not_finite_fails_the_trial(grader: Grader, action: int) -> None:
    token = grader.create("Telltale-v0")
    grader.reset(token, seq=0)
    assert grader.step(token, seq=1).json["reward"] == 1.0
    failed = grader.step(token, action, seq=2)
    assert failed.json["done"] and "trial_failed" in failed.json["info"]
    assert grader.step(token, seq=3).status == 409
    grader.kill_hosts()
    assert grader.step(token, action, seq=2).body == failed.body
    assert grader.step(token, seq=3).status == 409
    assert grader.reset(token, seq=3).json["observation"]
    reasons = [record.reason for record in grader.records(token) if isinstance(record, Ended)]
    assert len(reasons) == 1 and reasons[0].startswith("failed")


@pytest.mark.parametrize("seq", [pytest.param(True, marks=pytest.mark.long), False])
def test_kills_in_mid_trial_change_nothing(grader: Grader, seq: bool) -> None:
    token, calm = grader.create("CartPole-v1", max_episode_steps=9), grader.create("CartPole-v1", max_episode_steps=9)
    numbers = iter(range(1000))

    def asked(kill: bool, call: Callable[..., Answer], *args: Any) -> Any:
        if kill:
            grader.kill_hosts()
            return call(*args, **({"seq": next(numbers)} if seq else {})).json
        return call(*args).json

    for trial in range(3):
        assert asked(True, grader.reset, token) == asked(False, grader.reset, calm)
        for turn in range(9):
            killed, undisturbed = (asked(turn == 4, grader.step, token, turn % 2) if not seq else None), None
            if seq:
                killed = asked(True, grader.step, token, turn % 2)
            undisturbed = asked(False, grader.step, calm, turn % 2)
            assert killed == undisturbed
            assert grader.describe(token)["trial"] == trial + 1
    grader.kill_hosts()
    assert grader.reset(token).json["observation"] is None
    assert grader.step(token).status == 409


def test_a_trial_that_cannot_be_revived_is_noted_as_lost(grader: Grader) -> None:
    token = grader.create("Forgetful-v0")
    grader.reset(token)
    grader.step(token)
    grader.kill_hosts()
    refused = grader.step(token)
    assert refused.status == 409 and refused.json["error"] == "NotReplayable"
    assert grader.reset(token).json["observation"]
    assert [record.reason[:5] for record in grader.records(token) if isinstance(record, Ended)] == ["lost:"]


END = ["reset", "step", "close", "nothing"]


def end(grader: Grader, token: str, how: str) -> list[scoring.Trial]:
    """The trials of an instance whose host has ended, after its agent has asked for this."""
    if how == "close":
        assert grader.server.post(f"/v1/envs/{token}/close/").status == 204
    elif how == "nothing":
        grader.describe(token)  # as the grader's worker does now and then
    else:
        answer = {"reset": grader.reset, "step": grader.step}[how](token)
        assert answer.status == (200 if how == "reset" else 409)
    return scoring.trials_of(grader.records(token))


@pytest.mark.guarantee("a trial is lost with its host, and does not replay")
@pytest.mark.parametrize("how", END)
def test_what_the_server_lost_is_lost_whatever_its_agent_asks_next(grader: Grader, how: str) -> None:
    token = grader.create("Forgetful-v0")
    grader.reset(token)
    grader.step(token)
    grader.kill_hosts()
    trials = end(grader, token, how)
    assert trials[0].state == "lost"
    assert scoring.scored(trials, WORST).void


@pytest.mark.guarantee("a trial is lost with its host, and does not replay")
@pytest.mark.parametrize("how", END)
@pytest.mark.parametrize("action", [SEGFAULT, EXIT, RAISE])
def test_what_its_agent_has_caused_counts(grader: Grader, how: str, action: int) -> None:
    """Or else it would have a bad run voided, as often as it likes."""
    token = grader.create("Fragile-v0")
    grader.reset(token)
    grader.step(token)
    assert grader.step(token, action).status in (409, 500)
    trials = end(grader, token, how)
    assert trials[0].state == "failed", trials
    assert not scoring.scored(trials, WORST).void
    verdict = verification.verify(grader.records(token), Catalogue(["tests.support.environments.faulty"]))
    assert verdict.state == "verified", verdict


def test_a_crash_after_which_the_trial_replays_loses_nothing(grader: Grader) -> None:
    token = grader.create("Faulty-v0")
    grader.reset(token)
    assert grader.step(token, SEGFAULT).status == 500
    assert grader.step(token).status == 200  # it replays, so nothing is lost
    assert not (grader.server.data / "instances" / token / "blame").exists()


def test_no_picture_shows_a_secret_variant(grader: Grader) -> None:
    """FrozenLake draws its map, which here is the trial's secret."""
    plan = [{"seed": SEEDS[0], "options": None, "kwargs": {"desc": ["SFFH", "FFFF", "HFFF", "FFFG"]}}]
    secret, plain = grader.create("FrozenLake-v1", plan), grader.create("FrozenLake-v1", [PLAN[0]])
    for token, status in ((secret, 409), (plain, 200)):
        grader.reset(token)
        assert grader.server.get(f"/v1/envs/{token}/render").status == status


def test_a_graded_instance_has_a_host_of_its_own(grader: Grader) -> None:
    one, two, plain = grader.create(), grader.create(), grader.server.post("/v1/envs/", {"env_id": "CartPole-v1"})
    slots = [folders.slot_of(token) or "" for token in (one, two, str(plain.json["instance_id"]))]
    assert len(set(slots)) == 3 and [slot[0] for slot in slots] == ["g", "g", "s"]


@pytest.mark.guarantee("an agent wins time by a crash, or loses some by a neighbour")
@pytest.mark.parametrize("crash", ["its own", "the host's"])
def test_what_was_taken_out_of_the_bank_stays_taken(grader: Grader, crash: str) -> None:
    token = grader.create("Telltale-v0", allowance={"step_seconds": 0.0, "overage_seconds": 1000.0})
    grader.reset(token)
    banks = []
    for _ in range(3):
        for _ in range(2):  # after a kill that is not its own, its time begins anew
            grader.step(token)
        banks.append([record.left for record in grader.records(token) if isinstance(record, Spent)][-1])
        if crash == "its own":
            assert grader.step(token, Telltale.RAISE).status == 500
        else:
            grader.kill_hosts()
    assert 1000.0 > banks[0] > banks[1] > banks[2]
    verdict = verification.verify(grader.records(token), Catalogue(["tests.support.environments.faulty"]))
    assert verdict.state == "verified", verdict


def test_a_trial_that_cannot_begin_is_noted_as_broken(grader: Grader) -> None:
    plan = [PLAN[0], {"seed": SEEDS[1], "options": {"fails": True}, "kwargs": {}}]
    token = grader.create("Telltale-v0", plan)
    grader.reset(token)
    for _ in range(2):
        failed = grader.reset(token)
        assert failed.status == 500 and str(SEEDS[1]) not in failed.json["message"]
        assert grader.step(token).status == 200  # the trial before goes on
    assert [record.reason[:7] for record in grader.records(token) if isinstance(record, Ended)] == ["broken:"]
    assert grader.step(token, Telltale.END).status == 200
    assert [trial.state for trial in scoring.trials_of(grader.records(token))] == ["played", "lost"]
    verdict = verification.verify(grader.records(token), Catalogue(["tests.support.environments.faulty"]))
    assert verdict.state == "verified", verdict


@pytest.mark.long
def test_no_answer_and_no_file_for_agents_tells_a_seed_or_an_option(tmp_path: Path) -> None:
    grader = Grader(Server(tmp_path, **FAULTY, LOG_LEVEL="debug"))
    options, kwargs = {"level": 77123, "word": "nightmare"}, {"secret": "undisclosed"}
    plan = [{"seed": seed, "options": options, "kwargs": kwargs} for seed in SEEDS]
    tokens = [grader.create("Telltale-v0", plan, idempotency_key="a"), grader.create("CartPole-v1")]
    if gymnasium.registry.get("ALE/Pong-v5"):
        tokens.append(grader.create("ALE/Pong-v5"))
    told: list[bytes] = []
    for token in tokens:
        base = f"/v1/envs/{token}"
        asked = grader.server.post
        told.append(asked(f"{base}/monitor/start/", {"directory": "tmp", "force": True}).body)
        for _ in range(4):
            told += [asked(f"{base}/{call}/", {"action": 0, "options": {"x": 1}}).body for call in ("reset", "step")]
            told += [grader.step(token, Telltale.RAISE).body, grader.step(token, 99).body]
            told += [grader.server.get(f"{base}/{page}").body for page in ("", "render", "action_space/sample")]
            grader.kill_hosts()
        with connect(f"ws://127.0.0.1:{grader.server.port}{base}/stream") as stream:
            stream.send(pack((0, None, None, None)))
            told.append(bytes(stream.recv()))
        told.append(asked(f"{base}/monitor/close/").body)
    told.append(grader.server.get("/v1/envs/").body)
    told += [path.read_bytes() for path in grader.server.data.glob("**/*") if path.is_file() and path.name != "journal"]
    grader.leave()
    assert grader.server.stop() == 0
    told.append("".join(grader.server.output).encode())
    everything = b"\n".join(told)
    assert b"harmless" in everything and b"RuntimeError" in everything
    for secret in [b"nightmare", b"77123", b"undisclosed"] + [form for seed in SEEDS for form in forms(seed)]:
        assert secret not in everything, secret


def forms(seed: int) -> list[bytes]:
    """What a seed looks like in text and in binary."""
    texts = [str(seed), f"{seed:x}", repr(float(seed))]
    return [text.encode() for text in texts] + [seed.to_bytes(8, "big"), seed.to_bytes(8, "little"), pack(float(seed))]


def test_a_graded_instance_that_is_idle_or_closed_is_gone(grader: Grader) -> None:
    token = grader.create()
    grader.reset(token)
    assert grader.server.post(f"/v1/envs/{token}/close/").status == 204
    assert grader.server.post(f"/v1/envs/{token}/close/").status == 400
    assert grader.reset(token).status == 400
    wait_for(lambda: (grader.server.data / "closed" / token / "journal").exists())
    assert not any(isinstance(record, Step) for record in grader.records(token))


def test_who_takes_too_long_loses_the_rest_of_the_trial(grader: Grader) -> None:
    token = grader.create("Telltale-v0", allowance={"step_seconds": 0.0, "overage_seconds": 0.2})
    grader.reset(token, seq=0)
    answers = [grader.step(token, seq=1)]
    while answers[-1].status == 200:
        answers.append(grader.step(token, seq=len(answers) + 1))
    assert len(answers) > 2 and answers[-1].status == 409 and "took too long" in answers[-1].json["message"]
    grader.kill_hosts()
    assert grader.step(token, seq=len(answers)).status == 409
    assert [record.reason[:5] for record in grader.records(token) if isinstance(record, Ended)] == ["late:"]
    assert grader.reset(token).json["observation"]


@pytest.mark.parametrize("limit", ["idle_seconds", "submission_seconds"])
def test_who_is_idle_or_out_of_time_is_closed(grader: Grader, limit: str) -> None:
    token = grader.create(allowance={limit: 0.3})
    grader.reset(token)
    wait_for(lambda: (grader.server.data / "closed" / token).exists())
    assert grader.reset(token).status == 400
    with pytest.raises(InvalidRequest):
        grader.create(allowance={limit: float("nan")})
    with pytest.raises(InvalidRequest):
        grader.create(allowance={"seconds": 1})
