"""An organiser accepts or voids submissions that cannot be replayed, on their pages, in a real browser."""

import contextlib
import sqlite3

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Secured
from tests.web.challenges.playing import begin, define, play, settled
from tests.web.challenges.test_media import log_in
from tests.web.training.visitors import visitor


def undecided(secured: Secured, challenge: str) -> str:
    """Make a submission that is marked as not replayable; `test_challenges.py` tests how that happens."""
    submission = begin(secured, challenge)
    play(secured, submission["token"])
    secured.ask("participant", "POST", f"/v1/envs/{submission['token']}/close/")
    settled(secured, submission["submission_id"])
    with contextlib.closing(sqlite3.connect(secured.server.data / "gymserve.db")) as database, database:
        what = ("not replayable", "not replayable", submission["submission_id"])
        database.execute("UPDATE submissions SET state = ?, verdict = ? WHERE name = ?", what)
    return str(submission["submission_id"])


def actions(secured: Secured, submission: str) -> list[tuple[str, str]]:
    """Return the audit log's (actor, action) about a submission."""
    with contextlib.closing(sqlite3.connect(secured.server.data / "gymserve.db")) as database:
        return list(database.execute("SELECT actor, action FROM audit WHERE subject = ?", (submission,)))


@pytest.mark.long
@pytest.mark.guarantee("a run cannot be repeated, though its journal was not changed")
def test_the_organiser_accepts_one_and_voids_another(secured: Secured, page: Page) -> None:
    define(secured, name="undecided")
    server, submissions = secured.server, {verb: undecided(secured, "undecided") for verb in ("accept", "void")}
    log_in(page, server, "organiser")
    for verb, state in (("accept", "graded"), ("void", "void")):
        page.goto(f"{server.url}/boards/undecided")
        page.locator(f"main ul a[href$='{submissions[verb]}']").click()
        page.get_by_text(f"{verb.capitalize()}…").click()
        page.get_by_role("button", name=f"{verb.capitalize()} the").click()
        expect(page.get_by_role("status")).to_contain_text(state)
        expect(page.get_by_role("heading", name="Your decision")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert secured.ask("organiser", "GET", f"/submissions/{submissions[verb]}/").json["state"] == state
        assert actions(secured, submissions[verb]) == [("organiser@example.org", f"submission {verb}ed")]
    page.goto(f"{server.url}/boards/undecided")
    expect(page.get_by_role("heading", name="Waiting for your decision")).to_have_count(0)


def test_only_the_organiser_sees_and_uses_the_buttons(secured: Secured) -> None:
    define(secured, name="foreign")
    submission = undecided(secured, "foreign")
    path = f"/boards/foreign/submissions/{submission}"
    organiser = visitor(secured.server, "organiser@example.org")
    assert "Your decision" in organiser.get(path)
    for who, status in (("participant", 403), ("other", 404)):
        browser = visitor(secured.server, f"{who}@example.org")
        assert browser.send(path, verb="accept", csrf_token=browser.ticket("/account")) == status
        assert "Waiting for your decision" not in browser.get("/boards/foreign")
    assert "Your decision" not in visitor(secured.server, "participant@example.org").get(path)
    assert organiser.send(path, verb="accept") == 400  # a form of another site
    assert organiser.send(path, verb="rank", csrf_token=organiser.ticket(path)) == 400
    assert secured.ask("organiser", "GET", f"/submissions/{submission}/").json["state"] == "not replayable"
    assert actions(secured, submission) == []
    assert organiser.send(path, verb="void", csrf_token=organiser.ticket(path)) == 200
    assert organiser.send(path, verb="accept", csrf_token=organiser.ticket("/account")) == 409
