"""Responses that views share."""

from collections.abc import Mapping

from flask import Response

from gymserve.protocol import wire

JSON, MSGPACK = "application/json", "application/msgpack"


def json_answer(body: object) -> Response:
    """Respond with `body` as JSON; bytes are JSON already."""
    text = body if isinstance(body, bytes) else wire.write_json(body)
    return Response(text, content_type=JSON)


def no_content() -> Response:
    """Respond with 204, and with the content type that one old client insists on."""
    return Response(status=204, content_type="text/html; charset=utf-8")


def event(name: str, body: Mapping[str, object], number: int | None = None) -> bytes:
    """Encode a server-sent event. Clients that reconnect send the last `number` they received."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: ".encode() + wire.write_json(body) + b"\n\n"
