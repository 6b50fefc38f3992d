"""Two servers, one grading for the other; and a challenge server's calls as graders elsewhere make them."""

import os
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.conftest import Secured
from tests.grader.challenge_server import ChallengeServer
from tests.servers import Answer, Server, wait_for

CHALLENGE = {
    "name": "walk", "environment": "CartPole-v1", "max_episode_steps": 5, "trials": {"number": 2}, "scoring": {"worst": 0},
}  # fmt: skip


class Pair:
    """`home` has the accounts and the leaderboard, `grader` the environments."""

    def __init__(self, start: Any, **grader: Any) -> None:
        self.home: Server = start(AUTH="token")
        self.organiser = self.home.account("organiser", "organiser")[1]
        self.key = self.home.account("ann")[1]
        made = self.ask("POST", "/challenges/", {"definition": {**CHALLENGE, "limits": {"submissions_per_day": 2}}})
        assert made.status == 200, made.body
        self.grader: Server = start(
            CHALLENGE_SERVER_URL=f"{self.home.url}/api", CHALLENGE_SERVER_TOKEN=self.organiser, **grader
        )
        self.grader.key = self.grader.account("o", "organiser")[1] if grader.get("AUTH") else ""
        assert self.grader.post("/challenges/", {"definition": CHALLENGE}).status == 200

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        return self.home.request(method, path, body, Authorization=f'Token token="{self.organiser}"')

    def submit(self, key: str | None = None) -> Answer:
        asked = {"env_id": "CartPole-v1", "token": key or self.key, "version": "3.0.11"}
        return self.grader.request("POST", "/v1/envs/", asked, Authorization="")

    def play(self, token: str) -> float:
        """The old client's sequence; the score that it is told."""
        path = f"/v1/envs/{token}"
        assert self.post(f"{path}/monitor/start/", {"directory": "tmp", "force": True}).status == 204
        while self.post(f"{path}/reset/").json["observation"] is not None:
            while not self.post(f"{path}/step/", {"action": 1}).json["done"]:
                pass
        score = float(self.post(f"{path}/monitor/close/").json["reward"])
        assert self.post(f"{path}/close/").status == 204
        return score

    def post(self, path: str, body: Any = None) -> Answer:
        return self.grader.request("POST", path, body, Authorization="")

    def places(self) -> list[dict[str, Any]]:
        return list(self.home.get("/challenges/walk/leaderboard").json["places"])


@pytest.mark.parametrize("auth", ["open", "token"])
def test_one_server_grades_for_another(start: Any, auth: str) -> None:
    pair = Pair(start, **({"AUTH": "token"} if auth == "token" else {}))
    made = pair.submit()
    assert made.status == 200, made.body
    if auth == "open":
        page = pair.grader.get(f"/boards/walk/submissions/{made.json['submission_id']}").body.decode()
        assert "trial 0 of 2, 0 steps" in page and "that it has begun: sent" in page
    score = pair.play(made.json["token"])
    (place,) = wait_for(pair.places)
    assert (place["entrant"], place["score"], place["verdict"], place["rank"]) == ("ann", score, "reported", 1)
    own = pair.grader.get(f"/submissions/{made.json['submission_id']}/").json
    assert own["verdict"] == "verified" and own["entrant"].startswith("participant ")
    report = wait_for(lambda: (told := pair.grader.get(f"/submissions/{made.json['submission_id']}/").json["report"])[
        "state"] == "sent" and told)  # fmt: skip
    assert report["what"] == "what became of it"
    if auth == "open":
        page = pair.grader.get(f"/boards/walk/submissions/{made.json['submission_id']}").body.decode()
        assert "Report to the challenge server" in page and "what became of it: sent since" in page
    # Who has no slots left is told so by the grader, in the challenge server's words, and costs nothing there.
    second = pair.submit()
    assert second.status == 200
    refused = pair.submit()
    assert refused.status == 400 and "no submission slots remaining" in refused.json["message"]
    wrong = pair.submit("gs_wrong")
    assert (wrong.status, wrong.json["message"]) == (400, "The API key did not match any participant record.")
    logged = "".join((*pair.grader.output, *pair.home.output))
    assert pair.key not in logged and pair.organiser not in logged


def test_a_score_survives_the_death_of_either_side(start: Any) -> None:
    pair = Pair(start)
    made = pair.submit().json
    pair.home.kill()
    score = pair.play(made["token"])

    def is_graded() -> bool:
        told = pair.grader.get(f"/submissions/{made['submission_id']}/").json
        return bool(told["state"] == "graded" and told["report"]["attempts"] > 0)

    wait_for(is_graded)
    assert pair.grader.get(f"/submissions/{made['submission_id']}/").json["report"]["state"] == "waiting"
    for pid in reporters(pair.grader):
        os.kill(pid, signal.SIGKILL)
    pair.grader.kill()
    pair.home.keeps_port = True  # where the other looks for it
    pair.home.start()
    pair.grader.start()
    (place,) = wait_for(pair.places, 60)
    assert place["score"] == score and place["tries"] == 1


