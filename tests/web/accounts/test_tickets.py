"""A page that cannot send a key opens a stream with a ticket, which is valid for that stream only."""

import pytest

from tests.conftest import Secured
from tests.support.servers import Answer


@pytest.mark.guarantee("a page opens a stream")
def test_a_page_opens_a_stream_with_a_ticket(secured: Secured) -> None:
    instance = secured.ask("participant", "POST", "/v1/envs/", {"env_id": "CartPole-v1"})
    path = f"/v1/envs/{instance.json['instance_id']}/stream"
    assert secured.ask("nobody", "GET", path).status == 401

    def open_stream(who: str) -> Answer:
        """Open the stream with a new ticket. A valid one gets a 400, since the request has no handshake."""
        issued = secured.ask(who, "POST", "/tickets/", {"path": path})
        assert (issued.status, issued.json["expires_in"]) == (201, 30)
        urls.append(f"{path}?ticket={issued.json['ticket']}")
        return secured.ask("nobody", "GET", urls[-1])

    urls: list[str] = []
    answer = open_stream("participant")
    assert answer.status == 400 and "the stream is a WebSocket" in answer.json["message"]
    again = secured.ask("nobody", "GET", urls[0])
    assert again.status == 401 and "ask for another" in again.json["message"]
    assert open_stream("other").status == 404  # not their instance
    secured.ask("participant", "POST", f"/v1/envs/{instance.json['instance_id']}/close/")


def test_tickets_are_for_streams_only(secured: Secured) -> None:
    for path in ("/experiments", "/users/me/", "/nowhere", "https://example.org/", "\ud7ff"):
        refused = secured.ask("participant", "POST", "/tickets/", {"path": path})
        assert refused.status == 400 and "path must be the path of a stream" in refused.json["message"], path
    path = "/v1/envs/x/stream"
    ticket = secured.ask("participant", "POST", "/tickets/", {"path": path}).json["ticket"]
    assert secured.ask("nobody", "GET", f"/users/me/?ticket={ticket}").status == 401
    assert secured.ask("nobody", "POST", "/tickets/", {"path": path}).status == 401
