"""The API description (OpenAPI 3.1), generated from the views, and the two pages that show it."""

import functools
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, cast

import msgspec
from flask import Flask, Response, current_app, render_template, request
from werkzeug.routing import Rule

import gymserve
from gymserve.protocol import wire
from gymserve.web.http import schemas
from gymserve.web.http.access import PUBLIC, View, allow, mark, role_for
from gymserve.web.http.answers import JSON, MSGPACK
from gymserve.web.http.backend import backend
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.parameters import FORMS

blueprint = Blueprint("openapi", scope="operations", tag="Server")
ALWAYS = (400, 404, 405, 413, 503)
IN_INSTANCE = (409, 422, 500, 504, 507)
ACCESS = (401, 403, 429)  # of views that need an account
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key, or a token from /token"},
    "password": {"type": "oauth2", "flows": {"password": {"tokenUrl": "/token", "scopes": {}}}},
}
BINARY = {"type": "string", "format": "binary"}  # client generators know bytes by this
REDOC_STYLES = (
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",  # nothing
    "QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc=",
)
_PLACE = re.compile(r"<(\w+:)?(\w+)>")


class Documentation(NamedTuple):
    """What the API description says of a view, beside its docstring."""

    answers: dict[int, Any]  # status → a msgspec type, a media type, or None for no content
    media: tuple[str, ...]
    many: bool
    body: type[msgspec.Struct] | None
    body_needed: bool
    form: type[msgspec.Struct] | None
    msgpack: bool
    errors: tuple[int, ...]
    headers: dict[str, str]
    query: dict[str, str]


def documented(
    answer: object = None,
    *,
    status: int = 200,
    also: Mapping[int, object] | None = None,
    media: tuple[str, ...] = (),
    many: bool = False,
    body: type[msgspec.Struct] | None = None,
    body_needed: bool = True,
    form: type[msgspec.Struct] | None = None,
    msgpack: bool = False,
    errors: tuple[int, ...] = (),
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
) -> Callable[[View], View]:
    """Declare a view's requests and responses for the API description.

    Args:
        answer: the body of a successful response: a struct, a media type, or None for no content.
        status: the status of a successful response.
        also: the bodies of responses with other statuses.
        media: further media types of the response.
        many: whether the response is a list of `answer`.
        body: the JSON parameters.
        body_needed: whether a body is required.
        form: the same parameters as a form.
        msgpack: whether the parameters and the response may also be msgpack.
        errors: the statuses of its errors, beside those that any view has.
        headers: request headers and their meanings.
        query: query parameters and their meanings.
    """

    def note(view: View) -> View:
        answers = {status: answer, **(also or {})}
        notes = Documentation(
            answers, media, many, body, body_needed, form, msgpack, errors, headers or {}, query or {}
        )
        return mark(view, "documentation", notes)

    return note


def path_of(rule: Rule) -> str:
    """Return a route's path in OpenAPI's syntax."""
    return _PLACE.sub(r"{\2}", rule.rule)


def ranges(media: str) -> dict[int, str | None]:
    """Return the `also` of a file that can be requested in ranges and by ETag."""
    return {206: media, 304: None, 412: None}


