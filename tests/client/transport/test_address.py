"""Addresses of servers and proxies: what they are read from, what they send, what they never print."""

import pytest

from gymserve import client
from gymserve.client.transport.address import Address

ENVIRONMENT = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("url", "text", "netloc"),
    [
        ("http://here", "http://here:80", "here:80"),
        ("https://here/", "https://here:443", "here:443"),
        ("https://here:8443/gym/", "https://here:8443/gym", "here:8443"),
        ("http://[::1]:5000", "http://[::1]:5000", "[::1]:5000"),
    ],
)
def test_urls_are_read_with_their_defaults(url: str, text: str, netloc: str) -> None:
    address = Address.of(url)
    assert (str(address), address.netloc) == (text, netloc)


def test_an_argument_comes_before_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GYMSERVE_SERVER", "http://there:1")
    monkeypatch.setenv("GYMSERVE_TOKEN", "theirs")
    assert str(Address.of()) == "http://there:1" and Address.of().token == "theirs"
    assert str(Address.of("http://here:2")) == "http://here:2" and Address.of(token="ours").token == "ours"
    monkeypatch.delenv("GYMSERVE_SERVER")
    monkeypatch.setenv("GYMSERVE_TOKEN", "")
    assert str(Address.of()) == "http://127.0.0.1:5000" and Address.of().token is None


@pytest.mark.parametrize("token", ["two\nlines", "ключ", "a\x00b"])
def test_a_token_that_no_header_can_hold_is_refused(token: str) -> None:
    with pytest.raises(client.InvalidRequest, match="without line breaks"):
        Address.of("http://here", token)


def test_credentials_are_sent_and_never_printed() -> None:
    with_both = Address.of("http://me:a%20word@here", "a-token")
    assert with_both.headers == {"Authorization": "Bearer a-token"}
    with_login = Address.of("http://me:a%20word@here")
    assert with_login.headers == {"Authorization": "Basic bWU6YSB3b3Jk"}
    assert with_login.proxy_headers == {"Proxy-Authorization": "Basic bWU6YSB3b3Jk"}
    assert Address.of("http://here").headers == Address.of("http://here").proxy_headers == {}
    assert "word" not in f"{with_both!r} {with_both}" and "a-token" not in f"{with_both!r} {with_both}"


def test_a_proxy_is_used_for_other_machines_that_are_not_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy:3128")
    monkeypatch.setenv("ALL_PROXY", "http://other:1")
    assert str(Address.of("http://here").proxy()) == "http://proxy:3128"
    assert str(Address.of("https://here").proxy()) == "http://other:1"
    for own in ("http://localhost", "http://127.3.2.1", "http://[::1]"):
        assert Address.of(own).proxy() is None
    monkeypatch.setenv("NO_PROXY", "here")
    assert Address.of("http://here").proxy() is None and Address.of("http://there").proxy() is not None
    monkeypatch.setenv("HTTP_PROXY", "socks5://proxy:1")
    with pytest.raises(client.InvalidRequest, match="the proxy must be a URL"):
        Address.of("http://there").proxy()
