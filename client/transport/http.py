"""Calls over HTTP: making and closing instances, and stepping them if no stream gets through."""

import time
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec
import urllib3

from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import (
    ConnectionLost,
    NotReachable,
    ServerError,
    TimedOut,
    TooFast,
    Unavailable,
    server_error,
)
from gymserve.client.transport.keep_alive import KeepAlive
from gymserve.client.transport.patience import Limits, Patience
from gymserve.protocol import wire


class Upload:
    """A file as the body of a request, read while it is sent.

    Args:
        size: its length in bytes.
        progress: called with the number of bytes sent so far.
    """

    def __init__(self, file: BinaryIO, size: int, content_type: str, progress: Callable[[int], None]) -> None:
        self.headers = {"Content-Type": content_type, "Content-Length": str(size)}
        self._file, self._progress, self._sent = file, progress, 0

    def read(self, size: int = -1) -> bytes:
        self._progress(self._sent)
        data = self._file.read(size)
        self._sent += len(data)
        return data


class Http:
    """A pool of connections to one server; any thread may call."""

    def __init__(self, address: Address, limits: Limits) -> None:
        self.address = address
        self.timeout = limits.timeout
        headers = {**address.headers, "User-Agent": "gymserve-client"}
        proxy = address.proxy()
        self._plain = KeepAlive(address, limits, headers) if address.scheme == "http" and proxy is None else None
        options: dict[str, Any] = {"ssl_context": address.tls()} if address.scheme == "https" else {}
        options |= {
            "timeout": urllib3.Timeout(connect=limits.connect_timeout, read=limits.timeout),
            "retries": False,
            "maxsize": 4,
            "headers": headers,
        }
        origin = f"{address.scheme}://{address.netloc}"
        self._prefix = address.prefix  # of each path
        self._pool: urllib3.HTTPConnectionPool
        if proxy is None:
            self._pool = urllib3.connection_from_url(origin, **options)
            return
        proxied = urllib3.ProxyManager(f"{proxy.scheme}://{proxy.netloc}", proxy_headers=proxy.proxy_headers, **options)
        self._pool = proxied.connection_from_url(origin)
        if address.scheme == "http":  # a proxy wants the whole URL, and its own login with each request
            self._prefix = str(address)
            self._pool.headers = {**options["headers"], **proxy.proxy_headers}

    def call(
        self, method: str, path: str, body: object = None, *, patience: float | None = None, key: str | None = None
    ) -> Any:
        """The response: a value if it is JSON, else bytes.

        Args:
            body: an Upload, which cannot be repeated, or what JSON can represent.
            patience: seconds for which the call is repeated while the server is away, if it may be repeated.
            key: an idempotency key, with which any call may be repeated.

        Raises:
            ServerError: the server refused, could not be reached, or did not come back in time.
        """
        if patience is None:
            return self._attempt(method, path, body, key)
        budget = Patience(patience)
        while True:
            try:
                return self._attempt(method, path, body, key)
            except NotReachable:
                raise
            except TooFast as error:
                time.sleep(budget.wait(error))
            except (ConnectionLost, Unavailable) as error:
                time.sleep(budget.pause(error))

    def _attempt(self, method: str, path: str, body: object, key: str | None) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        if isinstance(body, Upload):
            return self._through_urllib3(method, path, body, headers | body.headers)
        content = None
        if body is not None:
            content = wire.write_json(body)
            headers["Content-Type"] = "application/json"
        if self._plain is None:
            return self._through_urllib3(method, path, content, headers)
        try:
            return _read(*self._plain.request(method, self._prefix + path, content, headers))
        except NotReachable as error:
            raise NotReachable(_unreachable(self.address)) from error

    def _through_urllib3(self, method: str, path: str, content: Any, headers: dict[str, str]) -> Any:
        headers = {**self._pool.headers, **headers}
        try:
            response = self._pool.request(
                method, self._prefix + path, body=content, headers=headers, redirect=False, assert_same_host=False
            )
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise NotReachable(_unreachable(self.address)) from error
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TimedOut(f"{self.address} did not answer within {self.timeout:g} s") from error
        except urllib3.exceptions.SSLError as error:
            raise NotReachable(_tls_failure(self.address, error)) from error
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionLost(f"the connection to {self.address} was lost: {error}") from error
        return _read(response.status, response.headers.get("Content-Type", ""), response.data)

    def close(self) -> None:
        self._pool.close()
        if self._plain is not None:
            self._plain.close()


def _unreachable(address: Address) -> str:
    return (
        f"no server answers at {address}: start one with `gymserve serve`, or set its address "
        "(--server, server= or $GYMSERVE_SERVER)"
    )


def _tls_failure(address: Address, error: Exception) -> str:
    if "WRONG_VERSION_NUMBER" in str(error) or "record layer" in str(error):
        return f"{address} answers, but not over TLS: use http://{address.netloc}{address.prefix}"
    return f"the certificate of {address} cannot be verified: {error}; set SSL_CERT_FILE to a file of certificates to trust"


def _read(status: int, content_type: str, data: bytes) -> Any:
    payload: Any = data
    if content_type.startswith("application/json"):
        try:
            payload = msgspec.json.decode(data)
        except msgspec.MsgspecError as error:
            raise ConnectionLost("the server's response is damaged") from error
    if status < 300:
        return payload
    if isinstance(payload, dict) and "message" in payload:
        raise server_error(payload.get("error"), payload["message"], status, payload.get("retry_after"))
    if status in (502, 503, 504):
        raise Unavailable(f"a proxy before the server answered with status {status}: try again", status)
    raise ServerError(f"the response has status {status}: is this the address of a gymserve server?", status)
