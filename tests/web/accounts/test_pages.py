"""The pages in a real browser, from the one-time link to a working key: narrow, by keyboard, without scripts."""

import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import ROOT
from tests.conftest import Secured
from tests.support.servers import PASSWORD, Server, wait_for


@pytest.mark.long
def test_from_the_link_to_a_key_that_works(start: Any, page: Page) -> None:
    server: Server = start(AUTH="token")
    link = wait_for(lambda: re.search(r"http://\S+/setup/\S+", "".join(server.output)))[0]
    problems: list[str] = []
    other_sites: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: other_sites.append(request.url) if server.url not in request.url else None)

    page.goto(link)
    expect(page.get_by_label("Email")).to_be_focused()  # otherwise the first key would be lost
    page.keyboard.type("me@example.org")
    page.keyboard.press("Tab")
    page.keyboard.type("short")
    page.keyboard.press("Enter")
    assert "password must be a string of 6" in page.get_by_role("alert").inner_text()
    problems.clear()  # the browser logs the 400
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/account")
    assert page.get_by_role("heading", level=1).inner_text() == "me@example.org"
    assert page.goto(link).status == 404
    problems.clear()

    page.goto(f"{server.url}/account")
    page.get_by_label("Name of the new key").fill("<script>alert(1)</script>")
    page.get_by_role("button", name="Create key").click()
    key = page.get_by_role("status").locator("code").inner_text()
    assert page.get_by_role("rowheader").inner_text() == "<script>alert(1)</script>"
    bearer = {"Authorization": f"Bearer {key}"}
    assert server.get("/users/me", **bearer).json["role"] == "admin"
    page.goto(f"{server.url}/account")
    assert key not in page.content()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name=re.compile("Revoke")).click()
    page.wait_for_load_state()
    assert server.get("/users/me", **bearer).status == 401

    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill("another horse")
    page.get_by_role("button", name="Change password").click()
    page.wait_for_url("**/account")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{server.url}/")
    page.goto(f"{server.url}/account")
    page.wait_for_url(re.compile(r"/login\?next="))
    page.get_by_label("Email").fill("ME@example.org")
    page.get_by_label("Password").fill("another horse")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/account")
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    assert cookies["gymserve"]["httpOnly"] and cookies["gymserve"]["sameSite"] == "Strict"
    assert not problems and not other_sites


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/login",
        "/environments/",
        "/environments/CartPole-v1/",
        "/challenges/",
        *(pytest.param(path, marks=pytest.mark.long) for path in ("/docs", "/redoc")),
    ],
)
def test_a_page_loads_without_errors(secured: Secured, page: Page, path: str) -> None:
    problems: list[str] = []
    other_sites: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: other_sites.append(request.url) if "127.0.0.1" not in request.url else None)
    page.goto(f"{secured.server.url}{path}")
    page.wait_for_load_state("networkidle")
    assert len(page.locator("main").first.inner_text()) > 20
    # ReDoc requests an image of its makers, which the policy blocks.
    assert not [text for text in problems if "cdn.redoc.ly/redoc/logo-mini.svg" not in text]
    assert not [
        url for url in other_sites if not url.startswith(("data:", "blob:", "https://cdn.redoc.ly/redoc/logo-mini"))
    ]


