"""Every route admits the roles that `access.toml` gives it, and no others."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gymserve.settings import Settings
from gymserve.web.app import create_app
from tests.conftest import Secured
from tests.support.experiments import untrained
from tests.support.servers import Server

GROUPS = tomllib.loads(Path(__file__).with_name("access.toml").read_text())["group"]
TABLE = {route: set(group["roles"]) for group in GROUPS for route in group["routes"]}
REFUSALS = {401, 403, 404}


def routes(folder: Any) -> set[str]:
    names = set()
    for rule in create_app(Settings(DATA=str(folder))).url_map.iter_rules():
        names |= {f"{method} {rule.rule}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return names


def test_every_route_is_in_the_table(tmp_path: Any) -> None:
    assert routes(tmp_path) == set(TABLE)
    assert len(TABLE) == sum(len(group["routes"]) for group in GROUPS), "a route is in two groups"


CHALLENGE = {"name": "table", "environment": "CartPole-v1", "trials": {"number": 2}}


@pytest.fixture(scope="module")
def submission(secured: Secured) -> str:
    assert secured.ask("admin", "POST", "/challenges/", {"definition": CHALLENGE}).status == 200
    return str(secured.ask("participant", "POST", "/challenges/table/submissions/").json["submission_id"])


@pytest.fixture(scope="module")
def experiment(secured: Secured) -> str:
    return untrained(secured.server, secured.ids["participant"])


def path_of(route: str, secured: Secured, token: str, submission: str, experiment: str) -> str:
    values = {
        "instance_id": token, "user_id": str(secured.ids["participant"]), "x": "1", "env_id": "CartPole-v1",
        "name": "table", "submission_id": submission, "experiment_id": experiment,
    }  # fmt: skip
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: values.get(match[1], "1"), route.partition(" ")[2])


@pytest.mark.parametrize("route", sorted(TABLE))
def test_routes_admit_the_roles_in_the_table(secured: Secured, submission: str, experiment: str, route: str) -> None:
    """Roles in the table get a response, even if it says that something is missing; all others are refused."""
    method, token = route.partition(" ")[0], ""
    if "<instance_id>" in route:
        token = secured.ask("participant", "POST", "/v1/envs/", {"env_id": "CartPole-v1"}).json["instance_id"]
    path = path_of(route, secured, token, submission, experiment)
    callers = {"nobody": "nobody", "participant": "other", "organiser": "organiser", "admin": "admin"}
    if "owner" in TABLE[route]:
        callers["owner"] = "participant"
    destructive = method == "DELETE" or route in (
        "POST /v1/shutdown/",
        "POST /v1/envs/<instance_id>/close/",
        "POST /experiments/<experiment_id>/train/",
    )
    for role, who in callers.items():
        if destructive and role in TABLE[route]:
            continue  # other tests cover these
        answer = secured.ask(who, method, path, {} if method in ("POST", "PATCH", "PUT") else None)
        if role not in TABLE[route]:
            assert answer.status in REFUSALS, (role, answer.status, answer.body)
            assert (answer.status == 401) == (role == "nobody"), (role, answer.status, answer.body)
        else:
            not_found = ("is no", "in no team", "is invalid", "did not match")
            missing = answer.status == 404 and (
                any(words in str(answer.body) for words in not_found) or "/setup/" in path or "/static/" in path
            )
            assert answer.status not in REFUSALS or missing, (role, answer.status, answer.body)
    assert not token or secured.ask("participant", "POST", f"/v1/envs/{token}/close/").status == 204


@pytest.mark.long
def test_only_administrators_shut_down(start: Any) -> None:
    server: Server = start(AUTH="token")
    _, key = server.account("a", "organiser")
    _, admin = server.account("b", "admin")
    assert server.post("/v1/shutdown/").status == 401
    assert server.post("/v1/shutdown/", Authorization=f"Bearer {key}").status == 403
    assert server.post("/v1/shutdown/", Authorization=f"Bearer {admin}").body == b"Server shutting down"
    assert server.process.wait(30) == 0
