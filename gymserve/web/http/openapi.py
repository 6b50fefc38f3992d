"""The API description (OpenAPI 3.1), generated from the views, and the two pages that show it."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType, NoneType, UnionType
from typing import NamedTuple, TypeAlias, cast, get_args, get_origin

import msgspec
from flask import Flask, Response, render_template, request
from flask.globals import app_ctx
from werkzeug.routing import Rule

import gymserve
from gymserve.protocol import wire
from gymserve.web.http import schemas
from gymserve.web.http.access import PUBLIC, View, allow, mark, role_for
from gymserve.web.http.answers import JSON, MSGPACK
from gymserve.web.http.backend import backend
from gymserve.web.http.blueprint import Blueprint

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


Kind: TypeAlias = type[msgspec.Struct] | type[Sequence[msgspec.Struct]] | str
"""What a response contains: a struct, `list[Struct]`, or a media type."""

Answer: TypeAlias = Kind | tuple[Kind, ...] | None
"""A response's body: of one or several kinds, or None for no content."""

References: TypeAlias = dict[type[msgspec.Struct], dict[str, object]]
"""Struct → its reference in the description."""


class Documentation(NamedTuple):
    """What the API description says of a view, beside its docstring."""

    answers: Mapping[int, Answer]  # by status
    body: type[msgspec.Struct] | UnionType | None
    accepts: tuple[str, ...]
    errors: tuple[int, ...]
    headers: Mapping[str, str]
    query: Mapping[str, str]


def documented(
    answer: Answer | Mapping[int, Answer] = None,
    *,
    status: int = 200,
    body: type[msgspec.Struct] | UnionType | None = None,
    accepts: tuple[str, ...] = (JSON,),
    errors: tuple[int, ...] = (),
    headers: Mapping[str, str] = MappingProxyType({}),
    query: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[View], View]:
    """Declare a view's requests and responses for the API description.

    Args:
        answer: the body of a successful response, or the bodies by status.
        status: the status of a successful response.
        body: the parameters; `Params | None` if a request may come without a body.
        accepts: the media types in which the parameters may be sent.
        errors: the statuses of its errors, beside those that any view has.
        headers: request headers and their meanings.
        query: query parameters and their meanings.
    """

    def note(view: View) -> View:
        answers = answer if isinstance(answer, Mapping) else {status: answer}
        return mark(view, "documentation", Documentation(answers, body, accepts, errors, headers, query))

    return note


def path_of(rule: Rule) -> str:
    """Return a route's path in OpenAPI's syntax."""
    return _PLACE.sub(r"{\2}", rule.rule)


def ranges(*media: str) -> dict[int, Answer]:
    """Return the answers of a file of one of these types that can be requested in ranges and by ETag."""
    return {200: media, 206: media, 304: None, 412: None}


def describe(app: Flask, prefix: str = "/") -> dict[str, object]:
    """Return the OpenAPI document of all documented views of `app`; its paths are relative to `prefix`."""
    notes: dict[str, Documentation] = {
        name: view.__documentation__ for name, view in app.view_functions.items() if hasattr(view, "__documentation__")
    }
    structs: set[type[msgspec.Struct]] = {schemas.Error}
    for note in notes.values():
        kinds = [kind for answer in note.answers.values() for kind in _kinds(answer)]
        structs |= {struct_of(kind) for kind in (*kinds, note.body) if not isinstance(kind, str | None)}
    ordered = sorted(structs, key=lambda kind: kind.__name__)
    schema_references, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    _complete(components)
    references = dict(zip(ordered, schema_references, strict=True))
    paths: dict[str, dict[str, object]] = {}
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


def _operation(app: Flask, rule: Rule, note: Documentation, references: References) -> dict[str, object]:
    summary, _, more = (app.view_functions[rule.endpoint].__doc__ or "").strip().partition("\n")
    group = app.blueprints[rule.endpoint.partition(".")[0]]
    assert isinstance(group, Blueprint)
    operation: dict[str, object] = {
        "operationId": rule.endpoint.replace(".", "_"),
        "summary": summary.rstrip("."),
        "tags": [group.tag],
    }
    if more.strip():
        operation["description"] = re.sub(r"\s+", " ", more.strip())
    if parameters := _parameters(rule, note):
        operation["parameters"] = parameters
    public = backend().settings.AUTH == "open" or role_for(app, rule.endpoint) == PUBLIC
    if not public:
        operation["security"] = [{"bearer": []}, {"password": []}]
    if note.body is not None:
        schema = references[struct_of(note.body)]
        content = {media: {"schema": BINARY if media == MSGPACK else schema} for media in note.accepts}
        operation["requestBody"] = {"required": NoneType not in get_args(note.body), "content": content}
    failures = {*ALWAYS, *note.errors, *(() if public else ACCESS)}
    contents = dict.fromkeys(failures, _content(schemas.Error, references)) | {
        status: _content(answer, references) for status, answer in note.answers.items()
    }
    operation["responses"] = {
        str(status): {"description": HTTPStatus(status).phrase} | ({"content": content} if content else {})
        for status, content in sorted(contents.items())
    }
    return operation


def _parameters(rule: Rule, note: Documentation) -> list[dict[str, object]]:
    parameters: list[dict[str, object]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if kind == "int:" else "string"}}
        for kind, name in _PLACE.findall(rule.rule)
    ]
    for place, meanings in (("header", note.headers), ("query", note.query)):
        parameters += [
            {"name": name, "in": place, "description": meaning, "schema": {"type": "string"}}
            for name, meaning in meanings.items()
        ]
    return parameters


def _content(answer: Answer, references: References) -> dict[str, object]:
    """Return media type → schema."""
    content: dict[str, object] = {}
    for kind in _kinds(answer):
        if isinstance(kind, str):
            content[kind] = {"schema": {"type": "string"} if kind.startswith("text/") else {}}
        else:
            schema = references[struct_of(kind)]
            is_list = get_origin(kind) is list
            content[JSON] = {"schema": {"type": "array", "items": schema} if is_list else schema}
    return content


def _kinds(answer: Answer) -> tuple[Kind, ...]:
    return answer if isinstance(answer, tuple) else () if answer is None else (answer,)


def struct_of(kind: object) -> type[msgspec.Struct]:
    """Return the struct in `kind`: itself, or that of `list[Struct]` or `Struct | None`."""
    return cast("type[msgspec.Struct]", (*get_args(kind), kind)[0])


@blueprint.get("/openapi.json")
@allow(PUBLIC)
def document() -> Response:
    """Get the API description."""
    answer = Response(_encoded(app_ctx.app, request.script_root), content_type="application/json")
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
