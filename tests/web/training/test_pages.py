"""The training pages in a real browser: from the form to a saved model, narrow, by keyboard, without scripts."""

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from tests.support.servers import PASSWORD, wait_for
from tests.training.advice.endpoint import Endpoint
from tests.training.conftest import Trainer
from tests.training.experiments.test_project_experiments import RUNNERS
from tests.web.training.visitors import ORGANISER, SCRIPT

LONG = 300_000  # milliseconds


def entered(chromium: Chromium, trainer: Trainer, **context: Any) -> Page:
    """Return the page of an account that opened its experiments and was redirected to the login."""
    page = chromium.new_context(viewport={"width": 390, "height": 844}, **context).new_page()
    page.set_default_timeout(300_000)
    page.goto(f"{trainer.url}/training")
    page.get_by_label("Email").fill(ORGANISER)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/training**")
    expect(page.get_by_role("heading", level=1)).to_have_text("Training")
    return page


def until_further(page: Page) -> None:
    """Wait until the progress bar advances."""
    steps = page.locator("#progress progress").evaluate("bar => bar.value")
    wait_for(lambda: page.locator("#progress progress").evaluate("bar => bar.value") > steps, 300)


@pytest.mark.long
def test_a_run_from_the_form_to_a_saved_model(trainer: Trainer, chromium: Chromium) -> None:
    page = entered(chromium, trainer)
    trouble: list[str] = []
    outside: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: outside.append(request.url) if trainer.url not in request.url else None)

    page.get_by_label("Title", exact=True).focus()
    page.keyboard.type(SCRIPT)
    page.keyboard.press("Tab")  # skip the algorithm, which is PPO
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
def test_a_page_polls_if_there_are_too_many_viewers(trainer: Trainer, chromium: Chromium) -> None:
    name = trainer.started(total_timesteps=1_000_000, hyperparameters={"n_steps": 64})
    trainer.until_steps(name, 64)
    request = urllib.request.Request(
        f"{trainer.url}/experiments/{name}/metrics/stream", headers={"Authorization": f"Bearer {trainer.key}"}
    )
    watching, refused = [], 0
    while refused < 10:  # then both workers are full
        try:
            watching.append(urllib.request.urlopen(request, timeout=300))
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
def test_an_endpoints_report_is_shown_while_it_is_written(start: Any, chromium: Chromium) -> None:
    endpoint = Endpoint()
    try:
        assisted = start(ASSISTANT_URL=endpoint.url)
        settings = {"name": "x", "algorithm": "PPO", "environment": "CartPole-v1", "hyperparameters": {"gamma": 0.5}}
        name = assisted.post("/experiments", settings).json["id"]
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
        assert "approx_kl" not in report.inner_text()  # the endpoint's unfinished text
        page.context.close()
    finally:
        endpoint.stop()


@pytest.mark.long
def test_everything_works_without_scripts(trainer: Trainer, chromium: Chromium) -> None:
    trainer.experiment()  # with no experiments the form would be open
    page = entered(chromium, trainer, java_script_enabled=False, color_scheme="dark")
    page.get_by_text("New experiment").click()
    page.get_by_label("Title", exact=True).fill("plain")
    page.get_by_label("Timesteps").fill("600")
    page.get_by_label("Hyper-parameters").fill("{learning_rate: 1}")
    page.get_by_role("button", name="Create", exact=True).click()
    assert "JSON" in page.get_by_role("alert").inner_text()
    page.get_by_label("Hyper-parameters").fill('{"n_steps": 128}')  # the other fields keep their values
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


@pytest.mark.long
def test_a_program_has_its_own_form(tmp_path: Path, chromium: Chromium) -> None:
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
