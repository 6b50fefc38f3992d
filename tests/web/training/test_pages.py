"""The pages of training, in a real browser: a run from the form to a kept model, narrow, by keyboard, without scripts."""

import html
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from tests.conftest import Secured
from tests.support.servers import PASSWORD, Server, wait_for
from tests.training.advice.endpoint import Endpoint
from tests.training.conftest import Trainer
from tests.training.experiments.test_project_experiments import RUNNERS
from tests.web.accounts.test_pages import Browser

LONG = 300_000  # milliseconds
SCRIPT = "<script>document.title = 'taken over'</script><img src=x onerror=alert(1)>"
MINE, OTHER, ADMIN = "organiser@example.org", "other@example.org", "admin@example.org"


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    """A server with accounts, where organisers may train."""
    settings = {"AUTH": "token", "LOGIN_ATTEMPTS": 1000, "TRAINING_ROLE": "organiser"}
    started = Trainer(tmp_path_factory.mktemp("training"), **settings)
    _, started.key = started.account(MINE, "organiser")
    started.account(OTHER)
    started.account(ADMIN, "admin")
    yield started
    started.stop()
    started.end_experiments()


def entered(chromium: Chromium, trainer: Trainer, **context: Any) -> Page:
    """A page of somebody who wanted to see their experiments, and was led through the login."""
    page = chromium.new_context(viewport={"width": 390, "height": 844}, **context).new_page()
    page.set_default_timeout(300_000)
    page.goto(f"{trainer.url}/training")
    page.get_by_label("Email").fill(MINE)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/training**")
    expect(page.get_by_role("heading", level=1)).to_have_text("Training")
    return page


def until_further(page: Page) -> None:
    """Waits until the bar shows more than now."""
    steps = page.locator("#progress progress").evaluate("bar => bar.value")
    wait_for(lambda: page.locator("#progress progress").evaluate("bar => bar.value") > steps, 300)


def experiment(secured: Secured, name: str = "test") -> str:
    """The id of an organiser's new experiment."""
    asked = {"name": name, "algorithm": "PPO", "environment": "CartPole-v1"}
    made = secured.ask("organiser", "POST", "/experiments", asked)
    assert made.status == 201, made.body
    return str(made.json["id"])


def state(secured: Secured, name: str) -> str:
    return str(secured.ask("organiser", "GET", f"/experiments/{name}").json["status"])


def visitor(server: Server, email: str) -> Browser:
    browser = Browser(server)
    form = {"email": email, "password": PASSWORD}
    assert browser.send("/login", **form, csrf_token=browser.ticket("/login")) == 200
    return browser