def describe(app: Flask, prefix: str = "/") -> dict[str, Any]:
    """Return the OpenAPI document of all documented views of `app`; its paths are relative to `prefix`."""
    notes = {
        name: view.__documentation__ for name, view in app.view_functions.items() if hasattr(view, "__documentation__")
    }
    kinds = {kind for note in notes.values() for kind in (*note.answers.values(), note.body, note.form)}
    types = {kind for kind in kinds if isinstance(kind, type)}
    types = {kind for kind in types if issubclass(kind, msgspec.Struct)} | {schemas.Error}
    ordered = sorted(types, key=lambda kind: kind.__name__)
    schema_references, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    _complete(components)
    references = dict(zip(ordered, schema_references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        if rule.endpoint in notes:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                operation = _operation(app, rule, notes[rule.endpoint], references)
                paths.setdefault(path_of(rule), {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gymserve",
            "version": gymserve.__version__,
            "description": "Reinforcement-learning environments over HTTP.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": prefix}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY},
    }


def _complete(schema: object) -> None:
    """Give untyped lists and objects an explicit schema, which msgspec omits and client generators need."""
    if isinstance(schema, dict):
        if schema.get("type") == "array" and "prefixItems" not in schema:
            schema.setdefault("items", {})
        elif schema.get("type") == "object" and "properties" not in schema:
            schema.setdefault("additionalProperties", True)
    for each in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _complete(each)


def _operation(app: Flask, rule: Rule, note: Documentation, references: dict[type, Any]) -> dict[str, object]:
    summary, _, more = (app.view_functions[rule.endpoint].__doc__ or "").strip().partition("\n")
    group = app.blueprints[rule.endpoint.partition(".")[0]]
    assert isinstance(group, Blueprint)
    operation: dict[str, Any] = {
        "operationId": rule.endpoint.replace(".", "_"),
        "summary": summary.rstrip("."),
        "tags": [group.tag],
    }
    if more.strip():
        operation["description"] = re.sub(r"\s+", " ", more.strip())
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if kind == "int:" else "string"}}
        for kind, name in _PLACE.findall(rule.rule)
    ]
    for place, meanings in (("header", note.headers), ("query", note.query)):
        parameters += [
            {"name": name, "in": place, "description": meaning, "schema": {"type": "string"}}
            for name, meaning in meanings.items()
        ]
    if parameters:
        operation["parameters"] = parameters
    public = backend().settings.AUTH == "open" or role_for(app, rule.endpoint) == PUBLIC
    if not public:
        operation["security"] = [{"bearer": []}, {"password": []}]
    bodies = {JSON: note.body, FORMS[0]: note.form}
    content = {media: {"schema": references[kind]} for media, kind in bodies.items() if kind is not None}
    if content and note.msgpack:
        content[MSGPACK] = {"schema": BINARY}
    if content:
        operation["requestBody"] = {"required": note.body_needed, "content": content}
    error = {JSON: {"schema": references[schemas.Error]}}
    failures = {*ALWAYS, *note.errors, *(() if public else ACCESS)}
    contents = dict.fromkeys(failures, error) | {
        status: _content(answer, note, references) for status, answer in note.answers.items()
    }
    operation["responses"] = {
        str(status): {"description": HTTPStatus(status).phrase} | ({"content": content} if content else {})
        for status, content in sorted(contents.items())
    }
    return operation


def _content(answer: Any, note: Documentation, references: dict[type, Any]) -> dict[str, object]:
    """Return media type → schema."""
    if answer is None:
        return {}
    others = {media: _schema_of(media) for media in (*note.media, *([MSGPACK] if note.msgpack else ()))}
    if isinstance(answer, str):
        return {answer: _schema_of(answer), **others}
    schema = references[answer]
    return {JSON: {"schema": {"type": "array", "items": schema} if note.many else schema}, **others}


def _schema_of(media: str) -> dict[str, object]:
    return {"schema": {"type": "string"} if media.startswith("text/") else {}}


@blueprint.get("/openapi.json")
@allow(PUBLIC)
def document() -> Response:
    """Get the API description."""
    app: Flask = cast(Any, current_app)._get_current_object()
    answer = Response(_encoded(app, request.script_root), content_type="application/json")
    answer.add_etag()
    answer.cache_control.no_cache = True
    answer.make_conditional(request)
    return answer


@functools.lru_cache(8)
def _encoded(app: Flask, prefix: str) -> bytes:
    return wire.write_json(describe(app, prefix or "/"))


@blueprint.get("/docs")
@allow(PUBLIC)
def swagger() -> Response:
    """Show the API description in Swagger UI, where requests can be tried."""
    return _page("api/swagger.html")


@blueprint.get("/redoc")
@allow(PUBLIC)
def redoc() -> Response:
    """Show the API description in ReDoc, for reading."""
    return _page("api/redoc.html")


def _page(template: str) -> Response:
    """Render a page that can load nothing from other sites.

    ReDoc creates style elements and fills them later; the policy allows them by the hashes of their initial contents.
    """
    styles = " ".join(f"'sha256-{digest}'" for digest in REDOC_STYLES)
    policy = f"default-src 'self'; img-src 'self' data:; style-src 'self' {styles}; worker-src 'self' blob:"
    return Response(render_template(template), headers={"Content-Security-Policy": policy})
