"""The parameters of v1's requests, with what its old clients send oddly put right."""

from typing import Any

import msgspec

from gymserve.protocol import params, text
from gymserve.protocol.params import Params
from gymserve.web.http import parameters
from gymserve.web.instances.schemas import Step

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG = b"0" * 19  # digits of what may be an integer beyond 64 bits
_SHORT = 30  # bytes of a body; a shorter one has no such integer


class _Step(Step, kw_only=True):
    render: Any = None  # whatever old clients send


_decode = msgspec.json.Decoder(_Step).decode


def parse(kind: type[Params], *, needed: bool = True) -> Params:
    """The current request's parameters.

    Args:
        needed: whether there must be any; see `parameters.optional_of_request`.

    Raises:
        InvalidRequest: they are no good.
    """
    values = parameters.of_request() if needed else parameters.optional_of_request()
    return params.parse(plain(values), kind)


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """What is left of `values` without "" and [], which the server of openai/gym-http-api takes as missing, and with
    booleans where old Lua clients send strings. What was ever sent for `render` has no effect."""
    kept = {name: value for name, value in values.items() if value != "" and value != [] and name != "render"}
    for name in ("force", "resume", "video_callable"):
        if isinstance(value := kept.get(name), str) and value.lower() in ("true", "false"):
            kept[name] = value.lower() == "true"
    if "token" in kept:
        kept.setdefault("directory", "monitor")  # osim-rl's grader was told a key instead
    return kept


def step(body: bytes, content_type: str) -> Step:
    """The parameters of a step; the hot path.

    Most bodies are read without `wire.read_json`, which is slower by far, when it is certain that it would find nothing
    in them: no name twice, no integer beyond 64 bits, no odd characters.

    Raises:
        InvalidRequest: they are no good.
    """
    if body.isascii() and b"\\" not in body and parameters.is_json(content_type):
        if len(body) > text.MAX_DEPTH:
            text.check_size(body)
        try:
            found = _decode(body)
        except (msgspec.MsgspecError, RecursionError):
            found = None
        if found is not None and found.action is not None and found.action != "" and found.action != []:
            names = 1 + (found.seq is not None) + (b'"render":' in body)
            if body.count(b":") == names and (len(body) < _SHORT or _LONG not in body.translate(_DIGITS)):
                return found
    return params.parse(plain(parameters.read(body, content_type)), Step)
