"""Responses with files, with support for ranges and ETags."""

from typing import IO, Any

from flask import Response, request
from werkzeug.wsgi import FileWrapper

from gymserve.recording.recordings import TYPES


def send(sized_file: tuple[IO[bytes], int], kind: str, name: str) -> Response:
    """Respond with a file, or with the range of it that the request names.

    Args:
        sized_file: (the file, its size in bytes).
        kind: a key of TYPES.
        name: the submission or experiment it belongs to, for the ETag.
    """
    file, size = sized_file
    # Any: werkzeug types what `make_conditional` returns as its own Response, not Flask's.
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