@pytest.mark.long
def test_a_run_from_the_form_to_a_kept_model(trainer: Trainer, chromium: Chromium) -> None:
    page = entered(chromium, trainer)
    trouble: list[str] = []
    outside: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: outside.append(request.url) if trainer.url not in request.url else None)

    page.get_by_label("Title", exact=True).focus()
    page.keyboard.type(SCRIPT)
    page.keyboard.press("Tab")  # over the algorithm, which is PPO
    page.keyboard.press("Tab")
    expect(page.get_by_label("Environment")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("1,000,000")
    page.get_by_label("Hyper-parameters").fill('{"n_steps": 256, "learning_rate": 0.05}')
    page.get_by_role("button", name="Create and start").click()
    page.wait_for_url("**/training/*-*")
    assert page.get_by_role("heading", level=1).inner_text() == SCRIPT and page.title().startswith(SCRIPT)

    state = page.get_by_role("status")
    expect(state).to_have_text("running", timeout=LONG)  # without a reload
    expect(page.locator("#points tbody th").nth(3)).to_be_visible(timeout=LONG)
    expect(page.locator("#chart canvas")).to_be_visible()
    expect(page.locator("#picture")).to_be_hidden()
    expect(page.locator("#findings")).to_contain_text("learning_rate is 0.05")
    until_further(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    page.get_by_role("button", name="Pause").press("Enter")
    expect(state).to_have_text("paused", timeout=LONG)
    page.get_by_role("button", name="Resume").click()
    expect(state).to_have_text("running", timeout=LONG)
    until_further(page)
    page.get_by_role("button", name="Stop").click()
    expect(state).to_have_text("stopped", timeout=LONG)

    page.get_by_role("button", name="Write a report").click()
    expect(page.locator("#report")).to_contain_text("4. Steps", timeout=LONG)
    assert "learning_rate is 0.05" in page.locator("#report").inner_text()
    page.get_by_label("Save model as").fill("<b>pole</b>")
    page.get_by_role("button", name="Save model").click()
    page.wait_for_url("**/training/models")
    assert page.get_by_role("heading", level=2).inner_text() == "<b>pole</b>, version 1"
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_role("heading", level=2)).to_contain_text("promoted")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    with open(download.value.path(), "rb") as file:
        assert file.read(2) == b"PK"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete permanently").click()
    expect(page.locator("main")).to_contain_text("No models yet")
    assert not trouble and not outside
    page.context.close()


@pytest.mark.long
def test_where_too_many_watch_a_page_looks_now_and_then(trainer: Trainer, chromium: Chromium) -> None:
    name = trainer.started(total_timesteps=1_000_000, hyperparameters={"n_steps": 64})
    trainer.until_steps(name, 64)
    asked = urllib.request.Request(
        f"{trainer.url}/experiments/{name}/metrics/stream", headers={"Authorization": f"Bearer {trainer.key}"}
    )
    watching, refused = [], 0
    while refused < 10:  # so both workers are full
        try:
            watching.append(urllib.request.urlopen(asked, timeout=300))
            refused = 0
        except urllib.error.HTTPError as error:
            assert error.code == 429
            refused += 1
    page = entered(chromium, trainer)
    page.goto(f"{trainer.url}/training/{name}")
    expect(page.locator("#chart canvas")).to_be_visible()
    until_further(page)
    assert trainer.post(f"/experiments/{name}/stop").status == 200
    expect(page.get_by_role("status")).to_have_text("stopped", timeout=LONG)
    for stream in watching:
        stream.close()
    page.context.close()


@pytest.mark.long
def test_an_endpoints_report_is_shown_as_it_is_written(start: Any, chromium: Chromium) -> None:
    endpoint = Endpoint()
    try:
        assisted = start(ASSISTANT_URL=endpoint.url)
        asked = {"name": "x", "algorithm": "PPO", "environment": "CartPole-v1", "hyperparameters": {"gamma": 0.5}}
        name = assisted.post("/experiments", asked).json["id"]
        page = chromium.new_context().new_page()
        page.goto(f"{assisted.url}/training/{name}")
        report, button = page.locator("#report"), page.get_by_role("button", name="Write a report")
        endpoint.manner = "waits"
        button.click()
        expect(report).to_have_text("Reportapprox_kl is", timeout=LONG)
        endpoint.going_on.set()
        expect(report).to_contain_text("<img src=x onerror=alert(1)>", timeout=LONG)
        expect(report).to_have_attribute("aria-busy", "false", timeout=LONG)
        assert report.locator("img").count() == 0
        endpoint.manner = "drops"
        button.click()
        expect(report).to_contain_text("The endpoint broke off", timeout=LONG)
        expect(report).to_contain_text("gamma is 0.5", timeout=LONG)
        assert "approx_kl" not in report.inner_text()  # what had come of it
        page.context.close()
    finally:
        endpoint.stop()


@pytest.mark.long
def test_all_of_it_works_without_scripts(trainer: Trainer, chromium: Chromium) -> None:
    trainer.experiment()  # else the form would be open
    page = entered(chromium, trainer, java_script_enabled=False, color_scheme="dark")
    page.get_by_text("New experiment").click()
    page.get_by_label("Title", exact=True).fill("plain")
    page.get_by_label("Timesteps").fill("600")
    page.get_by_label("Hyper-parameters").fill("{learning_rate: 1}")
    page.get_by_role("button", name="Create", exact=True).click()
    assert "JSON" in page.get_by_role("alert").inner_text()
    page.get_by_label("Hyper-parameters").fill('{"n_steps": 128}')  # the rest is still there
    page.get_by_role("button", name="Create", exact=True).click()
    name = page.url.rpartition("/")[2]
    assert trainer.show(name)["hyperparameters"] == {"n_steps": 128} and trainer.show(name)["total_timesteps"] == 600
    assert page.get_by_role("status").inner_text() == "created"
    page.get_by_role("button", name="Start").click()
    trainer.until(name, "completed")
    page.reload()
    assert page.get_by_role("status").inner_text() == "completed"
    assert page.locator("#picture").evaluate("image => image.complete && image.naturalWidth") > 0
    assert page.locator("#points tbody th").count() > 3
    assert "mean reward" in page.locator("#evaluation").inner_text()
    page.get_by_label("Metric").select_option("train/loss")
    page.get_by_role("button", name="Apply").click()
    assert page.locator("#points thead").inner_text().split()[-1] == "train/loss"
    assert "## 4. Steps" in trainer.get(f"/experiments/{name}/advice?format=markdown").body.decode()
    assert page.get_by_role("link", name="Report as text").is_visible()

    page.get_by_role("button", name="Copy").click()
    copied = page.url.rpartition("/")[2]
    assert copied != name and trainer.show(copied)["copy_of"] == name
    page.goto(f"{trainer.url}/training?status=created&search=plain")
    assert page.locator(".cards h2").count() == 1
    page.locator(".cards h2 a").click()
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete permanently").click()
    page.wait_for_url("**/training")
    assert trainer.get(f"/experiments/{copied}").status == 404
    page.goto(f"{trainer.url}/training/{name}")
    page.get_by_text("Restart from scratch…").click()
    page.get_by_role("button", name="Restart from scratch").click()
    trainer.until(name, "completed")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.context.close()


@pytest.mark.guarantee("another site sends a page's form, a title is a script")
def test_a_title_that_is_a_script_is_shown_as_it_is(secured: Secured) -> None:
    browser = visitor(secured.server, MINE)
    form = {"title": SCRIPT, "algorithm": "PPO", "environment": "CartPole-v1"}
    status, shown = answer(browser, "/training", **form, csrf_token=browser.ticket("/training"))
    heading = re.search(r"<h1>(.*)</h1>", shown)
    assert status == 200 and heading is not None and html.unescape(heading[1]) == SCRIPT
    for page in (shown, browser.get("/training")):
        assert SCRIPT not in page and "<img src=x" not in page and "&lt;img src=x" in page


def test_what_stands_in_the_way_is_said(secured: Secured) -> None:
    browser = visitor(secured.server, MINE)
    good = {"title": "x", "algorithm": "PPO", "environment": "CartPole-v1", "csrf_token": browser.ticket("/training")}
    for wrong, said in (
        ({"total_timesteps": "many"}, "must be a whole number"),
        ({"algorithm": "SAC"}, "needs an action space"),
        ({"environment": "CartPool-v1"}, "CartPole-v1"),
        ({"hyperparameters": "[1]"}, "must be a JSON object"),
        ({"hyperparameters": '{"learning_rat": 1}'}, "did you mean learning_rate?"),
        ({"title": " "}, "was not provided"),
    ):
        status, text = answer(browser, "/training", **{**good, **wrong})
        assert status in (400, 422) and said in text and 'role="alert"' in text, wrong
    name = experiment(secured)
    ticket = {"csrf_token": good["csrf_token"]}
    assert answer(browser, f"/training/{name}", verb="pause", **ticket)[0] == 409
    assert answer(browser, f"/training/{name}", verb="keep", **ticket)[0] == 409
    assert answer(browser, f"/training/{name}", verb="find", **ticket)[0] == 400
    assert answer(browser, "/training?status=asleep")[0] == 400


def answer(browser: Browser, path: str, **form: str) -> tuple[int, str]:
    try:
        sent = urllib.parse.urlencode(form).encode() if form else None
        with browser.opener.open(browser.server.url + path, sent) as got:
            return int(got.status), got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.guarantee("another site sends a page's form, a title is a script")
def test_forms_of_other_sites_are_refused(secured: Secured) -> None:
    browser, name = visitor(secured.server, MINE), experiment(secured)
    good = {"title": "x", "algorithm": "PPO", "environment": "CartPole-v1"}
    elsewhere = Browser(secured.server).ticket("/login")
    for ticket in ({}, {"csrf_token": "forged"}, {"csrf_token": elsewhere}):
        assert browser.send("/training", **good, **ticket) == 400
        assert browser.send(f"/training/{name}", verb="delete", **ticket) == 400
        assert browser.send("/training/models/x", verb="remove", **ticket) == 400
    assert state(secured, name) == "created"


def test_others_experiments_are_as_if_there_were_none(secured: Secured) -> None:
    server, name = secured.server, experiment(secured, "a secret plan")
    parts = ("", "/curve", "/sparkline", "/metrics", "/live", "/advice")
    other, admin, stranger = visitor(server, OTHER), visitor(server, ADMIN), Browser(server)
    for part in parts:
        assert answer(other, f"/training/{name}{part}")[0] == 404, part
        assert answer(admin, f"/training/{name}{part}")[0] == 200, part
        assert "<h1>Log in</h1>" in answer(stranger, f"/training/{name}{part}")[1]
    assert "a secret plan" not in other.get("/training") and "a secret plan" in admin.get("/training")
    assert "a secret plan" not in stranger.get("/training")
    form = {"verb": "delete", "csrf_token": other.ticket("/training")}
    assert other.send(f"/training/{name}", **form) == 404 and state(secured, name) == "created"
    with pytest.raises(urllib.error.HTTPError, match="401"):  # the API does not look at cookies
        admin.opener.open(f"{server.url}/experiments/{name}")


@pytest.mark.long
def test_the_pages_streams_are_the_apis(trainer: Trainer) -> None:
    name = trainer.started(total_timesteps=300, hyperparameters={"n_steps": 64})
    trainer.until(name, "completed")
    wait_for(lambda: trainer.get(f"/experiments/{name}/metrics?names=reward").json["metrics"])
    browser = visitor(trainer, MINE)
    live, api = (answer(browser, f"/training/{name}/live")[1], trainer.get(f"/experiments/{name}/metrics/stream"))
    assert live == api.body.decode()
    begun = wait_for(lambda: (page := browser.get(f"/training/{name}/metrics")) and '"last":0' not in page and page)
    last = re.findall(r'"last": ?(\d+)', begun)[0]
    assert "event: metric" not in answer(browser, f"/training/{name}/live?after={last}")[1]
    written = answer(browser, f"/training/{name}/advice?format=events")[1]
    assert written == trainer.get(f"/experiments/{name}/advice/stream").body.decode()
    assert answer(browser, f"/training/{name}/advice")[1].startswith("# test: PPO on CartPole-v1")


def test_an_open_servers_pages_need_no_login(server: Server) -> None:
    browser = Browser(server)
    assert "Log in" not in browser.get("/training")
    form = {"title": "from an open page", "algorithm": "PPO", "environment": "CartPole-v1"}
    assert browser.send("/training", **form) == 400
    assert "No experiments match" in browser.get("/training?search=from+an+open")
    assert browser.send("/training", **form, csrf_token=browser.ticket("/training")) == 200
    assert "1 experiment found." in browser.get("/training?search=from+an+open")


@pytest.mark.long
def test_who_may_not_train_is_told_so(trainer: Trainer) -> None:
    browser = visitor(trainer, OTHER)
    form = {"title": "x", "algorithm": "PPO", "environment": "CartPole-v1", "csrf_token": browser.ticket("/training")}
    status, text = answer(browser, "/training", **form)
    assert status == 403 and "TRAINING_ROLE" in text


@pytest.mark.long
def test_a_program_has_a_form_of_its_own(tmp_path: Path, chromium: Chromium) -> None:
    programs = Trainer(tmp_path, RUNNERS=RUNNERS)
    try:
        page = chromium.new_page()
        page.goto(f"{programs.url}/training")
        page.get_by_text("New run of pymarl").click()
        form = page.locator("form", has=page.locator("input[value=pymarl]"))
        expect(form.get_by_label("env_name")).to_have_value("sc2")
        form.get_by_label("Title").fill("by hand")
        form.get_by_label("algo_name").fill("qmix")
        form.get_by_label("map_name").fill("no spaces")
        form.get_by_role("button", name="Create and start").click()
        expect(page.get_by_role("alert")).to_contain_text("map_name must match", timeout=LONG)
        expect(form.get_by_label("algo_name")).to_have_value("qmix")
        form.get_by_label("map_name").fill("3s5z")
        form.get_by_label("t_max").fill("3")
        form.get_by_role("button", name="Create and start").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("by hand", timeout=LONG)
        (row,) = programs.get("/experiments").json
        assert (row["runner"], row["algorithm"], row["environment"]) == ("pymarl", "qmix", "3s5z")
        programs.until(row["id"], "completed")
    finally:
        programs.stop()
        programs.end_experiments()
