"""Graded instances under faults: lost answers, killed hosts and servers, two clients with one token."""

import contextlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import pytest

from gymserve.journal import Ended, Reset, Step, read
from tests.hosts.instance.graders import PLAN, SEEDS, Grader
from tests.hosts.pool.test_exactly_once import HttpAgent, StreamAgent
from tests.support.proxies import Lossy
from tests.support.servers import Server

HORIZON = 25


def play_locally(chance: random.Random) -> tuple[list[list[float]], list[int]]:
    """Plays the trials on a local environment; returns (observations, actions)."""
    observations, actions = [], []
    for seed in SEEDS:
        env = gymnasium.make("CartPole-v1", max_episode_steps=HORIZON)
        observations.append(env.reset(seed=seed)[0].tolist())
        done = False
        while not done:
            actions.append(chance.randrange(2))
            observation, _, terminated, truncated, _ = env.step(actions[-1])
            observations.append(observation.tolist())
            done = terminated or truncated
    return observations, actions


class Player:
    """Plays all trials with an agent of the exactly-once tests."""

    def __init__(self, kind: type[HttpAgent] | type[StreamAgent], port: int, token: str) -> None:
        self.agent: Any = kind(port, token)
        self.over_http = kind is HttpAgent
        self.seq = -1

    def reset(self) -> Any:
        self.seq += 1
        if self.over_http:
            return self.agent.ask("reset", {"seq": self.seq})["observation"]
        return _floats(self.agent.ask(0, self.seq, None, None)[2])

    def step(self, action: int) -> tuple[Any, bool]:
        self.seq += 1
        if self.over_http:
            body = self.agent.ask("step", {"action": action, "seq": self.seq})
            return body["observation"], body["done"]
        message = self.agent.ask(1, self.seq, action)
        return _floats(message[2]), message[4] or message[5]


def _floats(raw: bytes | None) -> list[float] | None:
    """Decodes CartPole's observation."""
    return None if raw is None else list(map(float, memoryview(raw).cast("f")))


def play(player: Player, chance: random.Random, disturb: Callable[[], None]) -> tuple[list[Any], list[int]]:
    seen: list[Any] = []
    actions: list[int] = []
    while True:
        disturb()
        seen.append(player.reset())
        if seen[-1] is None:
            player.agent.close()
            return seen[:-1], actions
        done = False
        while not done:
            actions.append(chance.randrange(2))
            disturb()
            observation, done = player.step(actions[-1])
            seen.append(observation)


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grader]:
    """A server whose processes tests may kill."""
    started = Grader(Server(tmp_path_factory.mktemp("data")))
    yield started
    started.leave()
    assert started.server.stop() == 0


@pytest.mark.parametrize("kind", [HttpAgent, StreamAgent])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_lost_answers_and_killed_hosts_neither_cost_nor_add_a_trial(grader: Grader, kind: Any, seed: int) -> None:
    chance, whims = random.Random(seed), random.Random(seed + 100)
    token = grader.create(max_episode_steps=HORIZON)

    def disturb() -> None:
        if whims.random() < 0.08:
            for pid in grader.server.hosts():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    with Lossy(grader.server.port, loss=0.1, seed=seed) as proxy:
        played = play(Player(kind, proxy.port, token), chance, disturb)
    assert played == play_locally(random.Random(seed))
    records = grader.records(token)
    assert [record.seed for record in records if isinstance(record, Reset)] == SEEDS
    assert sum(isinstance(record, Step) for record in records) == len(played[1])
    assert not any(isinstance(record, Ended) for record in records)


def test_a_killed_server_resumes_in_the_middle_of_a_trial(grader: Grader) -> None:
    token = grader.create(max_episode_steps=HORIZON)
    expected, actions = play_locally(random.Random(7))
    seen = [grader.reset(token, seq=0).json["observation"]]
    for number, action in enumerate(actions[:10]):
        seen.append(grader.step(token, action, seq=number + 1).json["observation"])
        if number in (3, 7):
            grader.leave()
            grader.server.kill()
            grader.server.start()
    assert seen == expected[:11]
    assert grader.describe(token)["trial_steps"] == 10


def test_two_clients_of_one_instance_share_its_trials(grader: Grader) -> None:
    """A second client steps the same trial, and has no copy of it to look ahead in."""
    token = grader.create(max_episode_steps=HORIZON)
    one, two = (HttpAgent(grader.server.port, token) for _ in range(2))
    first = one.ask("reset", {"seq": 0})["observation"]
    assert two.ask("reset", {"seq": 0})["observation"] == first  # the same answer, not another trial
    assert one.ask("step", {"action": 0, "seq": 1}) == two.ask("step", {"action": 0, "seq": 1})
    refused = grader.step(token, 1, seq=1)  # the same step with another action
    assert refused.status == 422
    assert grader.step(token, 1, seq=7).status == 409
    records = grader.records(token)
    assert [type(record).__name__ for record in records] == ["Created", "Reset", "Step"]


def test_a_torn_journal_is_truncated_and_the_trial_goes_on(grader: Grader) -> None:
    token = grader.create(max_episode_steps=HORIZON)
    grader.reset(token, seq=0)
    for seq in range(1, 6):
        grader.step(token, seq % 2, seq=seq)
    grader.leave()
    grader.server.kill()
    path = grader.server.data / "instances" / token / "journal"
    whole = list(read(path))
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[:-3])  # a torn write, as after a power failure
    assert list(read(path)) == whole[:-1]
    grader.server.start()
    assert grader.describe(token)["trial_steps"] == 4
    assert grader.step(token, 1, seq=5).status == 200
    assert PLAN[0]["seed"] == SEEDS[0]
