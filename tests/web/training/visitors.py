"""Visitors of the training pages without a real browser: their logins, requests and experiments."""

import urllib.error
import urllib.parse

from tests.conftest import Secured
from tests.support.experiments import untrained
from tests.support.servers import PASSWORD, Server
from tests.web.accounts.test_pages import Browser

ORGANISER, OTHER, ADMIN = "organiser@example.org", "other@example.org", "admin@example.org"
SCRIPT = "<script>document.title = 'taken over'</script><img src=x onerror=alert(1)>"  # a title


def experiment(secured: Secured, title: str = "test") -> str:
    """Return the id of an organiser's new experiment."""
    return untrained(secured.server, secured.ids["organiser"], title=title)


def state(secured: Secured, name: str) -> str:
    return str(secured.ask("organiser", "GET", f"/experiments/{name}").json["status"])


def visitor(server: Server, email: str) -> Browser:
    browser = Browser(server)
    form = {"email": email, "password": PASSWORD}
    assert browser.send("/login", **form, csrf_token=browser.ticket("/login")) == 200
    return browser


def answer(browser: Browser, path: str, **form: str) -> tuple[int, str]:
    try:
        sent = urllib.parse.urlencode(form).encode() if form else None
        with browser.opener.open(browser.server.url + path, sent) as got:
            return int(got.status), got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
