"""Where a server is, and what it takes to get in."""

import os
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from client.exceptions import InvalidRequest

DEFAULT = "http://127.0.0.1:5000"


@dataclass(frozen=True)
class Address:
    """A server's address; the token stays out of texts."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, server: str | None = None, token: str | None = None) -> "Address":
        """What was named, else $GYMSERVE_SERVER and $GYMSERVE_TOKEN, else port 5000 of this machine.

        Raises:
            InvalidRequest: `server` is no http or https URL.
        """
        url = server or os.environ.get("GYMSERVE_SERVER") or DEFAULT
        token = token or os.environ.get("GYMSERVE_TOKEN") or None
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError:
            scheme, host, port = "", None, None
        if scheme not in ("http", "https") or not host:
            raise InvalidRequest(f"server must be a URL such as {DEFAULT}, not {url!r}")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise InvalidRequest("the token has characters that no token has: is it whole, and on one line?")
        return cls(scheme, host, port or (443 if scheme == "https" else 80), parts.path.rstrip("/"), token)

    @property
    def netloc(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def tls(self) -> ssl.SSLContext | None:
        """How to trust the server; None for plain http."""
        return ssl.create_default_context() if self.scheme == "https" else None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.prefix}"
