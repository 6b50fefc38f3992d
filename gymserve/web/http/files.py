"""Files as answers: whole, in parts, or only where they have changed."""

from typing import IO, Any

from flask import Response, request
from werkzeug.wsgi import FileWrapper

from gymserve.recording.artefacts import TYPES


def sent(opened: tuple[IO[bytes], int], kind: str, name: str) -> Response:
    """A file, or the part of it that is asked for.

    Args:
        opened: (the file, its size in bytes).
        name: whose it is.
    """
    file, size = opened
    response: Any = Response(FileWrapper(file), content_type=TYPES[kind], direct_passthrough=True)
    response.content_length = size
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(f"{name}-{kind}-{size}")
    try:
        answer: Response = response.make_conditional(request, accept_ranges=True, complete_length=size)
        return answer
    except Exception:
        file.close()
        raise
