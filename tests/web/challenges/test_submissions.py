"""Submissions over HTTP, from our client, the old grader's client, cheats, and through crashes."""

import os
import re
import signal
import threading
from typing import Any

import pytest

from gymserve import client
from tests.conftest import Secured
from tests.support.servers import Server, wait_for
from tests.web.challenges.playing import CART, bearer, begin, board, define, display_name, keep_pole, play, settled


@pytest.mark.long
def test_a_failing_agent_learns_about_its_submission(secured: Secured) -> None:
    define(secured, name="failing")

    def agent(observation: Any) -> int:
        raise ZeroDivisionError("the agent's own")

    token = secured.keys["participant"]
    with pytest.raises(ZeroDivisionError) as caught:
        client.submit("failing", agent, server=secured.server.url, token=token, progress=False)
    [note] = caught.value.__notes__
    submission = note.split()[2]
    assert "counts as begun" in note and f"/boards/failing/submissions/{submission}" in note
    row = secured.ask("participant", "GET", f"/submissions/{submission}/").json
    assert row["state"] not in ("created", "running")


def test_our_client_submits_and_is_ranked(secured: Secured) -> None:
    define(secured, name="ours")
    server = secured.server
    result = client.submit("ours", keep_pole, server=server.url, token=secured.keys["participant"], progress=False)
    assert (result.state, result.verdict, result.score, result.rank) == ("graded", "verified", 12.0, 1)
    assert [trial["state"] for trial in result.trials] == ["played"] * 3
    assert "rank 1" in str(result) and "verified" in str(result)
    page = f"{server.url}/boards/ours/submissions/{result.submission_id}"
    assert result.address == page and str(result).endswith(f"submission {result.submission_id}: {page}")
    assert server.get(page.removeprefix(server.url), Accept="text/html").status == 200

    class Still:
        def __init__(self, observations: Any, actions: Any) -> None:
            assert actions.n == 2

        def act(self, observation: Any) -> int:
            return 0

    worse = client.submit("ours", Still, server=server.url, token=secured.keys["other"], progress=False)
    assert worse.score is not None and worse.score < 12 and worse.rank == 2
    places = board(server, "ours")
    assert [(place["entrant"], place["rank"]) for place in places] == [
        (display_name(secured, "participant"), 1), (display_name(secured, "other"), 2), ("nothing", None),
    ]  # fmt: skip
    with pytest.raises(client.NotFound):
        client.submit("nothing-like-it", keep_pole, server=server.url, token=secured.keys["participant"])
    with pytest.raises(client.Unauthenticated):
        client.submit("ours", keep_pole, server=server.url)


@pytest.mark.guarantee("an agent leaves before a bad score, resets to better seeds, steps after the end, closes twice")
def test_clients_of_the_old_grader_work_unchanged(secured: Secured) -> None:
    """The requests of osim-rl-grader's document, in their order; only the creation has the key."""
    define(secured, name="old", environment="Acrobot-v1", max_episode_steps=5, scoring={"worst": -100})
    server, key = secured.server, secured.keys["participant"]
    submission = server.post("/v1/envs/", {"env_id": "Acrobot-v1", "token": f"{key}\n", "version": "3.0.11"}).json
    token = submission["instance_id"]
    assert submission["token"] == token and submission["challenge"] == "old"
    monitor = {"directory": "tmp", "force": True, "resume": False, "video_callable": False}
    assert server.post(f"/v1/envs/{token}/monitor/start/", monitor).status == 204
    trials = 0
    while server.post(f"/v1/envs/{token}/reset/").json["observation"]:
        trials += 1
        while not server.post(f"/v1/envs/{token}/step/", {"action": 0, "render": True}).json["done"]:
            pass
    assert trials == 3
    over = server.post(f"/v1/envs/{token}/step/", {"action": 0})
    assert over.status == 409 and "trials are over" in over.json["message"]
    closed = server.post(f"/v1/envs/{token}/monitor/close/")
    assert (closed.status, closed.json["reward"]) == (200, -5.0)
    assert (
        server.post(f"/v1/envs/{token}/monitor/close/").json["reward"] == -5.0
    )  # the same score, and nothing else happens
    assert server.post(f"/v1/envs/{token}/close/").status == 204
    assert server.post(f"/v1/envs/{token}/close/").status == 400
    assert settled(secured, submission["submission_id"])["state"] == "graded"
    assert [place["tries"] for place in board(server, "old") if not place["baseline"]] == [1]


