"""A page opens a stream with a ticket, where it can send no key; it is good for that stream and for nothing else."""

import pytest

from tests.conftest import Secured
from tests.support.servers import Answer


@pytest.mark.guarantee("a page opens a stream")
def test_a_page_opens_a_stream_with_a_ticket(secured: Secured) -> None:
    made = secured.ask("participant", "POST", "/v1/envs/", {"env_id": "CartPole-v1"})
    path = f"/v1/envs/{made.json['instance_id']}/stream"
    assert secured.ask("nobody", "GET", path).status == 401

    def opened(who: str) -> Answer:
        """What the stream says to a ticket of theirs: 400 for want of a handshake, which comes behind the door."""
        given = secured.ask(who, "POST", "/tickets/", {"path": path})
        assert (given.status, given.json["expires_in"]) == (201, 30)
        tickets.append(f"{path}?ticket={given.json['ticket']}")
        return secured.ask("nobody", "GET", tickets[-1])

    tickets: list[str] = []
    mine = opened("participant")
    assert mine.status == 400 and "the stream is a WebSocket" in mine.json["message"]
    again = secured.ask("nobody", "GET", tickets[0])
    assert again.status == 401 and "ask for another" in again.json["message"]
    assert opened("other").status == 404  # not their instance
    secured.ask("participant", "POST", f"/v1/envs/{made.json['instance_id']}/close/")


def test_a_ticket_is_for_streams_alone(secured: Secured) -> None:
    for path in ("/experiments", "/users/me/", "/nowhere", "https://example.org/", "\ud7ff"):
        refused = secured.ask("participant", "POST", "/tickets/", {"path": path})
        assert refused.status == 400 and "path must be that of a stream" in refused.json["message"], path
    path = "/v1/envs/x/stream"
    ticket = secured.ask("participant", "POST", "/tickets/", {"path": path}).json["ticket"]
    assert secured.ask("nobody", "GET", f"/users/me/?ticket={ticket}").status == 401
    assert secured.ask("nobody", "POST", "/tickets/", {"path": path}).status == 401
