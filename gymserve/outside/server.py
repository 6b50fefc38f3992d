"""Calls other servers, which only settings may name, never a request; redirects are not followed."""

import ipaddress
import json
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import urllib3

from gymserve.protocol.errors import SettingsError, Unavailable

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
PIECE = 65_536  # bytes of a stream to read at once


class RemoteResponse(NamedTuple):
    """A response; `body` is its JSON, or {} if it is not JSON."""

    status: int
    body: object


class RemoteServer:
    """Another server, at the base URL `url`.

    Its host name must not resolve to this machine, a private network or a link-local address (where clouds serve secrets);
    the settings may name such an address by its digits, or as localhost.

    Raises:
        SettingsError: `url` is not an http or https URL.
    """

    def __init__(self, url: str, *, headers: dict[str, str], seconds: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise SettingsError(f"{url!r:.200} is not the address of a server: it must begin with http:// or https://")
        self.host, self.secure, self.path = parts.hostname, parts.scheme == "https", parts.path.rstrip("/")
        self.port = parts.port or (443 if self.secure else 80)
        self.headers = {"Host": parts.netloc.rpartition("@")[2], **headers}
        self.seconds = seconds

    def call(self, method: str, path: str, query: dict[str, str]) -> RemoteResponse:
        """Makes a call with all its parameters in the query.

        Raises:
            Unavailable: there was no answer in time; the server may or may not have processed the call.
        """
        target = f"{self.path}/{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            with self._pool() as pool:
                response = pool.urlopen(
                    method, target, headers=self.headers, timeout=self.seconds, retries=False, redirect=False
                )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # The error's message may contain the path, and so a key.
            raise Unavailable(f"{self.host} does not answer ({type(error).__name__})") from None
        try:
            body = json.loads(response.data)
        except ValueError:
            body = {}
        return RemoteResponse(response.status, body)

    def stream(self, path: str, body: object, *, whole_seconds: float) -> Iterator[bytes]:
        """Posts `body` as JSON, and yields the response's bytes as they arrive.

        The next bytes must arrive within `seconds`, the last within `whole_seconds` (plus `seconds` for the last read).

        Raises:
            Unavailable: the server does not answer, refuses, stalls, breaks off or does not finish.
        """
        deadline = time.monotonic() + whole_seconds
        headers = {**self.headers, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        try:
            with self._pool() as pool:
                response = pool.urlopen(
                    "POST", f"{self.path}/{path}", body=json.dumps(body).encode(), headers=headers,
                    timeout=self.seconds, retries=False, redirect=False, preload_content=False,
                )  # fmt: skip
                try:
                    if response.status != 200:
                        raise Unavailable(f"{self.host} answers {response.status}")
                    while piece := response.read1(PIECE, decode_content=False):
                        yield piece
                        if time.monotonic() > deadline:
                            raise Unavailable(f"{self.host} does not finish its answer")
                finally:
                    response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"{self.host} does not answer ({type(error).__name__})") from None

    def _pool(self) -> urllib3.HTTPConnectionPool:
        address = self._address()
        if not self.secure:
            return urllib3.HTTPConnectionPool(address, self.port)
        return urllib3.HTTPSConnectionPool(
            address, self.port, server_hostname=self.host, assert_hostname=self.host, cert_reqs="CERT_REQUIRED"
        )

    def _address(self) -> str:
        """The server's address; looked up once, so that the address that is checked is the one that is called."""
        addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        address = str(addresses[0][4][0])
        parsed = _embedded_ipv4(ipaddress.ip_address(address.partition("%")[0]))
        if parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified:
            raise Unavailable(f"{self.host} resolves to {address}, which is never called")
        if not parsed.is_global and self.host not in ("localhost", address):
            raise Unavailable(f"{self.host} resolves to {address} in a private network: name it by its address")
        return address


def _embedded_ipv4(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 address embeds, to which its packets go; else `address` itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