class Browser:
    """Cookies and forms, without the protections of a real browser."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str) -> str:
        return str(self.opener.open(self.server.url + path).read().decode())

    def send(self, path: str, **form: str) -> int:
        try:
            data = urllib.parse.urlencode(form).encode()
            return int(self.opener.open(self.server.url + path, data).status)
        except urllib.error.HTTPError as error:
            return error.code

    def ticket(self, path: str) -> str:
        match = re.search(r'name="csrf_token" value="([^"]+)"', self.get(path))
        assert match
        return match[1]


def logged_in(browser: Browser, name: str) -> Browser:
    """The browser, logged in to the account of this name."""
    ticket = browser.ticket("/login")
    assert browser.send("/login", email=f"{name}@example.org", password=PASSWORD, csrf_token=ticket) == 200
    return browser


def test_reloading_the_page_of_a_new_key_makes_no_second_one(secured: Secured) -> None:
    browser = logged_in(Browser(secured.server), "organiser")
    assert browser.send("/account/keys", name="only-one", csrf_token=browser.ticket("/account")) == 200
    page = browser.get("/account")
    assert page.count("only-one") == 2  # its row, and the name of its button
    assert "shown again" not in page


@pytest.mark.long
def test_a_visitor_signs_up_on_a_page(start: Any, page: Page) -> None:
    server: Server = start(AUTH="token", SIGN_UP=True)
    page.goto(f"{server.url}/training")
    page.get_by_role("link", name="Create one").click()
    page.get_by_label("Email").fill("new@example.org")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create account").click()
    assert "password must be a string of 6" in page.get_by_role("alert").inner_text()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/training")
    expect(page.get_by_role("link", name="new@example.org")).to_be_visible()


def test_without_sign_up_there_is_no_page_for_it(secured: Secured) -> None:
    assert secured.server.get("/signup").status == 404
    assert "Create one" not in Browser(secured.server).get("/login")


@pytest.mark.guarantee("another site sends a page's form, a title is a script")
def test_a_form_of_another_site_is_refused(secured: Secured) -> None:
    browser = Browser(secured.server)
    login = {"email": "other@example.org", "password": PASSWORD}
    assert browser.send("/login", **login) == 400
    assert browser.send("/login", **login, csrf_token="forged") == 400
    assert browser.send("/login", **login, csrf_token=browser.ticket("/login")) == 200
    elsewhere = Browser(secured.server).ticket("/login")
    assert browser.send("/account/keys", name="stolen", csrf_token=elsewhere) == 400
    assert browser.send("/account/keys", name="stolen") == 400
    assert "stolen" not in browser.get("/account")
    assert browser.send("/account/keys", name="mine", csrf_token=browser.ticket("/account")) == 200
    assert "mine" in browser.get("/account")
    with pytest.raises(urllib.error.HTTPError, match="401"):  # the API ignores cookies
        browser.opener.open(f"{secured.server.url}/users/me")


def test_a_session_ends_with_the_password_and_with_the_account(secured: Secured) -> None:
    number, _ = secured.server.account("leaving@example.org")
    browser = Browser(secured.server)
    form = {"email": "leaving@example.org", "password": PASSWORD}
    assert browser.send("/login", **form, csrf_token=browser.ticket("/login")) == 200
    assert "leaving@example.org" in browser.get("/account")
    assert secured.ask("admin", "PATCH", f"/users/{number}/", {"is_active": False}).status == 200
    assert "leaving@example.org" not in browser.get("/account")


def test_a_copied_cookie_ends_with_the_logout(secured: Secured) -> None:
    _, key = secured.server.account("copied@example.org")
    browser, thief = Browser(secured.server), Browser(secured.server)
    form = {"email": "copied@example.org", "password": PASSWORD}
    assert browser.send("/login", **form, csrf_token=browser.ticket("/login")) == 200
    for cookie in browser.cookies:
        thief.cookies.set_cookie(cookie)
    assert "copied@example.org" in thief.get("/account")
    assert browser.send("/logout", csrf_token=browser.ticket("/account")) == 200
    assert "copied@example.org" not in thief.get("/account")
    assert secured.server.get("/users/me", Authorization=f"Bearer {key}").status == 200  # keys stay valid


@pytest.mark.long
def test_the_link_is_printed_until_an_administrator_exists(start: Any) -> None:
    server: Server = start(AUTH="token")
    first = wait_for(lambda: re.search(r"/setup/\S+", "".join(server.output)))[0]
    server.stop()
    server.start()
    second = wait_for(lambda: re.search(r"/setup/\S+", "".join(server.output)))[0]
    assert server.get(first).status == 404 and server.get(second).status == 200
    command = [
        sys.executable,
        str(ROOT / "gym_http_server.py"),
        "--data",
        str(server.data),
        "account",
        "create",
        "a",
        "--role",
        "admin",
    ]
    process = subprocess.run(command, input=PASSWORD + "\n", text=True, capture_output=True, check=False)
    assert process.returncode == 0 and process.stdout == "account 1 a, admin\n"
    server.stop()
    server.start()
    assert server.get("/health").status == 200
    assert "/setup/" not in "".join(server.output)


def test_every_page_is_accessible() -> None:
    """Each form field has a label, each page a language, a title, one main part and one first heading."""
    for template in (ROOT / "gymserve/web/templates").rglob("*.html"):
        html = template.read_text()
        for field in re.findall(r"<(?:input|select|textarea) id=\"(\w+)\"", html):
            assert f'<label for="{field}">' in html, (template.name, field)
        assert "style=" not in html and "<script>" not in html and "onclick" not in html, template.name
    assert 'lang="en"' in (ROOT / "gymserve/web/templates/page.html").read_text()
    assert Path(ROOT / "gymserve/web/static/pages.css").read_text().count("http") == 0
