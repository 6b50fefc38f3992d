"""A server that grades for another one, and the challenge server's protocol for external graders."""

import os
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from tests.conftest import Secured
from tests.grader.server.challenge_server import ChallengeServer
from tests.support.proxies import Gate
from tests.support.servers import Answer, Server, wait_for

CHALLENGE = {"max_episode_steps": 5, "trials": {"number": 2}, "scoring": {"worst": 0}}


class Pair:
    """Two servers with the same challenge: `home` has the accounts and the leaderboard, `grader` the environments."""

    def __init__(self, home: Secured, grader: Server, name: str, environment: str = "CartPole-v1") -> None:
        self.home, self.grader, self.name, self.environment = home, grader, name, environment
        definition = {**CHALLENGE, "name": name, "environment": environment}
        limited = {**definition, "limits": {"submissions_per_day": 2}}
        answer = home.ask("organiser", "POST", "/challenges/", {"definition": limited})
        assert answer.status == 200, answer.body
        assert self.grader.post("/challenges/", {"definition": definition}).status == 200

    def submit(self, key: str | None = None) -> Answer:
        body = {"env_id": self.environment, "token": key or self.home.keys["participant"], "version": "3.0.11"}
        return self.post("/v1/envs/", body)

    def play(self, token: str) -> float:
        """Play as the old client does, and return the score that it receives."""
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

    def show(self, submission: str) -> dict[str, Any]:
        """Return the grader's record of a submission."""
        return dict(self.grader.get(f"/submissions/{submission}/").json)

    def places(self) -> list[dict[str, Any]]:
        return list(self.home.server.get(f"/challenges/{self.name}/leaderboard").json["places"])


class Grading(NamedTuple):
    """A server that grades for `secured`, and the gate between the two."""

    server: Server
    gate: Gate


@pytest.fixture(scope="module")
def grading(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grading]:
    with Gate(secured.server.port) as gate:
        settings = {"CHALLENGE_SERVER_URL": f"http://127.0.0.1:{gate.port}/api", "PRELOAD": False}
        settings["CHALLENGE_SERVER_TOKEN"] = secured.keys["organiser"]
        server = Server(tmp_path_factory.mktemp("grading"), **settings)
        yield Grading(server, gate)
        assert server.stop() == 0


def submit_and_report(pair: Pair) -> str:
    """Make a submission, wait until its score has been reported, and return its id."""
    submission = pair.submit()
    assert submission.status == 200, submission.body
    score = pair.play(submission.json["token"])
    (place,) = wait_for(pair.places)
    seen = (place["entrant"], place["score"], place["verdict"], place["rank"])
    assert seen == (f"account {pair.home.ids['participant']}", score, "reported", 1)
    own = pair.show(submission.json["submission_id"])
    assert own["verdict"] == "verified" and own["entrant"].startswith("participant ")
    wait_for(lambda: pair.show(submission.json["submission_id"])["report"]["state"] == "sent")
    assert pair.show(submission.json["submission_id"])["report"]["what"] == "what became of it"
    # If no slots are left, the grader passes on the challenge server's message, and its own slots stay unchanged.
    second = pair.submit()
    assert second.status == 200
    refused = pair.submit()
    assert refused.status == 400 and "no submission slots remaining" in refused.json["message"]
    wrong = pair.submit("gs_wrong")
    assert (wrong.status, wrong.json["message"]) == (400, "The API key did not match any participant record.")
    logged = "".join((*pair.grader.output, *pair.home.server.output))
    assert pair.home.keys["participant"] not in logged and pair.home.keys["organiser"] not in logged
    return str(submission.json["submission_id"])


@pytest.mark.long
def test_one_server_grades_for_another(secured: Secured, grading: Grading) -> None:
    pair = Pair(secured, grading.server, "walk")
    begun = pair.submit().json
    page = pair.grader.get(f"/boards/walk/submissions/{begun['submission_id']}").body.decode()
    assert "of 2 trials" in page and "steps so far" in page and "that it has begun: sent" in page
    assert pair.post(f"/v1/envs/{begun['token']}/close/").status == 204
    pair = Pair(secured, grading.server, "run", "Acrobot-v1")
    graded = submit_and_report(pair)
    page = pair.grader.get(f"/boards/run/submissions/{graded}").body.decode()
    assert "Report to the challenge server" in page and "what became of it: sent since" in page


@pytest.mark.long
def test_one_server_with_accounts_grades_for_another(secured: Secured, start: Any) -> None:
    settings = {"CHALLENGE_SERVER_URL": f"{secured.server.url}/api"}
    grader: Server = start(AUTH="token", CHALLENGE_SERVER_TOKEN=secured.keys["organiser"], **settings)
    grader.key = grader.account("o", "organiser")[1]
    submit_and_report(Pair(secured, grader, "with-accounts"))


def wait_until_unreported(pair: Pair, submission: str) -> None:
    """Wait until the grader has failed to report a score."""

    def tried() -> bool:
        row = pair.show(submission)
        return bool(row["state"] == "graded" and row["report"]["attempts"] > 0)

    wait_for(tried)
    assert pair.show(submission)["report"]["state"] == "waiting"


@pytest.mark.guarantee("the grader, its reporter or the challenge server is killed")
def test_a_score_survives_a_killed_grader_and_an_unreachable_challenge_server(
    secured: Secured, grading: Grading
) -> None:
    pair = Pair(secured, grading.server, "survives", "MountainCar-v0")
    submission = pair.submit().json
    grading.gate.shut()
    score = pair.play(submission["token"])
    refused = pair.submit()
    assert refused.status == 503 and refused.headers["Retry-After"]
    wait_until_unreported(pair, submission["submission_id"])
    for pid in pair.grader.background("gymserve.grader.server.reports.reporter"):
        os.kill(pid, signal.SIGKILL)
    pair.grader.kill()
    grading.gate.open = True
    pair.grader.start()
    (place,) = wait_for(pair.places)
    assert place["score"] == score and place["tries"] == 1
    assert pair.submit().status == 200  # the refused one has not used a slot