@pytest.mark.guarantee("an old client's script dies in mid-submission, and is run again")
def test_an_old_client_that_restarts_is_not_locked_out(secured: Secured) -> None:
    limits = {"concurrent": 1, "submissions": 2}
    define(secured, name="again", environment="MountainCarContinuous-v0", scoring={"worst": -100}, limits=limits)
    payload = {"env_id": "MountainCarContinuous-v0", "token": secured.keys["participant"]}
    first = secured.server.post("/v1/envs/", payload).json
    secured.server.post(f"/v1/envs/{first['token']}/reset/")
    second = secured.server.post("/v1/envs/", payload)  # the script died, and is run again
    assert second.status == 200 and second.json["token"] != first["token"]
    assert secured.server.post(f"/v1/envs/{first['token']}/step/", {"action": [0.0]}).status == 400
    assert settled(secured, first["submission_id"])["state"] == "abandoned"
    third = secured.server.post("/v1/envs/", payload)  # it is refused, so the second one continues
    assert third.status == 429 and "all of your 2 submissions" in third.json["message"]
    assert secured.server.post(f"/v1/envs/{second.json['token']}/reset/").status == 200


def test_limits_are_worded_as_by_the_old_grader(secured: Secured) -> None:
    define(secured, name="few", limits={"submissions_per_day": 2, "concurrent": 1})
    first = begin(secured, "few")
    assert first["submissions_remaining"] == 1
    refused = secured.ask("participant", "POST", "/challenges/few/submissions/")
    assert refused.status == 429 and "submissions under way" in refused.json["message"]
    assert first["submission_id"] in refused.json["message"]
    assert 3000 < int(refused.headers["Retry-After"]) <= 3600  # until the open one times out
    where = re.findall(r"POST (\S+) ends", refused.json["message"])
    assert where == [f"/v1/envs/{first['token']}/close/"]
    assert secured.ask("participant", "POST", where[0]).status == 204
    second = begin(secured, "few")
    assert second["submissions_remaining"] == 0
    secured.ask("participant", "POST", f"/v1/envs/{second['token']}/close/")
    refused = secured.server.post("/v1/envs/", {"env_id": "challenge:few"}, **bearer(secured.keys["participant"]))
    assert refused.status == 429 and refused.json["error"] == "TooFast" and int(refused.headers["Retry-After"]) > 80_000
    assert refused.json["message"].startswith(
        "You have already made 2 submissions in the last 24 hours. You can make your next submission in "
    )
    assert begin(secured, "few", "other")["submissions_remaining"] == 1  # each entrant has its own limits


def test_the_last_slot_is_taken_once(secured: Secured) -> None:
    define(secured, name="last", limits={"submissions": 3})
    answers: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(secured.ask("other", "POST", "/challenges/last/submissions/").status)
        )
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] * 3 + [429] * 7


def test_a_repeated_creation_is_one_submission(secured: Secured) -> None:
    define(secured, name="repeated")
    tokens = {
        secured.ask("participant", "POST", "/challenges/repeated/submissions/", {}, Idempotency_Key="k").json["token"]
        for _ in range(3)
    }
    assert len(tokens) == 1
    assert len(secured.ask("participant", "GET", "/challenges/repeated/submissions/").json) == 1


