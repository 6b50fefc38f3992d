"""Two hundred submissions at once: all are scored, each once."""

import concurrent.futures
import json
from typing import Any

from tests.servers import Server, wait_for

NUMBER = 200
CHALLENGE = {
    "name": "many", "environment": "CartPole-v1", "max_episode_steps": 8, "trials": {"number": 2}, "scoring": {"worst": 0},
}  # fmt: skip


def test_two_hundred_submissions_at_once_are_all_scored_and_none_twice(start: Any) -> None:
    server: Server = start(AUTH="token", MAX_INSTANCES=1000, ACCOUNT_INSTANCES=1000, REQUESTS_PER_MINUTE=0)
    organiser = server.account("o", "organiser")[1]
    keys = [server.account(f"entrant {number}")[1] for number in range(20)]
    assert (
        server.request("POST", "/challenges/", {"definition": CHALLENGE}, Authorization=f"Bearer {organiser}").status
        == 200
    )

    def ask(number: int, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {keys[number % len(keys)]}", "Idempotency_Key": str(number)}
        answer = server.request(method, path, body, **headers)
        assert answer.status in (200, 204), answer.body
        return json.loads(answer.body or b"null")

    def play(number: int) -> None:
        path = f"/v1/envs/{begun[number]['token']}"
        while ask(number, "POST", f"{path}/reset/")["observation"] is not None:
            while not ask(number, "POST", f"{path}/step/", {"action": number % 2})["done"]:
                pass
        ask(number, "POST", f"{path}/close/")

    def settled() -> list[dict[str, Any]] | None:
        path = f"/challenges/many/submissions/?limit={NUMBER + 10}"
        rows = server.get(path, Authorization=f"Bearer {organiser}").json
        return rows if {row["state"] for row in rows} == {"graded"} else None

    with concurrent.futures.ThreadPoolExecutor(24) as agents:
        begun = list(agents.map(lambda number: ask(number, "POST", "/challenges/many/submissions/"), range(NUMBER)))
        list(agents.map(play, range(NUMBER)))
    rows = wait_for(settled, 120)
    assert len(rows) == NUMBER == len({row["submission_id"] for row in rows})
    assert {row["verdict"] for row in rows} == {"verified"} and all(len(row["trials"]) == 2 for row in rows)
    places = server.get("/challenges/many/leaderboard").json["places"]
    assert sum(place["tries"] for place in places) == NUMBER and len(places) == len(keys)
