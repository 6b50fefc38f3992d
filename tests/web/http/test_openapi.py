"""The API description is valid, complete and accurate, and its pages load nothing from other sites."""

import functools
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from gymserve.settings import Settings
from gymserve.web.app import create_app
from gymserve.web.http.openapi import path_of, struct_of
from tests import ROOT
from tests.conftest import Secured
from tests.support.description import Description
from tests.support.experiments import untrained
from tests.support.parts import TYPESCRIPT
from tests.support.servers import Server

PAGES = {"/openapi.json", "/docs", "/redoc", "/static/{filename}", "/boards/{name}"}


def routes() -> set[tuple[str, str]]:
    """Return (method, path) of every route of the API."""
    names = set()
    with tempfile.TemporaryDirectory() as data:
        rules = list(create_app(Settings(DATA=data)).url_map.iter_rules())
    for rule in rules:
        if rule.endpoint.partition(".")[0].endswith("pages"):  # HTML
            continue
        names |= {(method.lower(), path_of(rule)) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return {(method, path) for method, path in names if path not in PAGES}


def test_the_document_validates_and_covers_every_route(server: Server) -> None:
    document = server.get("/openapi.json").json
    validate(document)
    assert document["openapi"] == "3.1.0"
    assert api_of(server).description.operations == routes()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"] and "400" in operation["responses"]


def test_paths_and_names_in_the_document_are_unique(server: Server) -> None:
    document = server.get("/openapi.json").json
    shapes = [re.sub(r"{\w+}", "{}", path) for path in document["paths"]]
    assert len(shapes) == len(set(shapes))
    assert all(name.isidentifier() for name in document["components"]["schemas"])
    for schema in parts_of(document["components"]):
        assert schema.get("type") != "array" or schema.keys() & {"items", "prefixItems"}, schema
        assert schema.get("type") != "object" or schema.keys() & {"properties", "additionalProperties"}, schema
    assert not any("security" in each for methods in document["paths"].values() for each in methods.values())


def parts_of(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from parts_of(each)


ELSEWHERE_CHECKED = {"v1.step", "v1.observation_space_contains"}  # the fast path has its own parser; accepts any keys


def test_views_validate_requests_with_their_documented_struct() -> None:
    with tempfile.TemporaryDirectory() as data:
        views = create_app(Settings(DATA=data)).view_functions
    checked = 0
    for endpoint, view in views.items():
        note = getattr(view, "__documentation__", None)
        kind = note and note.body
        if kind is None or endpoint in ELSEWHERE_CHECKED or endpoint.startswith(("runt.", "rewards.")):
            continue
        text = inspect.getsource(inspect.unwrap(view))
        assert re.search(rf"(parse|parse_form|parse_partial)\(schemas\.{struct_of(kind).__name__}\b", text), endpoint
        checked += 1
    assert checked > 20


def test_the_document_has_an_etag(server: Server) -> None:
    tag = server.get("/openapi.json").headers["ETag"]
    assert server.get("/openapi.json", If_None_Match=tag).status == 304


@pytest.mark.long
def test_a_typed_python_client_is_generated_from_it(secured: Secured, tmp_path: Path) -> None:
    document = saved(secured.ask("nobody", "GET", "/openapi.json").json, tmp_path)
    config = ROOT / "examples" / "openapi-python-client.yaml"
    environment = {**os.environ, "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}
    command = ["openapi-python-client", "generate", "--path", document, "--config", config, "--fail-on-warning"]
    process = subprocess.run(
        [*map(str, command), "--output-path", tmp_path / "made"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    views = [each for each in (tmp_path / "made").glob("gymserve_client/api/*/*.py") if each.name != "__init__.py"]
    assert len(views) == len(routes())
    use = """
from gymserve_client import Client
from gymserve_client.api.instances import v1_create, v1_reset
from gymserve_client.models import NewInstance, ResetRequest
client = Client(base_url=sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]}, raise_on_unexpected_status=True)
made = v1_create.sync(client=client, body=NewInstance(env_id="CartPole-v1"))
print(len(v1_reset.sync(made.instance_id, client=client, body=ResetRequest(seed=1)).observation))
"""
    command = [sys.executable, "-c", "import sys" + use, secured.server.url, secured.keys["participant"]]
    used = subprocess.run(command, cwd=tmp_path / "made", capture_output=True, text=True, check=False)
    assert used.stdout == "4\n", used.stderr


@pytest.mark.long
@pytest.mark.needs("openapi-typescript")
def test_a_typed_typescript_client_is_generated_from_it(secured: Secured, tmp_path: Path) -> None:
    document = saved(secured.ask("nobody", "GET", "/openapi.json").json, tmp_path)
    make = [TYPESCRIPT / "openapi-typescript", document, "--default-non-nullable", "false"]
    subprocess.run([*map(str, make), "-o", tmp_path / "api.d.ts"], check=True)
    (tmp_path / "use.ts").write_text(
        'import type { paths } from "./api";\n'
        'type Body = paths["/v1/envs/"]["post"]["requestBody"]["content"]["application/json"];\n'
        'export const body: Body = { env_id: "CartPole-v1" };\n'
    )
    subprocess.run([TYPESCRIPT / "tsc", "--noEmit", "--strict", "use.ts"], cwd=tmp_path, check=True)


def saved(document: Any, folder: Path) -> Path:
    (folder / "openapi.json").write_text(json.dumps(document))
    return folder / "openapi.json"


def test_every_route_is_in_the_documentation() -> None:
    text = "".join((ROOT / "docs" / "agents" / name).read_text() for name in ("api.md", "dialects.md"))
    for method, path in routes():
        assert f"{method.upper()} {path}" in text, f"neither page mentions {method.upper()} {path}"


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_pages_reference_nothing_external(server: Server, page: str) -> None:
    answer = server.get(page)
    assert answer.status == 200 and "default-src 'self'" in answer.headers["Content-Security-Policy"]
    html = answer.body.decode()
    assert "http:" not in html and "https:" not in html and "<script>" not in html and "style=" not in html
    for reference in re.findall(r'(?:src|href)="(/[^"]+)"', html):
        assert server.get(reference).status == 200, reference


ELSEWHERE = {  # other tests cover these, which stop the server, leave HTTP, or start a real training
    ("post", "/v1/shutdown/"),
    ("get", "/v1/envs/{instance_id}/stream"),
    ("get", "/api/v1/stream"),
}
OPERATIONS = sorted(routes() - ELSEWHERE)
FEW = 2  # requests per operation in the default tests
EXAMPLES = int(os.environ.get("EXAMPLES", "20"))  # requests per operation in the long tests


class Api:
    """A server and its API description."""

    def __init__(self, server: Server) -> None:
        self.server, self.description = server, Description(server)
        self.schema = schemathesis.openapi.from_dict(self.description.document)

    def parameters(self, method: str, path: str, user: int, headers: dict[str, str]) -> dict[str, Any]:
        """Return values of the path's parameters that exist."""
        values: dict[str, Any] = {}
        begins = path.rpartition("/")[0].endswith(
            ("/train", "/resume", "/retry")
        )  # these start a real training, which other tests cover
        if "{instance_id}" in path:
            values["instance_id"] = self.server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **headers).json["token"]
        if "{experiment_id}" in path and not begins:
            values["experiment_id"] = untrained(self.server, user if headers else None)
        if "{user_id}" in path and (method, path) != ("delete", "/users/{user_id}/"):
            values["user_id"] = user
        return values


@functools.cache
def api_of(server: Server) -> Api:
    """Return a server's description, cached because reading it takes longer than a few requests."""
    return Api(server)


def send_anything(api: Api, method: str, path: str, number: int, user: int, headers: dict[str, str]) -> None:
    """Send `number` requests to an operation; about half of them name existing things, and have `headers`."""
    operation, existing = api.schema[path][method], api.parameters(method, path, user, headers)
    seen = set()

    @settings(
        max_examples=number, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(operation.as_strategy(), st.booleans())
    def send(case: Any, known: bool) -> None:
        if known and existing:
            case.path_parameters.update(existing)
        response = case.call(base_url=api.server.url, headers=headers if known else {})
        seen.add(response.status_code)
        assert response.status_code < 500, response.text
        media = response.headers.get("content-type", [None])[0]
        api.description.check(method, path, response.status_code, media, response.content)

    send()
    assert seen


@pytest.mark.guarantee("anything is sent to any operation of `/openapi.json`")
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_random_requests_get_documented_responses(server: Server, method: str, path: str) -> None:
    send_anything(api_of(server), method, path, FEW, user=1, headers={})


@pytest.mark.long
@pytest.mark.guarantee("anything is sent to any operation of `/openapi.json`")
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_many_random_requests_get_documented_responses(server: Server, method: str, path: str) -> None:
    send_anything(api_of(server), method, path, EXAMPLES, user=1, headers={})


@pytest.mark.long
@pytest.mark.guarantee("anything is sent to any operation of `/openapi.json`")
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_random_requests_with_accounts_get_documented_responses(secured: Secured, method: str, path: str) -> None:
    """They are sent by a participant, who may delete the account, and some are anonymous."""
    user, key = secured.server.account(f"{method} {path}")
    send_anything(api_of(secured.server), method, path, EXAMPLES, user, {"Authorization": f"Bearer {key}"})
