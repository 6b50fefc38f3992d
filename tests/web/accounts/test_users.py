"""Accounts and projects: the requests that the TJU platform's document prints, and our additions."""

import json
import subprocess
from typing import Any

import pytest

from tests.conftest import Secured
from tests.support.servers import PASSWORD, Server

PROJECT = {
    "title": "标题",
    "description": "用来描述项目，比如当前的project_type目前就只支持pymarl或者ptf",
    "project_type": "pymarl",
}


def curl(server: Server, *arguments: str) -> str:
    done = subprocess.run(["curl", "-s", *arguments], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


@pytest.mark.needs("curl")
def test_the_documents_requests_as_printed(server: Server) -> None:
    use_as_documented(server)


@pytest.mark.long
@pytest.mark.needs("curl")
def test_with_accounts_the_documents_requests_are_answered_as_printed(start: Any) -> None:
    server = start(AUTH="token", SIGN_UP=True)
    assert use_as_documented(server) == 1
    assert len(server.get("/users/", **login(server)).json) == 1


def login(server: Server) -> dict[str, str]:
    """Log in as the document does, and return the headers of further requests."""
    token = server.request(
        "POST", "/token",
        b"grant_type=&username=tju_rl.tju.edu.cn&password=tju_rl&scope=&client_id=&client_secret=",
        Content_Type="application/x-www-form-urlencoded",
    ).json  # fmt: skip
    assert token["token_type"] == "bearer"
    return {"Authorization": f"Bearer {token['access_token']}"}


def use_as_documented(server: Server) -> int:
    """Send the document's requests in their order, and return the id of the account that they create."""
    accept = ("-H", "accept: application/json")
    json_type = ("-H", "Content-Type: application/json")
    text = curl(
        server, "-X", "POST", f"{server.url}/users/", *accept, *json_type,
        "-d", '{\n  "email": "tju_rl.tju.edu.cn",\n  "password": "tju_rl"\n}',
    )  # fmt: skip
    number = json.loads(text)["id"]
    for part in ('"email":"tju_rl.tju.edu.cn"', f'"id":{number}', '"is_active":true', '"projects":[]'):
        assert part in text
    bearer = login(server)
    for path in ("/users", "/users/"):
        (user,) = [each for each in server.get(path, **bearer).json if each["id"] == number]
        assert (user["email"], user["is_active"], user["projects"]) == ("tju_rl.tju.edu.cn", True, [])
    own = f"/users/{number}"
    assert server.get(own, **bearer).json == user
    assert server.get(f"{own}/projects/", **bearer).json == []
    project = server.post(f"{own}/projects/", PROJECT, **bearer).json
    assert PROJECT.items() <= project.items()
    assert (project["id"], project["owner_id"], project["experiments"]) == (1, number, [])
    assert isinstance(project["log_path"], str) and str(server.data) not in project["log_path"]
    assert server.get(f"{own}/projects/", **bearer).json == [project]
    assert server.get(f"{own}/projects/1", **bearer).json == project
    assert server.get(own, **bearer).json["projects"] == [project]
    again = server.post("/users/", {"email": "tju_rl.tju.edu.cn", "password": "tju_rl"})
    assert (again.status, again.json["detail"]) == (400, "Email already registered")
    return int(number)


def test_a_wrong_password_is_answered_in_the_documents_form(secured: Secured) -> None:
    for name in ("participant@example.org", "nobody"):
        refused = secured.server.request(
            "POST", "/token", f"username={name}&password=wrong".encode(),
            Content_Type="application/x-www-form-urlencoded",
        )  # fmt: skip
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert refused.json["detail"] == refused.json["message"] == "wrong email or password"


def test_sign_up_is_a_setting(secured: Secured) -> None:
    new = {"email": "new@example.org", "password": PASSWORD}
    assert secured.ask("nobody", "POST", "/users/", new).status == 401
    assert secured.ask("organiser", "POST", "/users/", new).status == 403
    answer = secured.ask("admin", "POST", "/users/", {**new, "role": "organiser"})
    assert (answer.status, answer.json["role"]) == (200, "organiser")


def test_lists_have_pages(secured: Secured) -> None:
    own_id = secured.ids["other"]
    for number in range(3):
        assert (
            secured.ask("other", "POST", f"/users/{own_id}/projects/", {**PROJECT, "title": f"{number}"}).status == 200
        )

    def titles(query: str) -> list[str]:
        return [row["title"] for row in secured.ask("other", "GET", f"/users/{own_id}/projects/{query}").json]

    assert (titles("?limit=2"), titles("?skip=2"), titles("?skip=9")) == (["0", "1"], ["2"], [])
    for query in ("?limit=0", "?limit=1001", "?skip=-1", "?skip=x", "?limit=%D9%A1", "?skip=99999999999999999999"):
        assert secured.ask("other", "GET", f"/users/{own_id}/projects/{query}").status == 400
    assert [row["id"] for row in secured.ask("other", "GET", "/users/").json] == [own_id]
    assert len(secured.ask("admin", "GET", "/users/?limit=2").json) == 2


def test_a_project_is_changed_and_deleted_by_its_owner(secured: Secured) -> None:
    own_id = secured.ids["participant"]
    project = secured.ask("participant", "POST", f"/users/{own_id}/projects/", PROJECT).json
    path = f"/users/{own_id}/projects/{project['id']}"
    assert secured.ask("other", "PATCH", path, {"title": "x"}).status == 404
    assert secured.ask("participant", "PATCH", path, {"title": "x"}).json == {**project, "title": "x"}
    for wrong in (
        {"title": ""},
        {"title": 3},
        {"title": "x" * 201},
        {"description": "a\0"},
        {"project_type": "\ud800"},
    ):
        assert secured.ask("participant", "PATCH", path, wrong).status == 400, wrong
    assert secured.ask("other", "DELETE", path).status == 404
    assert secured.ask("participant", "DELETE", path).status == 204
    assert secured.ask("participant", "GET", path).status == 404
    later = secured.ask("participant", "POST", f"/users/{own_id}/projects/", PROJECT).json
    assert later["id"] > project["id"]
    assert secured.ask("admin", "GET", f"/users/{2**40}/projects/{2**70}").status == 404


def test_an_account_changes_itself_with_its_password(secured: Secured) -> None:
    server = secured.server
    number, key = server.account("changing@example.org")
    bearer = {"Authorization": f"Bearer {key}"}
    path = f"/users/{number}/"
    assert server.request("PATCH", path, {"password": "a new one"}, **bearer).status == 400
    wrong = server.request("PATCH", path, {"password": "a new one", "current_password": "wrong"}, **bearer)
    assert (wrong.status, wrong.json["message"]) == (403, "current_password is wrong")
    for more in ({"role": "admin"}, {"is_active": True}):
        refused = server.request("PATCH", path, {"current_password": PASSWORD, **more}, **bearer)
        assert refused.status == 403 and "administrators" in refused.json["message"]
    changed = server.request("PATCH", path, {"email": "changed", "current_password": PASSWORD}, **bearer)
    assert (changed.status, changed.json["email"]) == (200, "changed")
    assert server.get("/users/me", **bearer).json["email"] == "changed"
    promoted = secured.ask("admin", "PATCH", path, {"role": "organiser"})
    assert promoted.json["role"] == server.get(path, **bearer).json["role"] == "organiser"
    assert secured.ask("admin", "PATCH", path, {"is_active": False}).status == 200
    assert server.get(path, **bearer).status == 401
    assert secured.ask("admin", "DELETE", path).status == 204
    assert secured.ask("admin", "GET", path).status == 404


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({}, "A required request parameter 'email' was not provided"),
        ({"email": ["a"], "password": "long enough"}, "email must be a string of 1 to 254 characters, not ['a']"),
        ({"email": "a", "password": ""}, "A required request parameter 'password' was not provided"),
        ({"email": "a", "password": 12345678}, "password must be a string"),
        (
            {"email": "a", "password": "long enough", "role": "king"},
            "role must be one of admin, organiser, participant, not 'king'",
        ),
    ],
)
def test_a_wrong_account_is_refused_by_its_field(secured: Secured, wrong: dict[str, Any], text: str) -> None:
    refused = secured.ask("admin", "POST", "/users/", wrong)
    assert (refused.status, refused.json["message"], refused.json["detail"]) == (400, text, text)


