"""Kills while agents submit: every submission is graded once, or void with its slot returned.

KILLS=1000 python -m pytest -m long tests/web/serving/test_kills.py    for the full number; the default is a few kills
"""

import contextlib
import http.client
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.servers import Answer, Server, wait_for
from tests.web.challenges.playing import bearer

KILLS = int(os.environ.get("KILLS", "12"))
AGENTS = 3
SLOTS = 100_000
CHALLENGE = {
    "name": "kills", "environment": "CartPole-v1", "max_episode_steps": 25, "trials": {"number": 3, "fresh": True},
    "scoring": {"worst": 0}, "limits": {"submissions_per_day": SLOTS},
}  # fmt: skip


class Agent(threading.Thread):
    """Submits repeatedly until it is stopped, and records each acknowledged step."""

    moves = 0  # the steps of all agents

    def __init__(self, server: Server, key: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.server, self.key, self.stopping = server, key, stop
        self.played: dict[str, list[int]] = {}  # submission → the steps of each trial
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            number = 0
            while not self.stopping.is_set():
                number += 1
                self.submit(f"{self.name} {number}")
        except BaseException as error:
            self.error = error

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        """Repeat a request until it is answered, as clients do."""

        def attempt() -> Answer | None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.server.post(path, body, **bearer(self.key), **headers)
                # If a host is killed twice in one call, the server blames the call.
                if answer.status != 503 and "SIGKILL" not in answer.body.decode():
                    return answer
            return None

        return wait_for(attempt, 120)

    def submit(self, key: str) -> None:
        begun = self.ask("/challenges/kills/submissions/", {}, Idempotency_Key=key)
        assert begun.status == 200 and begun.json["token"], begun.body
        path = f"/v1/envs/{begun.json['token']}"
        trials: list[int] = []
        self.played[begun.json["submission_id"]] = trials
        for begins in self.moves_of(path):
            if begins:
                trials.append(0)
            else:
                trials[-1] += 1
        self.ask(f"{path}/close/")

    def moves_of(self, path: str) -> Iterator[bool]:
        """Play all trials; yield True for each that begins, and False for each step."""
        seq = 0
        while self.ask(f"{path}/reset/", {"seq": seq}).json.get("observation") is not None:
            yield True
            done = False
            while not done:
                seq += 1
                answer = self.ask(f"{path}/step/", {"action": seq % 2, "seq": seq})
                assert answer.status == 200, answer.body
                Agent.moves += 1
                done = answer.json["done"]
                yield False
            seq += 1


EVERYTHING = "everything"
VICTIMS: dict[str, Callable[[Server], list[int]]] = {
    "host": Server.hosts,
    "worker": Server.workers,
    "supervisor": lambda server: [server.supervisor()],
    "grader": lambda server: server.background("gymserve.grader.server.submissions.worker"),
}


def kill(server: Server, what: str) -> None:
    if what == EVERYTHING:
        server.kill()
        server.start()
        return
    with contextlib.suppress(OSError, ValueError):  # the process is being replaced
        for pid in VICTIMS[what](server):
            os.kill(pid, signal.SIGKILL)


def survives(server: Server, kills: list[str], moves: Callable[[], int]) -> None:
    """Let agents submit while their server suffers `kills`, one after every `moves()` acknowledged steps."""
    server.keeps_port = True
    (_, organiser), (_, key) = server.account("o", "organiser"), server.account("a")
    assert server.post("/challenges/", {"definition": CHALLENGE}, **bearer(organiser)).status == 200
    stop = threading.Event()
    agents = [Agent(server, key, stop) for _ in range(AGENTS)]
    for agent in agents:
        agent.start()
    for what in kills:
        goal = Agent.moves + moves()
        wait_for(lambda goal=goal: Agent.moves >= goal or any(agent.error for agent in agents), 180)
        kill(server, what)
    stop.set()
    for agent in agents:
        agent.join(180)
    assert [agent.error for agent in agents] == [None] * AGENTS
    check(server, key, {name: trials for agent in agents for name, trials in agent.played.items()})


@pytest.mark.guarantee("anything is killed at any moment of a submission")
@pytest.mark.guarantee("everything is killed, at any moment")
def test_each_process_may_be_killed_and_every_submission_ends_once(start: Any) -> None:
    server = start(AUTH="token", REQUESTS_PER_MINUTE=0, RESTART_SECONDS=0.2, PRELOAD=False)
    survives(server, [*VICTIMS, EVERYTHING], lambda: 15)


@pytest.mark.long
@pytest.mark.guarantee("anything is killed at any moment of a submission")
@pytest.mark.guarantee("everything is killed, at any moment")
def test_whatever_is_killed_every_submission_ends_once(start: Any) -> None:
    server, draw = start(AUTH="token", REQUESTS_PER_MINUTE=0, RESTART_SECONDS=0.2), random.Random(7)
    kills = [EVERYTHING if number % 6 == 5 else draw.choice(list(VICTIMS)) for number in range(KILLS)]
    survives(server, kills, lambda: draw.randrange(10, 120))


def check(server: Server, key: str, played: dict[str, list[int]]) -> None:
    """Check that each submission is listed once and final, and has exactly its agent's acknowledged steps."""

    def settled() -> list[dict[str, Any]] | None:
        rows: list[dict[str, Any]] = []
        while page := server.get(f"/challenges/kills/submissions/?skip={len(rows)}&limit=500", **bearer(key)).json:
            rows += page
        waiting = [row for row in rows if row["state"] in ("created", "running", "verifying")]
        return None if waiting else rows

    rows = wait_for(settled, 180)
    graded = {row["submission_id"]: row for row in rows if row["state"] == "graded"}
    void = [row for row in rows if row["state"] == "void"]
    assert len(graded) + len(void) == len(rows), {row["state"] for row in rows}
    assert {row["verdict"] for row in graded.values()} == {"verified"}
    for name, trials in played.items():
        if name in graded:
            assert [trial["steps"] for trial in graded[name]["trials"]] == trials
            assert graded[name]["score"] == pytest.approx(sum(trials) / 3)
        else:
            assert name in [row["submission_id"] for row in void]
    (place,) = server.get("/challenges/kills/leaderboard").json["places"]
    assert place["tries"] == len(graded)
    left = server.post("/challenges/kills/submissions/", **bearer(key)).json["submissions_remaining"]
    assert left == SLOTS - len(graded) - 1
