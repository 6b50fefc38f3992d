"""Calls to the server that `--server` names."""

from typing import Any

from gymserve.client.transport.address import Address
from gymserve.client.transport.http import Http
from gymserve.client.transport.patience import Limits
from gymserve.system.terminal.commands import SERVER, TOKEN, shared_value


def call(method: str, path: str) -> Any:
    """The server's answer to a request without a body: a value if it is JSON, else bytes.

    Raises:
        ServerError: the server refused, or could not be reached.
    """
    http = Http(Address.of(shared_value(SERVER), shared_value(TOKEN)), Limits(timeout=60.0))
    try:
        return http.call(method, path)
    finally:
        http.close()