def test_a_login_is_a_form(secured: Secured) -> None:
    server = secured.server
    as_json = server.post("/token", {"username": "a", "password": "b"})
    assert as_json.status == 400 and "send one with Content-Type: application/x-www-form" in as_json.json["message"]
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    for body, text in (
        (b"username=a&password=", "A required request parameter 'password' was not provided"),
        (b"username=a&password=b&grant_type=code", "grant_type must be one of password, not 'code'"),
    ):
        refused = server.post("/token", body, **form)
        assert (refused.status, refused.json["message"]) == (400, text)
    assert server.post("/token", b"username=a&password=b&grant_type=", **form).status == 401


@pytest.mark.guarantee("a key is revoked")
def test_keys_are_shown_once_and_revoked_at_once(secured: Secured) -> None:
    own_id, server = secured.ids["other"], secured.server
    answer = secured.ask("other", "POST", f"/users/{own_id}/keys/", {"name": "laptop", "days": 30})
    key = {"Authorization": f"Bearer {answer.json['key']}"}
    assert answer.headers["Cache-Control"] == "no-store"
    listed = secured.ask("other", "GET", f"/users/{own_id}/keys/")
    assert answer.json["key"] not in listed.body.decode()
    assert {"laptop", "test"} <= {row["name"] for row in listed.json}
    assert all(server.get("/users/me", **key).status == 200 for _ in range(8))  # all workers cache the key
    assert secured.ask("participant", "DELETE", f"/users/{own_id}/keys/{answer.json['id']}").status == 404
    assert secured.ask("other", "DELETE", f"/users/{own_id}/keys/{answer.json['id']}").status == 204
    assert all(server.get("/users/me", **key).status == 401 for _ in range(8))
    assert secured.ask("other", "DELETE", f"/users/{own_id}/keys/{2**60}").status == 404
    for wrong in ({}, {"name": "\n"}, {"name": "x", "days": 0}, {"name": "x", "scopes": ["root"]}):
        assert secured.ask("other", "POST", f"/users/{own_id}/keys/", wrong).status == 400, wrong


def test_an_account_chooses_the_name_that_others_see(secured: Secured) -> None:
    path = f"/users/{secured.ids['other']}/"
    shown = secured.ask("other", "GET", path).json["name"]
    assert shown == f"account {secured.ids['other']}"
    changed = secured.ask("other", "PATCH", path, {"name": "Zoë"})
    assert (changed.status, changed.json["name"]) == (200, "Zoë")
    assert secured.ask("participant", "PATCH", path, {"name": "Bob"}).status == 404
    taken = secured.ask("participant", "PATCH", f"/users/{secured.ids['participant']}/", {"name": "ZOË"})
    assert taken.status == 400 and "taken" in taken.json["message"]
    assert secured.ask("other", "PATCH", path, {"name": "Zoë", "email": "new@example.org"}).status == 400
    assert secured.ask("other", "PATCH", path, {"name": ""}).json["name"] == shown
