"""What the tests of challenges share: a challenge, and functions to define, play and await submissions."""

from typing import Any

from tests.conftest import Secured
from tests.support.servers import Server, wait_for

CART = {
    "name": "cart",
    "environment": "CartPole-v1",
    "max_episode_steps": 12,
    "trials": {"number": 3},
    "scoring": {"worst": 0},
    "limits": {"submissions_per_day": 100},
    "phases": [{"name": "public"}],
    "baselines": [{"name": "nothing", "score": 5}],
}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def define(secured: Secured, **changes: Any) -> dict[str, Any]:
    answer = secured.ask("organiser", "POST", "/challenges/", {"definition": {**CART, **changes}})
    assert answer.status == 200, answer.body
    return dict(answer.json)


def display_name(secured: Secured, who: str) -> str:
    """The public name of an account that has not chosen one."""
    return f"account {secured.ids[who]}"


def begin(secured: Secured, name: str, who: str = "participant") -> dict[str, Any]:
    answer = secured.ask(who, "POST", f"/challenges/{name}/submissions/")
    assert answer.status == 200, answer.body
    return dict(answer.json)


def play(secured: Secured, token: str, who: str = "participant", *, trials: int = 99, action: int = 1) -> int:
    """Play at most `trials` trials; return the number of steps."""
    steps = 0
    for _ in range(trials):
        if secured.ask(who, "POST", f"/v1/envs/{token}/reset/").json.get("observation") is None:
            break  # the trials are over, or the instance is closed
        done = False
        while not done:
            done = secured.ask(who, "POST", f"/v1/envs/{token}/step/", {"action": action}).json["done"]
            steps += 1
    return steps


def settled(secured: Secured, submission: str, who: str = "participant", seconds: float = 90.0) -> dict[str, Any]:
    """Wait until a submission has reached its final state, and return it."""

    def poll() -> dict[str, Any] | None:
        row = secured.ask(who, "GET", f"/submissions/{submission}/").json
        return row if row["state"] not in ("created", "running", "verifying") else None

    return dict(wait_for(poll, seconds))


def board(server: Server, name: str, **options: str) -> list[dict[str, Any]]:
    query = "&".join(f"{key}={value}" for key, value in options.items())
    return list(server.get(f"/challenges/{name}/leaderboard?{query}").json["places"])


def keep_pole(observation: Any) -> int:
    return int(observation[2] + observation[3] > 0)
