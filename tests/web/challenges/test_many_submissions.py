"""Many simultaneous submissions are all scored, each exactly once."""

import concurrent.futures
import json
from typing import Any

import pytest

from tests.conftest import Secured
from tests.support.servers import wait_for

CHALLENGE = {
    "environment": "CartPole-v1", "max_episode_steps": 8, "trials": {"number": 2}, "scoring": {"worst": 0},
}  # fmt: skip


@pytest.mark.guarantee("two hundred submit at once")
@pytest.mark.parametrize("number", [6, pytest.param(200, marks=pytest.mark.long)])
def test_simultaneous_submissions_are_each_scored_once(secured: Secured, number: int) -> None:
    server, name = secured.server, f"many-{number}"
    keys = [server.account(f"{name} entrant {k}")[1] for k in range(number // 10 + 1)]
    answer = secured.ask("organiser", "POST", "/challenges/", {"definition": {**CHALLENGE, "name": name}})
    assert answer.status == 200, answer.body

    def ask(which: int, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {keys[which % len(keys)]}", "Idempotency_Key": str(which)}
        answer = server.request(method, path, body, **headers)
        assert answer.status in (200, 204), answer.body
        return json.loads(answer.body or b"null")

    def play(which: int) -> None:
        path = f"/v1/envs/{begun[which]['token']}"
        while ask(which, "POST", f"{path}/reset/")["observation"] is not None:
            while not ask(which, "POST", f"{path}/step/", {"action": which % 2})["done"]:
                pass
        ask(which, "POST", f"{path}/close/")

    def settled() -> list[dict[str, Any]] | None:
        rows = secured.ask("organiser", "GET", f"/challenges/{name}/submissions/?limit={number + 10}").json
        return rows if {row["state"] for row in rows} == {"graded"} else None

    with concurrent.futures.ThreadPoolExecutor(24) as agents:
        begun = list(agents.map(lambda k: ask(k, "POST", f"/challenges/{name}/submissions/"), range(number)))
        list(agents.map(play, range(number)))
    rows = wait_for(settled, 180)
    assert len(rows) == number == len({row["submission_id"] for row in rows})
    assert {row["verdict"] for row in rows} == {"verified"} and all(len(row["trials"]) == 2 for row in rows)
    places = server.get(f"/challenges/{name}/leaderboard").json["places"]
    assert sum(place["tries"] for place in places) == number and len(places) == len(keys)
