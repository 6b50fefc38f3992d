"""A submission's video over HTTP and on its page: it is made, plays, and only those who may see it do."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from gymserve.journal import Reset, read
from tests.conftest import Secured
from tests.support.servers import PASSWORD, Server, wait_for
from tests.web.challenges.playing import begin, define, play, settled

KINDS = {
    "video.webm": "video/webm", "video.mp4": "video/mp4", "video.gif": "image/gif", "poster.jpg": "image/jpeg",
    "thumbnail.mp4": "video/mp4", "thumbnail.jpg": "image/jpeg",
}  # fmt: skip


@pytest.fixture(scope="module")
def filming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server with accounts that makes videos."""
    modules = ["tests.support.environments.painting"]
    started = Server(tmp_path_factory.mktemp("data"), MEDIA=True, AUTH="token", ENVIRONMENT_MODULES=modules)
    roles = {"participant": "participant", "other": "participant", "organiser": "organiser", "admin": "admin"}
    accounts = {name: started.account(f"{name}@example.org", role) for name, role in roles.items()}
    yield Secured(
        started,
        {name: account[0] for name, account in accounts.items()},
        {name: account[1] for name, account in accounts.items()},
    )
    assert started.stop() == 0


def submit(filming: Secured, name: str, **challenge: Any) -> str:
    """Make a graded submission of "participant"."""
    define(filming, name=name, **challenge)
    new = begin(filming, name)
    play(filming, new["token"])
    filming.ask("participant", "POST", f"/v1/envs/{new['token']}/close/")
    assert settled(filming, new["submission_id"])["verdict"] == "verified"
    return str(new["submission_id"])


def final_media(filming: Secured, submission: str) -> dict[str, Any]:
    """Wait until a submission's media have their final state, and return it."""

    def poll() -> dict[str, Any] | None:
        row = filming.ask("participant", "GET", f"/submissions/{submission}/media/").json
        return row if row["state"] in ("made", "failed") else None

    return dict(wait_for(poll, 300))


@pytest.fixture(scope="module")
def submission(filming: Secured) -> str:
    name = submit(filming, "filmed")
    assert final_media(filming, name)["state"] == "made"
    return name


@pytest.mark.long
@pytest.mark.guarantee("videos are searched for seeds and dates")
def test_a_graded_submission_has_its_video(filming: Secured, submission: str) -> None:
    row = final_media(filming, submission)
    assert row["agrees"] and row["complete"] and row["shown"] == [1, 2, 3] and row["episodes"] == 3
    assert set(row["files"]) == set(KINDS)
    journal = filming.server.data / "submissions" / submission
    seeds = [str(record.seed).encode() for record in read(journal) if isinstance(record, Reset)]
    for kind, media_type in KINDS.items():
        answer = filming.ask("participant", "GET", f"/submissions/{submission}/media/{kind}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, media_type)
        assert len(answer.body) == row["files"][kind] == int(answer.headers["Content-Length"])
        assert not any(seed in answer.body for seed in seeds)
    assert not any(seed.decode() in str(row) for seed in seeds)
    missing = filming.ask("participant", "GET", f"/submissions/{submission}/media/journal")
    assert missing.status == 404 and "video.webm" in missing.json["message"]


@pytest.mark.long
def test_videos_support_ranges_and_etags(filming: Secured, submission: str) -> None:
    path = f"/submissions/{submission}/media/video.mp4"
    whole = filming.ask("participant", "GET", path)
    part = filming.ask("participant", "GET", path, Range="bytes=100-199")
    assert (part.status, part.body) == (206, whole.body[100:200]) and whole.headers["Accept-Ranges"] == "bytes"
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole.body)}"
    assert filming.ask("participant", "GET", path, Range="bytes=-50").body == whole.body[-50:]
    assert filming.ask("participant", "GET", path, Range="bytes=99999999-").status == 416
    assert filming.ask("participant", "GET", path, If_None_Match=whole.headers["ETag"]).status == 304
    head = filming.ask("participant", "HEAD", path)
    assert head.status == 200 and not head.body and int(head.headers["Content-Length"]) == len(whole.body)


@pytest.mark.long
def test_the_owner_the_organiser_and_administrators_see_the_video(filming: Secured, submission: str) -> None:
    for path in (f"/submissions/{submission}/media/", f"/submissions/{submission}/media/video.webm"):
        for who, status in (("nobody", 401), ("other", 404), ("participant", 200), ("organiser", 200), ("admin", 200)):
            assert filming.ask(who, "GET", path).status == status, (who, path)


@pytest.mark.long
def test_everybody_sees_the_video_once_the_phase_is_over(filming: Secured) -> None:
    submission = submit(filming, "over")
    final_media(filming, submission)
    path = f"/submissions/{submission}/media/video.webm"
    assert filming.ask("nobody", "GET", path).status == 401
    define(filming, name="over", phases=[{"name": "public", "closes": "2026-01-01T00:00:00+00:00"}])
    assert filming.ask("nobody", "GET", path).status == 200 and filming.ask("other", "GET", path).status == 200


