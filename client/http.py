"""Calls over HTTP: making and closing instances, and stepping them where no stream gets through."""

import time
from typing import Any

import msgspec
import urllib3

from client.address import Address
from client.exceptions import ConnectionLost, NotReachable, ServerError, TimedOut, TooFast, Unavailable, named
from client.patience import Patience
from gymserve import wire


class Http:
    """One server, spoken to over a pool of kept connections; any thread may call.

    Args:
        timeout: seconds to wait for an answer.
        connect_timeout: seconds to wait for a connection.
    """

    def __init__(self, address: Address, *, timeout: float, connect_timeout: float) -> None:
        self.address = address
        self.timeout = timeout
        tls = {"ssl_context": address.tls()} if address.scheme == "https" else {}
        self._pool: Any = urllib3.connection_from_url(
            f"{address.scheme}://{address.netloc}",
            timeout=urllib3.Timeout(connect=connect_timeout, read=timeout),
            retries=False,
            maxsize=4,
            headers={**address.headers, "User-Agent": "gymserve-client"},
            **tls,
        )

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """One attempt: the answer's JSON, or its bytes where it is something else.

        Raises:
            ServerError: the server refused, or could not be reached.
        """
        headers = dict(self._pool.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        content = None if body is None else wire.write_json(body)
        try:
            answer = self._pool.request(
                method, self.address.prefix + path, body=content, headers=headers, redirect=False
            )
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise NotReachable(_absent(self.address)) from error
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TimedOut(f"{self.address} did not answer within {self.timeout:g} s") from error
        except urllib3.exceptions.SSLError as error:
            raise NotReachable(f"{self.address} cannot be trusted: {error}") from error
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionLost(f"the connection to {self.address} was lost: {error}") from error
        return _read(answer.status, answer.headers.get("Content-Type", ""), answer.data)

    def patiently(self, method: str, path: str, body: Any = None, *, seconds: float, key: str | None = None) -> Any:
        """As `call`, tried again while the server is away: for calls that may be repeated.

        Raises:
            ServerError: the server refused, was never there, or did not come back within `seconds`.
        """
        patience = Patience(seconds)
        while True:
            try:
                return self.call(method, path, body, key=key)
            except NotReachable:
                raise
            except TooFast as error:
                time.sleep(patience.wait(error))
            except (ConnectionLost, Unavailable) as error:
                time.sleep(patience.pause(error))

    def close(self) -> None:
        self._pool.close()


def _absent(address: Address) -> str:
    return f"no server answers at {address}: start one with `python gym_http_server.py`, or name it (server=, $GYMSERVE_SERVER)"


def _read(status: int, kind: str, data: bytes) -> Any:
    told: Any = data
    if kind.startswith("application/json"):
        try:
            told = msgspec.json.decode(data)
        except msgspec.MsgspecError as error:
            raise ConnectionLost("the server's answer is damaged") from error
    if status < 300:
        return told
    if isinstance(told, dict) and "message" in told:
        raise named(str(told.get("error", "")), str(told["message"]), status, told.get("retry_after"))
    if status in (502, 503, 504):
        raise Unavailable(f"something before the server answered with status {status}", status)
    raise ServerError(f"the answer has status {status}: is this address a gymserve server?", status)
