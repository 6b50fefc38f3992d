"""Pages of environments, and what a browser gets at addresses of the API."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Secured
from tests.support.servers import PASSWORD, Server, wait_for

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/environments/", "/challenges/"])
def test_an_address_of_the_api_is_a_page_for_browsers_alone(server: Server, path: str) -> None:
    page, data = server.get(path, **BROWSER), server.get(path)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert isinstance(data.json, list | dict)
    for answer in (page, data):
        assert "Accept" in answer.headers["Vary"]
    assert server.get(path, Accept="text/html").json == data.json  # some programs send only this
    assert server.get(path, **BROWSER, Authorization="Bearer x").headers["Content-Type"] == "application/json"


def test_strangers_see_the_catalogue_as_a_page_and_not_as_data(secured: Secured) -> None:
    assert secured.server.get("/environments/", **BROWSER).status == 200
    assert secured.server.get("/environments/").status == 401


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nothing", 404, "Not found"),
        ("/v1/envs/s0-0123456789012345678901/", 400, "That did not work"),
        ("/challenges/nope/", 404, "nope"),
        ("/v1/shutdown/", 405, "Not allowed here"),
    ],
)
def test_an_error_is_a_page_where_a_browser_asks(server: Server, path: str, status: int, words: str) -> None:
    answer = server.get(path, **BROWSER)
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert words in answer.body.decode()
    assert server.get(path).headers["Content-Type"] == "application/json"


def test_an_unknown_environment_is_not_found(server: Server) -> None:
    answer = server.get("/environments/Nope-v1/", **BROWSER)
    assert answer.status == 404
    assert "Nope-v1" in answer.body.decode()


def test_the_catalogue_is_searched_and_filtered(server: Server) -> None:
    text = server.get("/environments/?search=cartpole", **BROWSER).body.decode()
    assert "CartPole-v1" in text and "MountainCar" not in text
    text = server.get("/environments/?family=Toy+text", **BROWSER).body.decode()
    assert "FrozenLake-v1" in text and "CartPole" not in text
    assert "No environments match" in server.get("/environments/?search=%3Cb%3E", **BROWSER).body.decode()


@pytest.mark.long
def test_the_snippet_of_an_environment_runs_as_it_is_pasted(server: Server) -> None:
    text = server.get("/environments/CartPole-v1/", **BROWSER).body.decode()
    (code,) = re.findall(r"<h3>Python</h3><pre[^>]*><code>(.*?)</code>", text, re.S)
    values: dict[str, Any] = {}
    exec(code.replace("&#34;", '"'), values)
    assert values["env"].observation_space.contains(values["observation"])
    values["env"].close()


def test_an_environment_is_played_in_the_browser(server: Server, page: Page) -> None:
    """By keys over the stream: each step's picture is drawn, and an episode ends and is begun again."""
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(f"{server.url}/environments/CartPole-v1/")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("img", name="The environment's picture")).to_be_visible()
    page.keyboard.down("ArrowRight")
    status = page.locator("[data-status]")
    expect(status).to_contain_text("The episode is over: return", timeout=60_000)
    page.keyboard.up("ArrowRight")
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("[data-show=episode]")).to_have_text("2")
    expect(page.locator("[data-show=step]")).to_have_text("0")
    page.get_by_label("Player").select_option("random")
    wait_for(lambda: page.locator("[data-show=step]").inner_text() != "0")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert not problems


@pytest.mark.long
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "FrozenLake-v1", "ALE/Pong-v5", "osim/Run-v0"])
def test_sliders_and_buttons_steer_other_environments(server: Server, page: Page, env_id: str) -> None:
    page.goto(f"{server.url}/environments/{env_id}/")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("img", name="The environment's picture")).to_be_visible(timeout=60_000)
    control = page.locator("[data-pad] button, [data-pad] input").first
    control.press("ArrowRight") if env_id in ("Pendulum-v1", "osim/Run-v0") else control.click()
    wait_for(lambda: page.locator("[data-show=step]").inner_text() != "0")


def test_a_visitor_who_is_not_logged_in_is_led_to_the_login_and_back(secured: Secured, page: Page) -> None:
    page.goto(f"{secured.server.url}/environments/CartPole-v1/")
    expect(page.get_by_role("button", name="Play")).to_have_count(0)
    page.get_by_role("link", name="Log in", exact=True).last.click()
    page.get_by_label("Email").fill("other@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/environments/CartPole-v1/")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("img", name="The environment's picture")).to_be_visible()
    tokens = secured.ask("other", "GET", "/v1/envs/").json["all_envs"]
    assert any(f"~{secured.ids['other']}-" in token for token in tokens)


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"])
def test_the_login_leads_to_no_other_site(secured: Secured, page: Page, target: str) -> None:
    page.context.clear_cookies()
    page.goto(f"{secured.server.url}/login?next={target}")
    page.get_by_label("Email").fill("other@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/account")
    assert page.url.startswith(secured.server.url)
