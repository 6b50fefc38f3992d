"""Every error of the server has a class of its own in the client, and the public names are documented."""

import pickle
from collections.abc import Iterator

from gymserve import client
from gymserve.client.transport import exceptions
from gymserve.client.transport.websocket import refusal
from gymserve.protocol import errors, wire
from tests import ROOT


def lower(kind: type[Exception]) -> Iterator[type[Exception]]:
    for each in kind.__subclasses__():
        yield each
        yield from lower(each)


def test_every_error_of_the_server_has_its_class() -> None:
    for kind in lower(errors.GymserveError):
        if (
            kind.__module__ != "gymserve.protocol.errors" or kind is errors.SettingsError
        ):  # that one never leaves the server
            continue
        raised = exceptions.server_error(kind.__name__, "why", wire.status(kind("why")))
        assert type(raised).__name__ == kind.__name__ and str(raised) == "why"
        parents = {each.__name__ for each in kind.__mro__} - {"GymserveError", "object", "BaseException", "Exception"}
        assert parents <= {each.__name__ for each in type(raised).__mro__}


def test_unknown_names_become_what_their_status_says() -> None:
    assert type(exceptions.server_error("Newer", "why", 409)) is client.Conflict
    assert type(exceptions.server_error("Newer", "why", 418)) is client.ServerError


def test_errors_are_drawn_in_the_docstring() -> None:
    for kind in lower(client.ServerError):
        assert kind.__name__ in (exceptions.__doc__ or "")
        assert kind.__name__ in client.__all__


def test_public_names_are_sorted_and_there() -> None:
    assert client.__all__ == sorted(client.__all__)
    assert all(hasattr(client, name) for name in client.__all__)


def test_errors_survive_another_process() -> None:
    again = pickle.loads(pickle.dumps(client.Conflict("why", 409)))
    assert (type(again), again.message, again.status_code) == (client.Conflict, "why", 409)


def test_a_refused_upgrade_is_the_servers_error_only_if_the_server_says_so() -> None:
    assert refusal(404, b"<html>") is None
    assert refusal(400, b'{"error": "UpgradeRequired", "message": "no"}') is None
    assert isinstance(refusal(502, b"<html>"), client.Unavailable)
    assert isinstance(refusal(400, b'{"error": "UnknownInstance", "message": "no"}'), client.UnknownInstance)


def test_the_page_documents_every_public_name() -> None:
    page = (ROOT / "docs" / "agents" / "client.md").read_text()
    for name in set(client.__all__) - {"RemoteEnv", "RemoteVectorEnv"}:
        assert name in page, name
