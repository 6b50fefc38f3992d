"""The API's description covers every route, validates, and is kept; its pages fetch nothing from elsewhere."""

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from gymserve.settings import Settings
from gymserve.web.app import create_app
from gymserve.web.openapi import path_of
from tests.conftest import Secured
from tests.description import Description
from tests.servers import Server

ROOT = Path(__file__).parent.parent.parent
PAGES = {"/openapi.json", "/docs", "/redoc", "/static/{filename}", "/boards/{name}"}


def routes() -> set[tuple[str, str]]:
    """(method, path) of every route of the application."""
    found = set()
    for rule in create_app(Settings(DATA=tempfile.mkdtemp())).url_map.iter_rules():
        if rule.endpoint.partition(".")[0].endswith("pages"):  # for people
            continue
        found |= {(method.lower(), path_of(rule)) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return {(method, path) for method, path in found if path not in PAGES}


def test_the_document_validates_and_covers_every_route(server: Server) -> None:
    document = server.get("/openapi.json").json
    validate(document)
    assert document["openapi"] == "3.1.0"
    assert Description(server).operations == routes()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"] and "400" in operation["responses"]


def test_every_route_is_in_the_documentation() -> None:
    text = "".join((ROOT / "docs" / name).read_text() for name in ("api.md", "dialects.md"))
    for method, path in routes():
        assert f"{method.upper()} {path}" in text, f"neither page tells of {method.upper()} {path}"


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_a_page_names_nothing_outside(server: Server, page: str) -> None:
    answer = server.get(page)
    assert answer.status == 200 and "default-src 'self'" in answer.headers["Content-Security-Policy"]
    html = answer.body.decode()
    assert "http:" not in html and "https:" not in html and "<script>" not in html and "style=" not in html
    for reference in re.findall(r'(?:src|href)="(/[^"]+)"', html):
        assert server.get(reference).status == 200, reference


ELSEWHERE = {  # tests of their own: they end the server, leave HTTP, or begin a real training
    ("post", "/v1/shutdown/"),
    ("get", "/v1/envs/{instance_id}/stream"),
    ("get", "/api/v1/stream"),
}
OPERATIONS = sorted(routes() - ELSEWHERE)
EXAMPLES = int(os.environ.get("EXAMPLES", "20"))  # of requests to each operation


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("mode", ["open", "token"])
def test_nothing_that_is_sent_ends_in_an_unexplained_answer(
    server: Server, secured: Secured, mode: str, method: str, path: str
) -> None:
    known_user, headers = 1, {}
    if mode == "token":  # a participant, who may delete the account, and is now and then nobody
        server = secured.server
        known_user, key = server.account(f"{method} {path}")
        headers = {"Authorization": f"Bearer {key}"}
    description = Description(server)
    operation = schemathesis.openapi.from_dict(description.document)[path][method]
    tokens = [server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **headers).json["token"]]
    asked = {"name": "x", "algorithm": "PPO", "environment": "CartPole-v1"}
    experiment = server.post("/experiments", asked, **headers).json["id"]
    begins = path.rpartition("/")[0].endswith(("/train", "/resume", "/retry"))  # a real training: tests of their own
    seen = set()

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(operation.as_strategy(), st.booleans())
    def check(case: Any, known: bool) -> None:
        if known and "instance_id" in (case.path_parameters or {}):
            case.path_parameters["instance_id"] = tokens[-1]
        if known and "experiment_id" in (case.path_parameters or {}) and not begins:
            case.path_parameters["experiment_id"] = experiment
        if known and "user_id" in (case.path_parameters or {}) and (method, path) != ("delete", "/users/{user_id}/"):
            case.path_parameters["user_id"] = known_user
        response = case.call(base_url=server.url, headers=headers if known or mode == "open" else {})
        seen.add(response.status_code)
        assert response.status_code < 500, response.text
        media = response.headers.get("content-type", [None])[0]
        description.check(method, path, response.status_code, media, response.content)

    check()
    assert seen