@pytest.mark.long
@pytest.mark.guarantee("the grader, its reporter or the challenge server is killed")
def test_a_score_survives_the_death_of_either_side(start: Any) -> None:
    server: Server = start(AUTH="token")
    keys = {role: server.account(role, role)[1] for role in ("participant", "organiser")}
    home = Secured(server, {}, keys)
    grader: Server = start(CHALLENGE_SERVER_URL=f"{server.url}/api", CHALLENGE_SERVER_TOKEN=keys["organiser"])
    pair = Pair(home, grader, "walk")
    submission = pair.submit().json
    server.kill()
    score = pair.play(submission["token"])
    wait_until_unreported(pair, submission["submission_id"])
    for pid in grader.background("gymserve.grader.server.reports.reporter"):
        os.kill(pid, signal.SIGKILL)
    grader.kill()
    server.keeps_port = True  # the grader's settings name it
    server.start()
    grader.start()
    (place,) = wait_for(pair.places)
    assert place["score"] == score and place["tries"] == 1


@pytest.mark.long
def test_an_unreachable_challenge_server_costs_no_slot(start: Any) -> None:
    away = ChallengeServer("500")
    server: Server = start(CHALLENGE_SERVER_URL=away.url, CHALLENGE_SERVER_TOKEN="secret-token")
    server.post("/challenges/", {"definition": {**CHALLENGE, "name": "walk", "environment": "CartPole-v1"}})
    refused = server.post("/v1/envs/", {"env_id": "CartPole-v1", "token": "key1"})
    assert refused.status == 503 and refused.headers["Retry-After"]
    assert server.get("/challenges/walk/submissions/").json == []
    away.faults = ("fine",)
    submission = server.post("/v1/envs/", {"env_id": "CartPole-v1", "token": "key1"})
    assert (
        submission.status == 200 and server.get("/challenges/walk/submissions/").json[0]["entrant"] == "participant 1"
    )
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
    params = {
        name.replace("meta_", "meta[") + ("]" if name.startswith("meta_") else ""): value
        for name, value in query.items()
    }
    return home.server.request(
        method, f"/api/{path}?{urlencode(params)}", Authorization=f"Token token={home.keys[who]}",
        Content_Type="application/vnd.api+json",
    )  # fmt: skip


def enter(home: Secured, **query: str) -> Answer:
    defaults = {"challenge_client_name": "proto", "api_key": home.keys["participant"], "grading_status": "submitted"}
    return call(home, "POST", "external_graders", **defaults | query)


def test_a_key_identifies_its_participant(home: Secured) -> None:
    answer = call(home, "GET", f"external_graders/{home.keys['participant']}")
    assert answer.status == 200 and answer.json["participant_id"] == home.ids["participant"]
    unknown = call(home, "GET", "external_graders/gs_nobody")
    assert (
        unknown.status == 404 and unknown.json["participant_id"] is None and "did not match" in unknown.json["message"]
    )


def test_a_submission_from_its_entry_to_its_score(home: Secured) -> None:
    entry = enter(home)
    assert entry.status == 202 and entry.json["reset_dttm"], entry.body
    number = entry.json["submission_id"]
    assert call(home, "GET", f"submissions/{number}").json["grading_status_cd"] == "submitted"
    graded = {"grading_status": "graded", "score": "12.5", "score_secondary": "1"}
    for _ in range(2):
        done = call(home, "PATCH", f"external_graders/{number}", **graded)
        assert done.status == 202 and done.json["reset_date"] and done.json["submission_id"] == number
    again = call(home, "PATCH", f"external_graders/{number}", grading_status="graded", score="99")
    assert again.status == 400 and "already graded" in again.json["message"]
    row = call(home, "GET", f"submissions/{number}").json
    assert (row["grading_status_cd"], row["score"], row["score_secondary"]) == ("graded", 12.5, 1.0)
    listed = call(home, "GET", "submissions", challenge_client_name="proto", grading_status="graded").json
    assert number in [row["id"] for row in listed]


def test_repeating_an_entry_makes_no_second_submission(home: Secured) -> None:
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
def test_invalid_entries_are_refused_in_the_old_servers_words(
    home: Secured, query: dict[str, str], message: str
) -> None:
    refused = enter(home, **query)
    assert refused.status == 400 and message in refused.json["message"], refused.body


def test_graders_see_only_their_own_submissions(home: Secured) -> None:
    number = enter(home).json["submission_id"]
    assert call(home, "GET", f"submissions/{number}", "admin").status == 404
    for name in (str(number), "0", "-1", "x", "9" * 30):
        refused = call(home, "PATCH", f"external_graders/{name}", "admin", grading_status="graded", score="1")
        assert (refused.status, refused.json["message"]) == (400, "Submission ID is invalid.")


def test_a_failed_submission_never_ranks(home: Secured) -> None:
    definition = {"name": "failed-elsewhere", "environment": "Blackjack-v1", "scoring": {"worst": 0}}
    assert home.ask("organiser", "POST", "/challenges/", {"definition": definition}).status == 200
    number = enter(home, challenge_client_name="failed-elsewhere").json["submission_id"]
    done = call(home, "PATCH", f"external_graders/{number}", grading_status="failed", grading_message="it crashed")
    assert done.status == 202
    assert home.server.get("/challenges/failed-elsewhere/leaderboard").json["places"] == []
    assert call(home, "GET", f"submissions/{number}").json["grading_message"] == "it crashed"
