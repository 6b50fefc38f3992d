"""Views of tickets, for pages that open streams with EventSource, WebSocket or `img`, which send no headers."""

from flask import Response, current_app
from werkzeug.exceptions import HTTPException

from gymserve.accounts.tickets import SECONDS
from gymserve.protocol import errors
from gymserve.web.accounts import schemas
from gymserve.web.http import parameters
from gymserve.web.http.access import identity, is_ticketed
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented

blueprint = Blueprint("tickets", scope=None, tag="Tickets", url_prefix="/tickets")


@blueprint.post("/")
@documented(schemas.Ticket, status=201, body=schemas.NewTicket, errors=(401, 403))
def create() -> Response:
    """Create a ticket for one stream, to send once as `ticket` in its query."""
    path = parameters.parse(schemas.NewTicket).path
    if not _is_stream(path):
        raise errors.InvalidRequest(
            f"path must be the path of a stream, such as /experiments/…/metrics/stream, not {path!r:.100}"
        )
    answer = json_answer(schemas.Ticket(backend().accounts.tickets.issue(identity(), path), int(SECONDS)))
    answer.status_code = 201
    return answer


def _is_stream(path: str) -> bool:
    try:
        endpoint, _ = current_app.url_map.bind("").match(path, "GET")
    except HTTPException:
        return False
    return is_ticketed(current_app.view_functions[endpoint])
