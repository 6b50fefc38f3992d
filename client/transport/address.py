"""The address of a server, with the credentials for it."""

import base64
import os
import ssl
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from gymserve.client.transport.exceptions import InvalidRequest

DEFAULT = "http://127.0.0.1:5000"


@dataclass(frozen=True)
class Address:
    """A server's address, or a proxy's; its text has no token and no login in it."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    token: str | None = field(default=None, repr=False)
    login: str = field(default="", repr=False)  # name:password, from the URL

    @classmethod
    def of(cls, server: str | None = None, token: str | None = None) -> "Address":
        """The address of `server`, else of $GYMSERVE_SERVER, else port 5000 of this machine; `token` else $GYMSERVE_TOKEN.

        Raises:
            InvalidRequest: the address is not an http or https URL, or the token has characters that no token has.
        """
        url = server or os.environ.get("GYMSERVE_SERVER") or DEFAULT
        token = token or os.environ.get("GYMSERVE_TOKEN") or None
        if token is not None and not (token.isascii() and token.isprintable()):
            raise InvalidRequest("the token has characters that no token has: copy all of it, without line breaks")
        return replace(_parsed(url, "server"), token=token)

    @property
    def netloc(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that authenticate a request to this server."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        return {"Authorization": self._basic} if self.login else {}

    @property
    def proxy_headers(self) -> dict[str, str]:
        """The headers that authenticate a request to this proxy."""
        return {"Proxy-Authorization": self._basic} if self.login else {}

    @property
    def _basic(self) -> str:
        return "Basic " + base64.b64encode(self.login.encode()).decode()

    def proxy(self) -> "Address | None":
        """The proxy that $HTTP_PROXY, $HTTPS_PROXY or $ALL_PROXY names, or None.

        There is none for this machine itself, nor for hosts that $NO_PROXY excludes.

        Raises:
            InvalidRequest: its address is not an http or https URL.
        """
        if self.host == "localhost" or self.host.startswith("127.") or self.host == "::1" or proxy_bypass(self.host):
            return None
        proxies = getproxies()
        url = proxies.get(self.scheme) or proxies.get("all")
        return None if not url else _parsed(url if "://" in url else f"http://{url}", "the proxy")

    def tls(self) -> ssl.SSLContext | None:
        """The TLS settings with which to verify the server; None for plain http."""
        return ssl.create_default_context() if self.scheme == "https" else None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.prefix}"


def _parsed(url: str, name: str) -> Address:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in ("http", "https") or not host:
        raise InvalidRequest(f"{name} must be a URL such as {DEFAULT}, not {url!r}")
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    return Address(scheme, host, port or (443 if scheme == "https" else 80), parts.path.rstrip("/"), login=login)
