"""Access to the training pages: other accounts, other sites, refused forms."""

import html
import re
import urllib.error

import pytest

from tests.conftest import Secured
from tests.support.experiments import untrained
from tests.support.servers import Server, wait_for
from tests.training.conftest import Trainer
from tests.web.accounts.test_pages import Browser
from tests.web.training.visitors import ADMIN, ORGANISER, OTHER, SCRIPT, answer, experiment, state, visitor


@pytest.mark.guarantee("another site sends a page's form, a title is a script")
def test_a_title_that_is_a_script_is_shown_as_text(secured: Secured) -> None:
    browser, name = visitor(secured.server, ORGANISER), experiment(secured, SCRIPT)
    form = {"title": SCRIPT, "algorithm": "SAC", "environment": "CartPole-v1"}
    status, refused = answer(browser, "/training", **form, csrf_token=browser.ticket("/training"))
    assert status == 422
    shown = browser.get(f"/training/{name}")
    heading = re.search(r"<h1>(.*)</h1>", shown)
    assert heading is not None and html.unescape(heading[1]) == SCRIPT
    for page in (refused, shown, browser.get("/training")):
        assert SCRIPT not in page and "<img src=x" not in page and "&lt;img src=x" in page


@pytest.mark.long
@pytest.mark.guarantee("another site sends a page's form, a title is a script")
def test_a_form_with_a_script_as_the_title_creates_an_experiment(secured: Secured) -> None:
    browser = visitor(secured.server, ORGANISER)
    form = {"title": SCRIPT, "algorithm": "PPO", "environment": "CartPole-v1"}
    status, shown = answer(browser, "/training", **form, csrf_token=browser.ticket("/training"))
    heading = re.search(r"<h1>(.*)</h1>", shown)
    assert status == 200 and heading is not None and html.unescape(heading[1]) == SCRIPT


def test_a_refused_form_says_why(secured: Secured) -> None:
    browser = visitor(secured.server, ORGANISER)
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


@pytest.mark.guarantee("another site sends a page's form, a title is a script")
def test_forms_from_other_sites_are_refused(secured: Secured) -> None:
    browser, name = visitor(secured.server, ORGANISER), experiment(secured)
    good = {"title": "x", "algorithm": "PPO", "environment": "CartPole-v1"}
    elsewhere = Browser(secured.server).ticket("/login")
    for ticket in ({}, {"csrf_token": "forged"}, {"csrf_token": elsewhere}):
        assert browser.send("/training", **good, **ticket) == 400
        assert browser.send(f"/training/{name}", verb="delete", **ticket) == 400
        assert browser.send("/training/models/x", verb="remove", **ticket) == 400
    assert state(secured, name) == "created"


def test_other_accounts_experiments_are_not_found(secured: Secured) -> None:
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
    with pytest.raises(urllib.error.HTTPError, match="401"):  # the API ignores cookies
        admin.opener.open(f"{server.url}/experiments/{name}")


@pytest.mark.long
def test_pages_streams_equal_those_of_the_api(trainer: Trainer) -> None:
    name = trainer.started(total_timesteps=300, hyperparameters={"n_steps": 64})
    trainer.until(name, "completed")
    wait_for(lambda: trainer.get(f"/experiments/{name}/metrics?names=reward").json["metrics"])
    browser = visitor(trainer, ORGANISER)
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
    form = {"title": "x", "algorithm": "SAC", "environment": "CartPole-v1"}
    status, said = answer(browser, "/training", **form, csrf_token=browser.ticket("/training"))
    assert status == 422 and "needs an action space" in said
    untrained(server, title="on an open server")
    assert "1 experiment found." in browser.get("/training?search=on+an+open")


@pytest.mark.long
def test_an_open_servers_form_creates_an_experiment(server: Server) -> None:
    browser = Browser(server)
    form = {"title": "from an open page", "algorithm": "PPO", "environment": "CartPole-v1"}
    assert browser.send("/training", **form) == 400  # without a ticket
    assert "No experiments match" in browser.get("/training?search=from+an+open")
    assert browser.send("/training", **form, csrf_token=browser.ticket("/training")) == 200
    assert "1 experiment found." in browser.get("/training?search=from+an+open")


@pytest.mark.long
def test_an_account_that_may_not_train_is_told_so(trainer: Trainer) -> None:
    browser = visitor(trainer, OTHER)
    form = {"title": "x", "algorithm": "PPO", "environment": "CartPole-v1", "csrf_token": browser.ticket("/training")}
    status, text = answer(browser, "/training", **form)
    assert status == 403 and "TRAINING_ROLE" in text