@pytest.mark.long
def test_a_key_needs_the_scope_of_submissions(filming: Secured, submission: str) -> None:
    payload = {"name": "narrow", "scopes": ["environments"]}
    key = filming.ask("participant", "POST", f"/users/{filming.ids['participant']}/keys/", payload).json["key"]
    narrow = Secured(filming.server, {}, {"narrow": key})
    assert narrow.ask("narrow", "GET", f"/submissions/{submission}/media/").status == 403


@pytest.mark.long
def test_a_failed_video_has_a_reason_and_can_be_made_again(filming: Secured) -> None:
    submission = submit(filming, "crash", environment="Crashing-v0")
    row = final_media(filming, submission)
    assert row["state"] == "failed" and "given up after 3 attempts" in row["reason"]
    path = f"/submissions/{submission}/media/"
    assert filming.ask("participant", "POST", path).status == 403
    again = filming.ask("organiser", "POST", path)
    assert again.status == 200 and again.json["state"] in ("waiting", "being made")


@pytest.mark.long
def test_an_ungraded_submission_has_no_video(filming: Secured) -> None:
    define(filming, name="fresh")
    new = begin(filming, "fresh")
    path = f"/submissions/{new['submission_id']}/media/"
    assert filming.ask("participant", "GET", path).json["state"] == "none"
    refused = filming.ask("organiser", "POST", path)
    assert refused.status == 409 and "created" in refused.json["message"]


def log_in(page: Page, server: Server, who: str) -> None:
    page.context.clear_cookies()
    page.goto(f"{server.url}/login")
    page.get_by_label("Email").fill(f"{who}@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/account")


@pytest.mark.long
def test_the_page_plays_the_video(filming: Secured, submission: str, page: Page) -> None:
    server = filming.server
    log_in(page, server, "participant")
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(f"{server.url}/boards/filmed")
    page.get_by_role("link", name=f"account {filming.ids['participant']}", exact=True).last.click()
    page.wait_for_url(f"**/boards/filmed/submissions/{submission}")
    video = page.locator("video")
    video.evaluate("video => video.play()")
    wait_for(lambda: video.evaluate("video => video.currentTime") > 0.2)
    assert video.evaluate("video => [video.videoWidth, video.videoHeight]") == [600, 448]
    assert video.evaluate("video => video.duration") == pytest.approx(
        final_media(filming, submission)["seconds"], abs=0.2
    )
    assert video.evaluate("video => video.currentSrc").endswith("video.webm")
    for kind in ("video.mp4", "thumbnail.mp4"):  # for browsers without WebM
        playable = page.evaluate(
            """source => new Promise(done => {
                const video = document.createElement("video");
                video.onloadeddata = () => done(video.videoWidth);
                video.onerror = () => done(video.error.message);
                video.src = source;
            })""",
            f"/boards/filmed/submissions/{submission}/{kind}",
        )
        assert playable == (600 if kind == "video.mp4" else 268), kind
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert "identical" in page.get_by_role("figure").inner_text()
    assert page.get_by_role("table").locator("tbody tr").count() == 3
    assert not problems


@pytest.mark.long
def test_the_page_has_the_same_restrictions_as_the_video(filming: Secured, submission: str, page: Page) -> None:
    server = filming.server
    path = f"{server.url}/boards/filmed/submissions/{submission}"
    page.context.clear_cookies()
    page.goto(path)
    page.wait_for_url(re.compile(r"/login\?next="))
    assert page.goto(f"{path}/video.webm").status == 404
    log_in(page, server, "other")
    assert page.goto(path).status == 404
    page.goto(f"{server.url}/boards/filmed")
    assert page.locator("table th a").count() == 0
    log_in(page, server, "organiser")
    assert page.goto(path).status == 200


@pytest.mark.long
def test_the_page_shows_why_there_is_no_video(filming: Secured, page: Page) -> None:
    submission = submit(filming, "hidden", environment="Hidden-v0")
    assert final_media(filming, submission)["state"] == "failed"
    log_in(page, filming.server, "participant")
    page.goto(f"{filming.server.url}/boards/hidden/submissions/{submission}")
    elsewhere = page.goto(f"{filming.server.url}/boards/filmed/submissions/{submission}")
    assert elsewhere is not None and elsewhere.status == 404
    page.goto(f"{filming.server.url}/boards/hidden/submissions/{submission}")
    assert "No video: Hidden-v0 makes no pictures." in page.locator("main").inner_text()


@pytest.mark.long
def test_a_server_without_media_says_so(server: Server) -> None:
    definition = {"name": "unfilmed", "environment": "CartPole-v1", "max_episode_steps": 2, "trials": {"number": 1}}
    server.post("/challenges/", {"definition": definition})
    new = server.post("/challenges/unfilmed/submissions/").json
    row = server.get(f"/submissions/{new['submission_id']}/media/").json
    assert row["state"] == "none" and "MEDIA is off" in row["reason"]
    html = server.get(f"/boards/unfilmed/submissions/{new['submission_id']}").body.decode()
    assert re.search(r"No video: the server makes no videos: MEDIA is off", html)