def reporters(server: Server) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if b"grader.reporter" in (entry / "cmdline").read_bytes() and os.readlink(entry / "cwd") == str(
                    server.data
                ):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_challenge_server_that_is_away_at_the_start_costs_no_slot(start: Any) -> None:
    away = ChallengeServer("500")
    server: Server = start(CHALLENGE_SERVER_URL=away.url, CHALLENGE_SERVER_TOKEN="secret-token")
    server.post("/challenges/", {"definition": CHALLENGE})
    refused = server.post("/v1/envs/", {"env_id": "CartPole-v1", "token": "key1"})
    assert refused.status == 503 and refused.headers["Retry-After"]
    assert server.get("/challenges/walk/submissions/").json == []
    away.faults = ("fine",)
    made = server.post("/v1/envs/", {"env_id": "CartPole-v1", "token": "key1"})
    assert made.status == 200 and server.get("/challenges/walk/submissions/").json[0]["entrant"] == "participant 1"
    away.refuse = "The participant has no submission slots remaining for today."
    refused = server.post("/v1/envs/", {"env_id": "CartPole-v1", "token": "key2"})
    assert (refused.status, refused.json["message"]) == (400, away.refuse)
    (void, _) = server.get("/challenges/walk/submissions/").json
    assert (void["state"], void["reason"], void["report"]) == ("void", away.refuse, None)
    away.stop()
    assert "gymserve_reports_waiting 0.0" in server.get("/metrics").body.decode()


# --- the protocol, call by call -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(secured: Secured) -> Secured:
    for name, more in (("proto", {}), ("shut", {"phases": [{"name": "p", "closes": "2026-01-01T00:00:00+00:00"}]})):
        definition = {"name": name, "environment": "Blackjack-v1", "scoring": {"worst": 0}, **more}
        assert secured.ask("organiser", "POST", "/challenges/", {"definition": definition}).status == 200
    return secured


def call(home: Secured, method: str, path: str, who: str = "organiser", **query: str) -> Answer:
    asked = {
        name.replace("meta_", "meta[") + ("]" if name.startswith("meta_") else ""): value
        for name, value in query.items()
    }
    return home.server.request(
        method, f"/api/{path}?{urlencode(asked)}", Authorization=f"Token token={home.keys[who]}",
        Content_Type="application/vnd.api+json",
    )  # fmt: skip


def enter(home: Secured, **query: str) -> Answer:
    defaults = {"challenge_client_name": "proto", "api_key": home.keys["participant"], "grading_status": "submitted"}
    return call(home, "POST", "external_graders", **defaults | query)


def test_a_key_is_told_of(home: Secured) -> None:
    found = call(home, "GET", f"external_graders/{home.keys['participant']}")
    assert found.status == 200 and found.json["participant_id"] == home.ids["participant"]
    unknown = call(home, "GET", "external_graders/gs_nobody")
    assert (
        unknown.status == 404 and unknown.json["participant_id"] is None and "did not match" in unknown.json["message"]
    )


def test_a_submission_from_its_entry_to_its_score(home: Secured) -> None:
    made = enter(home)
    assert made.status == 202 and made.json["reset_dttm"], made.body
    number = made.json["submission_id"]
    assert call(home, "GET", f"submissions/{number}").json["grading_status_cd"] == "submitted"
    graded = {"grading_status": "graded", "score": "12.5", "score_secondary": "1"}
    for _ in range(2):
        done = call(home, "PATCH", f"external_graders/{number}", **graded)
        assert done.status == 202 and done.json["reset_date"] and done.json["submission_id"] == number
    again = call(home, "PATCH", f"external_graders/{number}", grading_status="graded", score="99")
    assert again.status == 400 and "graded already" in again.json["message"]
    told = call(home, "GET", f"submissions/{number}").json
    assert (told["grading_status_cd"], told["score"], told["score_secondary"]) == ("graded", 12.5, 1.0)
    listed = call(home, "GET", "submissions", challenge_client_name="proto", grading_status="graded").json
    assert number in [row["id"] for row in listed]


def test_the_same_entry_again_is_one_submission(home: Secured) -> None:
    first, again = (enter(home, meta_submission="abc").json["submission_id"] for _ in range(2))
    assert first == again and enter(home, meta_submission="abd").json["submission_id"] != first


@pytest.mark.parametrize(
    "query, message",
    [
        ({"api_key": "gs_nobody"}, "The API key did not match any participant record."),
        ({"challenge_client_name": "nothing"}, "The Challenge Client Name string did not match any challenge."),
        ({"challenge_client_name": "shut"}, "The challenge is not open for submissions at this time."),
        ({"grading_status": "great"}, "Grading Status must be one of"),
        ({"grading_status": "failed"}, "needs a grading_message"),
        ({"grading_status": "graded"}, "needs a score"),
        ({"grading_status": "graded", "score": "nan"}, "finite"),
        ({"grading_status": "graded", "score": "1e999"}, "finite"),
        ({"grading_status": "graded", "score": "x"}, "finite"),
        ({"media_large": "a.mp4"}, "media are all or none"),
    ],
)
def test_what_is_off_is_refused_in_the_old_servers_words(home: Secured, query: dict[str, str], message: str) -> None:
    refused = enter(home, **query)
    assert refused.status == 400 and message in refused.json["message"], refused.body


def test_submissions_of_other_graders_and_of_our_own_are_none(home: Secured) -> None:
    number = enter(home).json["submission_id"]
    assert call(home, "GET", f"submissions/{number}", "admin").status == 404
    for name in (str(number), "0", "-1", "x", "9" * 30):
        refused = call(home, "PATCH", f"external_graders/{name}", "admin", grading_status="graded", score="1")
        assert (refused.status, refused.json["message"]) == (400, "Submission ID is invalid.")


def test_a_failed_submission_never_ranks(home: Secured) -> None:
    definition = {"name": "failing", "environment": "Blackjack-v1", "scoring": {"worst": 0}}
    assert home.ask("organiser", "POST", "/challenges/", {"definition": definition}).status == 200
    made = enter(home, challenge_client_name="failing").json["submission_id"]
    done = call(home, "PATCH", f"external_graders/{made}", grading_status="failed", grading_message="it crashed")
    assert done.status == 202
    assert home.server.get("/challenges/failing/leaderboard").json["places"] == []
    assert call(home, "GET", f"submissions/{made}").json["grading_message"] == "it crashed"