@pytest.mark.guarantee("an agent leaves before a bad score, resets to better seeds, steps after the end, closes twice")
def test_leaving_before_a_bad_score_does_not_avoid_it(secured: Secured) -> None:
    define(secured, name="leaving")
    submission = begin(secured, "leaving")
    steps = play(secured, submission["token"], trials=1)
    progress = secured.ask("participant", "GET", f"/submissions/{submission['submission_id']}/").json["progress"]
    assert (progress["trial"], progress["trials"], progress["steps"]) == (1, 3, steps)
    secured.ask("participant", "POST", f"/v1/envs/{submission['token']}/close/")
    row = settled(secured, submission["submission_id"])
    assert (row["state"], row["score"]) == ("abandoned", pytest.approx(steps / 3))
    assert [trial["state"] for trial in row["trials"]] == ["played", "unplayed", "unplayed"]


@pytest.mark.long
def test_a_silent_agent_is_graded_on_what_it_played(secured: Secured) -> None:
    define(secured, name="silent", limits={"idle_seconds": 1})
    submission = begin(secured, "silent")
    play(secured, submission["token"], trials=2)
    row = settled(secured, submission["submission_id"])
    assert row["state"] == "abandoned" and row["verdict"] == "verified"


def test_submissions_are_hidden_from_other_participants(secured: Secured) -> None:
    define(secured, name="private")
    submission = begin(secured, "private")
    path = f"/submissions/{submission['submission_id']}"
    for who, status in (("other", 404), ("nobody", 401), ("participant", 200), ("organiser", 200), ("admin", 200)):
        assert secured.ask(who, "GET", f"{path}/").status == status, who
        assert secured.ask(who, "GET", f"{path}/receipt").status == (409 if status == 200 else status)
    assert secured.ask("other", "POST", f"/v1/envs/{submission['token']}/reset/").status == 404
    assert secured.ask("other", "GET", "/challenges/private/submissions/").json == []
    assert len(secured.ask("organiser", "GET", "/challenges/private/submissions/").json) == 1


@pytest.mark.long
@pytest.mark.guarantee("everything is killed, at any moment")
@pytest.mark.parametrize("what", ["everything", "worker process"])
def test_every_submission_ends_once_whatever_is_killed(start: Any, what: str) -> None:
    """After a kill, submissions in every state are graded once, or void with their slots returned."""
    server: Server = start(AUTH="token")
    (_, organiser), (_, key) = server.account("o", "organiser"), server.account("a")
    server.post("/challenges/", {"definition": {**CART, "limits": {"submissions": 8}}}, **bearer(organiser))
    secured = Secured(server, {}, {"participant": key, "organiser": organiser})
    submissions = [begin(secured, "cart") for _ in range(8)]
    for number, each in enumerate(submissions):
        if number % 4 >= 1:
            play(secured, each["token"], trials=1 + number % 3)
        if number % 4 >= 2:
            play(secured, each["token"])
        if number % 4 == 3:
            secured.ask("participant", "POST", f"/v1/envs/{each['token']}/close/")
    if what == "everything":
        server.kill()
        server.start()
    else:
        wait_for(lambda: server.background("gymserve.grader.server.submissions.worker"))
        for pid in server.background("gymserve.grader.server.submissions.worker"):
            os.kill(pid, signal.SIGKILL)
    for each in submissions:
        play(secured, each["token"])
        secured.ask("participant", "POST", f"/v1/envs/{each['token']}/close/")
    rows = [settled(secured, each["submission_id"]) for each in submissions]
    assert {each["state"] for each in rows} == {"graded"} and {each["verdict"] for each in rows} == {"verified"}
    (place,) = [place for place in board(server, "cart") if not place["baseline"]]
    assert place["tries"] == 8
    assert secured.ask("participant", "POST", "/challenges/cart/submissions/").status == 429
    server.stop()
    assert not server.background("gymserve.grader.server.submissions.worker")
