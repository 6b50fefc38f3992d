"""Challenges over HTTP, played for real: by our client, by the old grader's, by cheats, through crashes."""

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import client
import gym_http_server
from grader.challenges import seeds
from grader.challenges.states import VerdictState
from grader.proofs import bundle, receipt, verification
from gymserve.environments import Catalogue
from gymserve.journal import Reset, Step, read, records
from gymserve.journal.file import Journal
from tests.conftest import Secured
from tests.support.environments.habitual import REPLAYED
from tests.support.servers import Server, wait_for

CART = {
    "name": "cart",
    "environment": "CartPole-v1",
    "max_episode_steps": 12,
    "trials": {"number": 3},
    "scoring": {"worst": 0},
    "limits": {"submissions_per_day": 100},
    "phases": [{"name": "public"}],
    "baselines": [{"name": "nothing", "score": 5}],
}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def define(secured: Secured, **changes: Any) -> dict[str, Any]:
    answer = secured.ask("organiser", "POST", "/challenges/", {"definition": {**CART, **changes}})
    assert answer.status == 200, answer.body
    return dict(answer.json)


def shown(secured: Secured, who: str) -> str:
    """What others see of an account that has chosen no name."""
    return f"account {secured.ids[who]}"


def begin(secured: Secured, name: str, who: str = "participant") -> dict[str, Any]:
    answer = secured.ask(who, "POST", f"/challenges/{name}/submissions/")
    assert answer.status == 200, answer.body
    return dict(answer.json)


def play(secured: Secured, token: str, who: str = "participant", *, trials: int = 99, action: int = 1) -> int:
    """Plays up to so many trials; how many steps it took."""
    steps = 0
    for _ in range(trials):
        if secured.ask(who, "POST", f"/v1/envs/{token}/reset/").json.get("observation") is None:
            break  # the trials are over, or it is closed
        done = False
        while not done:
            done = secured.ask(who, "POST", f"/v1/envs/{token}/step/", {"action": action}).json["done"]
            steps += 1
    return steps


def settled(secured: Secured, submission: str, who: str = "participant", seconds: float = 90.0) -> dict[str, Any]:
    """A submission when nothing more will happen to it."""

    def look() -> dict[str, Any] | None:
        told = secured.ask(who, "GET", f"/submissions/{submission}/").json
        return told if told["state"] not in ("created", "running", "verifying") else None

    return dict(wait_for(look, seconds))


def board(server: Server, name: str, **options: str) -> list[dict[str, Any]]:
    query = "&".join(f"{key}={value}" for key, value in options.items())
    return list(server.get(f"/challenges/{name}/leaderboard?{query}").json["places"])


def keep_pole(observation: Any) -> int:
    return int(observation[2] + observation[3] > 0)


@pytest.mark.long
def test_an_agent_that_fails_is_told_what_became_of_its_submission(secured: Secured) -> None:
    define(secured, name="failing")

    def agent(observation: Any) -> int:
        raise ZeroDivisionError("the agent's own")

    token = secured.keys["participant"]
    with pytest.raises(ZeroDivisionError) as caught:
        client.submit("failing", agent, server=secured.server.url, token=token, progress=False)
    [note] = caught.value.__notes__
    submission = note.split()[2]
    assert "counts as begun" in note and f"/boards/failing/submissions/{submission}" in note
    told = secured.ask("participant", "GET", f"/submissions/{submission}/").json
    assert told["state"] not in ("created", "running")


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
        (shown(secured, "participant"), 1), (shown(secured, "other"), 2), ("nothing", None),
    ]  # fmt: skip
    with pytest.raises(client.NotFound):
        client.submit("nothing-like-it", keep_pole, server=server.url, token=secured.keys["participant"])
    with pytest.raises(client.Unauthenticated):
        client.submit("ours", keep_pole, server=server.url)


@pytest.mark.guarantee("an agent leaves before a bad score, resets to better seeds, steps after the end, closes twice")
def test_the_old_graders_clients_as_they_are(secured: Secured) -> None:
    """The sequence of osim-rl-grader's document; nothing but the creation carries the key."""
    define(secured, name="old", environment="Acrobot-v1", max_episode_steps=5, scoring={"worst": -100})
    server, key = secured.server, secured.keys["participant"]
    made = server.post("/v1/envs/", {"env_id": "Acrobot-v1", "token": f"{key}\n", "version": "3.0.11"}).json
    token = made["instance_id"]
    assert made["token"] == token and made["challenge"] == "old"
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
    assert server.post(f"/v1/envs/{token}/monitor/close/").json["reward"] == -5.0  # the same, and nothing again
    assert server.post(f"/v1/envs/{token}/close/").status == 204
    assert server.post(f"/v1/envs/{token}/close/").status == 400
    assert settled(secured, made["submission_id"])["state"] == "graded"
    assert [place["tries"] for place in board(server, "old") if not place["baseline"]] == [1]


@pytest.mark.guarantee("an old client's script dies in mid-submission, and is run again")
def test_an_old_client_that_starts_anew_is_not_locked_out(secured: Secured) -> None:
    limits = {"concurrent": 1, "submissions": 2}
    define(secured, name="again", environment="MountainCarContinuous-v0", scoring={"worst": -100}, limits=limits)
    asked = {"env_id": "MountainCarContinuous-v0", "token": secured.keys["participant"]}
    first = secured.server.post("/v1/envs/", asked).json
    secured.server.post(f"/v1/envs/{first['token']}/reset/")
    second = secured.server.post("/v1/envs/", asked)  # the script died, and is run again
    assert second.status == 200 and second.json["token"] != first["token"]
    assert secured.server.post(f"/v1/envs/{first['token']}/step/", {"action": [0.0]}).status == 400
    assert settled(secured, first["submission_id"])["state"] == "abandoned"
    third = secured.server.post("/v1/envs/", asked)  # which it may not begin, so it does not lose the second one
    assert third.status == 429 and "all of your 2 submissions" in third.json["message"]
    assert secured.server.post(f"/v1/envs/{second.json['token']}/reset/").status == 200


def test_limits_are_told_as_the_old_grader_told_them(secured: Secured) -> None:
    define(secured, name="few", limits={"submissions_per_day": 2, "concurrent": 1})
    first = begin(secured, "few")
    assert first["submissions_remaining"] == 1
    refused = secured.ask("participant", "POST", "/challenges/few/submissions/")
    assert refused.status == 429 and "under way already" in refused.json["message"]
    assert first["submission_id"] in refused.json["message"]
    assert 3000 < int(refused.headers["Retry-After"]) <= 3600  # when it would be idle for too long
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
    assert begin(secured, "few", "other")["submissions_remaining"] == 1  # limits are each entrant's own


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
    made = {
        secured.ask("participant", "POST", "/challenges/repeated/submissions/", {}, Idempotency_Key="k").json["token"]
        for _ in range(3)
    }
    assert len(made) == 1
    assert len(secured.ask("participant", "GET", "/challenges/repeated/submissions/").json) == 1


@pytest.mark.guarantee("an agent leaves before a bad score, resets to better seeds, steps after the end, closes twice")
def test_who_leaves_before_a_bad_score_has_it_all_the_same(secured: Secured) -> None:
    define(secured, name="leaving")
    made = begin(secured, "leaving")
    steps = play(secured, made["token"], trials=1)
    progress = secured.ask("participant", "GET", f"/submissions/{made['submission_id']}/").json["progress"]
    assert (progress["trial"], progress["trials"], progress["steps"]) == (1, 3, steps)
    secured.ask("participant", "POST", f"/v1/envs/{made['token']}/close/")
    told = settled(secured, made["submission_id"])
    assert (told["state"], told["score"]) == ("abandoned", pytest.approx(steps / 3))
    assert [trial["state"] for trial in told["trials"]] == ["played", "unplayed", "unplayed"]


@pytest.mark.long
def test_an_agent_that_falls_silent_is_graded_as_it_stands(secured: Secured) -> None:
    define(secured, name="silent", limits={"idle_seconds": 1})
    made = begin(secured, "silent")
    play(secured, made["token"], trials=2)
    told = settled(secured, made["submission_id"])
    assert told["state"] == "abandoned" and told["verdict"] == "verified"


def test_nobody_elses_submission_is_to_be_seen(secured: Secured) -> None:
    define(secured, name="private")
    made = begin(secured, "private")
    path = f"/submissions/{made['submission_id']}"
    for who, status in (("other", 404), ("nobody", 401), ("participant", 200), ("organiser", 200), ("admin", 200)):
        assert secured.ask(who, "GET", f"{path}/").status == status, who
        assert secured.ask(who, "GET", f"{path}/receipt").status == (409 if status == 200 else status)
    assert secured.ask("other", "POST", f"/v1/envs/{made['token']}/reset/").status == 404
    assert secured.ask("other", "GET", "/challenges/private/submissions/").json == []
    assert len(secured.ask("organiser", "GET", "/challenges/private/submissions/").json) == 1


@pytest.mark.guarantee("seeds are looked for in every answer, log and page")
def test_seeds_are_told_when_the_phase_is_over_and_not_before(secured: Secured, tmp_path: Path) -> None:
    told = define(
        secured, name="proven", trials={"number": 2, "variants": [{"options": {"low": -0.01357, "high": 0.01357}}]}
    )
    made = begin(secured, "proven")
    play(secured, made["token"])
    secured.ask("participant", "POST", f"/v1/envs/{made['token']}/close/")
    graded = settled(secured, made["submission_id"])
    assert graded["verdict"] == "verified"
    data = secured.server.data
    journal = data / "submissions" / made["submission_id"]
    secret = [record.seed for record in read(journal) if isinstance(record, Reset)]
    observed = [record.digest for record in read(journal) if isinstance(record, (Reset, Step))]
    public = [
        secured.ask("participant", "GET", path).body.decode()
        for path in (
            f"/submissions/{made['submission_id']}/", f"/submissions/{made['submission_id']}/receipt",
            "/challenges/proven/", "/challenges/", "/challenges/proven/leaderboard", "/boards/proven", "/metrics",
        )
    ]  # fmt: skip
    assert not any(str(seed) in text or "0.01357" in text for seed in secret for text in public)
    assert not any(form in text for digest in observed for form in (str(digest), f"{digest:x}") for text in public)
    early = secured.ask("participant", "GET", f"/submissions/{made['submission_id']}/bundle")
    assert early.status == 409 and "when the phase is over" in early.json["message"]
    video = f"/submissions/{made['submission_id']}/media/video.webm"
    hidden = secured.ask("participant", "GET", video)
    assert hidden.status == 409 and "how the trials differ" in hidden.json["message"]
    assert secured.ask("organiser", "GET", video).status != 409

    key = secured.server.get("/signing-key").json["key"]
    signed = receipt.read(
        secured.ask("participant", "GET", f"/submissions/{made['submission_id']}/receipt").body, trusted=[key]
    )
    assert signed.statement["score"] == graded["score"] and signed.statement["account"] == shown(secured, "participant")
    assert signed.statement["commitment"] == told["phases"][0]["commitment"]

    define(
        secured, name="proven", trials={"number": 2, "variants": [{"options": {"low": -0.01357, "high": 0.01357}}]},
        phases=[{"name": "public", "closes": "2026-01-01T00:00:00+00:00"}],
    )  # fmt: skip
    over = secured.server.get("/challenges/proven/").json
    assert seeds.is_revealed(over["phases"][0]["commitment"], bytes.fromhex(over["phases"][0]["key"]))
    assert over["is_open"] is False
    closed = secured.ask("participant", "POST", "/challenges/proven/submissions/")
    assert (closed.status, closed.json["message"]) == (
        404, "The challenge is not open for submissions at this time.",
    )  # fmt: skip
    assert secured.ask("participant", "GET", video).status != 409
    anyone = secured.server.get(f"/submissions/{made['submission_id']}/bundle")
    opened = bundle.opened(anyone.body, trusted=[key])
    assert verification.verify(opened.records, Catalogue()).state == VerdictState.VERIFIED


@pytest.mark.long
@pytest.mark.guarantee("a journal is changed on the disk")
def test_a_tampered_journal_never_ranks(start: Any) -> None:
    server: Server = start(AUTH="token")
    (_, organiser), (_, key) = server.account("o", "organiser"), server.account("a")
    server.post("/challenges/", {"definition": CART}, **bearer(organiser))
    secured = Secured(server, {}, {"participant": key, "organiser": organiser})
    made = begin(secured, "cart")
    play(secured, made["token"], trials=2)
    journal = server.data / "instances" / made["token"] / "journal"
    server.kill()  # somebody with access to the disk
    reopened, found = Journal.reopen(journal, limit=2**20)
    last = [record for record in found if isinstance(record, records.Step)][-1]
    reopened.append(
        records.encode_reset(records.Reset(None, 0, time.time(), found[0].recipe.trials[2].seed, None, None))
    )
    for _ in range(11):
        reopened.append(records.encode_step(None, 0, last.action, 1.0, False, False, None))
    reopened.append(records.encode_step(None, 0, last.action, 1.0, False, True, time.time()))
    reopened.close()
    server.start()
    secured.ask("participant", "POST", f"/v1/envs/{made['token']}/close/")
    told = settled(secured, made["submission_id"])
    assert (told["state"], told["verdict"]) in (("failed", "mismatch"), ("void", ""))
    assert all(place["baseline"] for place in board(server, "cart"))


def test_definitions_are_checked_and_belong_to_their_organiser(secured: Secured, start: Any) -> None:
    assert secured.ask("participant", "POST", "/challenges/", {"definition": CART}).status == 403
    for wrong, text in (
        ({"toml": 'name = "x"\nenvironment = "CartPole-v1"\ntrials = 3\n'}, "line 3"),
        ({"toml": "name = "}, "Invalid value"),
        ({"definition": {**CART, "name": "nowhere", "environment": "Nothing-v0"}}, "Nothing-v0"),
        ({"definition": {**CART, "scoring": {"function": "os:system"}}}, "os:system"),
        ({"definition": {**CART, "name": "../x"}}, "name"),
        ({"definition": []}, "definition"),
        ({}, "definition"),
    ):
        answer = secured.ask("organiser", "POST", "/challenges/", wrong)
        assert answer.status == 400 and text in answer.json["message"], answer.body
    for name in ("x", "nowhere"):  # what was refused left nothing behind
        assert secured.server.get(f"/challenges/{name}/").status == 404
    define(secured, name="mine")
    _, key = secured.server.account("second@example.org", "organiser")
    for path, body in (("/challenges/", {"definition": {**CART, "name": "mine"}}), ("/challenges/mine/close/", {})):
        assert secured.server.post(path, body, **bearer(key)).status == 403
    assert secured.ask("organiser", "POST", "/challenges/mine/close/").json["is_open"] is False
    assert secured.ask("participant", "POST", "/challenges/mine/submissions/").status == 404
    assert secured.ask("organiser", "POST", "/challenges/mine/open/").json["is_open"] is True


@pytest.mark.long
def test_changing_a_challenge_keeps_old_scores(secured: Secured) -> None:
    define(secured, name="changing")
    result = client.submit(
        "changing", keep_pole, server=secured.server.url, token=secured.keys["other"], progress=False
    )
    going_on = begin(secured, "changing")
    play(secured, going_on["token"], trials=1)
    define(secured, name="changing", max_episode_steps=5, trials={"number": 1})
    play(secured, going_on["token"])
    secured.ask("participant", "POST", f"/v1/envs/{going_on['token']}/close/")
    told = settled(secured, going_on["submission_id"])
    assert len(told["trials"]) == 3 and told["verdict"] == "verified"
    later = client.submit("changing", keep_pole, server=secured.server.url, token=secured.keys["other"], progress=False)
    assert (result.score, later.score) == (12.0, 5.0)
    best = {place["entrant"]: place["score"] for place in board(secured.server, "changing")}
    assert best[shown(secured, "other")] == 12.0


def test_the_leaderboard_as_csv_with_an_etag_and_as_a_page(secured: Secured) -> None:
    define(secured, name="shown", title="<b>Shown</b>")
    server = secured.server
    first = server.get("/challenges/shown/leaderboard")
    tag = first.headers["ETag"]
    assert server.get("/challenges/shown/leaderboard", If_None_Match=tag).status == 304
    client.submit("shown", keep_pole, server=server.url, token=secured.keys["other"], progress=False)
    changed = server.get("/challenges/shown/leaderboard", If_None_Match=tag)
    assert changed.status == 200 and changed.headers["ETag"] != tag
    lines = server.get("/challenges/shown/leaderboard?format=csv").body.decode().splitlines()
    assert lines[0].startswith("rank,entrant,entrant_id,score")
    other = shown(secured, "other")
    assert lines[1].startswith(f"1,{other},{other},12.0")
    assert 'href="/boards/shown">&lt;b&gt;Shown' in server.get("/").body.decode()
    page = server.get("/boards/shown").body.decode()
    assert "&lt;b&gt;Shown" in page and "<b>Shown" not in page
    assert re.search(rf"{other}</th>\s*<td class=\"number\">12<", page)
    for query in ("format=xml", "phase=none", "limit=0"):
        assert server.get(f"/challenges/shown/leaderboard?{query}").status == 400, query
    define(secured, name="shown", ranking={"hidden_until": "2999-01-01T00:00:00+00:00"})
    hidden = server.get("/challenges/shown/leaderboard")
    assert hidden.status == 409 and "hidden until 2999-01-01" in hidden.json["message"]
    assert secured.ask("organiser", "GET", "/challenges/shown/leaderboard").status == 200
    assert "hidden until" in server.get("/boards/shown").body.decode()


@pytest.mark.long
def test_the_history_of_an_account(secured: Secured) -> None:
    phases = [{"name": "first"}, {"name": "second", "opens": "2999-01-01T00:00:00+00:00"}]
    define(secured, name="past", phases=phases)
    server, path = secured.server, "/challenges/past/leaderboard/history"
    scores = [
        client.submit("past", agent, server=server.url, token=secured.keys["other"], progress=False).score
        for agent in (lambda observation: 0, keep_pole)
    ]
    begin(secured, "past", "other")  # which has no score
    told = secured.ask("other", "GET", path).json
    other = shown(secured, "other")
    assert (told["phase"], told["entrant"]) == ("first", other)
    assert [row["score"] for row in told["submissions"]] == scores[::-1]
    assert {row["verdict"] for row in told["submissions"]} == {"verified"}
    assert server.get(f"{path}?entrant={quote(other)}").json == told  # for everybody, as the board is
    page = server.get(f"/boards/past?entrant={quote(other)}").body.decode()
    assert f"Scores of {other}" in page and page.count(" UTC</th>") == 2
    assert [
        row["score"] for row in secured.ask("other", "GET", f"{path}?limit=1&skip=1").json["submissions"]
    ] == scores[:1]
    assert secured.ask("other", "GET", f"{path}?phase=second").json["submissions"] == []
    assert secured.ask("participant", "GET", path).json["submissions"] == []
    assert server.get(path).status == 400 and server.get(f"{path}?entrant=x&phase=none").status == 400
    define(secured, name="past", phases=phases, ranking={"hidden_until": "2999-01-01T00:00:00+00:00"})
    assert secured.ask("other", "GET", path).status == 409
    assert len(secured.ask("organiser", "GET", f"{path}?entrant={quote(other)}").json["submissions"]) == 2


def test_an_open_server_takes_entrants_by_name(server: Server) -> None:
    assert server.post("/challenges/", {"definition": CART}).status == 200
    made = server.post("/challenges/cart/submissions/", {"entrant": "=cmd()"}).json
    token = made["token"]
    while server.post(f"/v1/envs/{token}/reset/").json["observation"]:
        while not server.post(f"/v1/envs/{token}/step/", {"action": 1}).json["done"]:
            pass
    server.post(f"/v1/envs/{token}/close/")
    (place,) = wait_for(lambda: [place for place in board(server, "cart") if not place["baseline"]])
    assert place["entrant"] == "=cmd()"
    assert ",'=cmd()," in server.get("/challenges/cart/leaderboard?format=csv").body.decode()
    for wrong in ("", "a\n", 3, "x" * 101):
        assert server.post("/challenges/cart/submissions/", {"entrant": wrong}).status == 400


@pytest.mark.long
@pytest.mark.guarantee("everything is killed, at any moment")
@pytest.mark.parametrize("what", ["everything", "worker process"])
def test_every_submission_ends_once_whatever_is_killed(start: Any, what: str) -> None:
    """Submissions in every state, and a kill; then each is graded once, or void with its slot given back."""
    server: Server = start(AUTH="token")
    (_, organiser), (_, key) = server.account("o", "organiser"), server.account("a")
    server.post("/challenges/", {"definition": {**CART, "limits": {"submissions": 8}}}, **bearer(organiser))
    secured = Secured(server, {}, {"participant": key, "organiser": organiser})
    made = [begin(secured, "cart") for _ in range(8)]
    for number, one in enumerate(made):
        if number % 4 >= 1:
            play(secured, one["token"], trials=1 + number % 3)
        if number % 4 >= 2:
            play(secured, one["token"])
        if number % 4 == 3:
            secured.ask("participant", "POST", f"/v1/envs/{one['token']}/close/")
    if what == "everything":
        server.kill()
        server.start()
    else:
        wait_for(lambda: server.background("grader.server.submissions.worker"))
        for pid in server.background("grader.server.submissions.worker"):
            os.kill(pid, signal.SIGKILL)
    for one in made:
        play(secured, one["token"])
        secured.ask("participant", "POST", f"/v1/envs/{one['token']}/close/")
    told = [settled(secured, one["submission_id"]) for one in made]
    assert {one["state"] for one in told} == {"graded"} and {one["verdict"] for one in told} == {"verified"}
    (place,) = [place for place in board(server, "cart") if not place["baseline"]]
    assert place["tries"] == 8
    assert secured.ask("participant", "POST", "/challenges/cart/submissions/").status == 429
    server.stop()
    assert not server.background("grader.server.submissions.worker")


def test_challenges_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.toml"
    file.write_text('name = "c"\nenvironment = "CartPole-v1"\nmax_episode_steps = 10\n[trials]\nnumber = 2\n')

    def command(*words: str) -> tuple[str, str]:
        """What it prints, and what of errors."""
        gym_http_server.main(["--data", str(tmp_path / "data"), "challenge", *words])
        return capsys.readouterr()

    assert command("create", str(file)) == ("challenge c: open\n", "")
    assert "CartPole-v1" in command("list")[0]
    assert command("close", "c")[0] == "challenge c is closed\n"
    assert "there is no challenge d" in command("open", "d")[1]
    checked = command("check", str(file), "--seconds", "0.2")[0]
    assert "verified" in checked and "random agent" in checked and "warning" in checked
    file.write_text('name = "c"\nenvironment = 3\n')
    assert "line 2" in command("create", str(file))[1]


def test_a_team_submits_as_one(secured: Secured) -> None:
    define(secured, name="teams", environment="MountainCar-v0", teams={"allowed": True}, limits={"submissions": 1})
    path = "/challenges/teams/team/"
    assert secured.ask("participant", "GET", path).status == 404
    made = secured.ask("participant", "POST", path, {"name": "Pole dancers"})
    assert (made.status, made.json["members"]) == (200, [shown(secured, "participant")])
    code = secured.ask("participant", "POST", f"{path}invitation").json["code"]
    assert secured.ask("admin", "POST", path, {"code": "wrong"}).status == 404
    assert len(secured.ask("admin", "POST", path, {"code": code}).json["members"]) == 2
    assert secured.ask("organiser", "POST", path, {}).status == 400
    submission = begin(secured, "teams")
    assert secured.ask("admin", "POST", "/challenges/teams/submissions/").status == 429
    play(secured, submission["token"])
    secured.ask("participant", "POST", f"/v1/envs/{submission['token']}/close/")
    assert settled(secured, submission["submission_id"], "admin")["entrant"] == "team:Pole dancers"
    (place,) = [place for place in board(secured.server, "teams") if not place["baseline"]]
    assert (place["entrant"], place["rank"]) == ("team:Pole dancers", 1)
    left = secured.ask("participant", "DELETE", path)
    assert left.status == 409 and "fixed" in left.json["message"]


def test_team_members_see_what_the_others_submitted(secured: Secured) -> None:
    define(secured, name="seen", environment="MountainCar-v0", teams={"allowed": True})
    (_, first), (_, second) = secured.server.account("first"), secured.server.account("second")
    path, server = "/challenges/seen/team/", secured.server
    server.request("POST", path, {"name": "Pair"}, **bearer(first))
    own = server.request("POST", "/challenges/seen/submissions/", **bearer(first)).json["submission_id"]
    assert server.request("GET", f"/submissions/{own}/", **bearer(second)).status == 404
    code = server.request("POST", f"{path}invitation", **bearer(first)).json["code"]
    server.request("POST", path, {"code": code}, **bearer(second))
    assert server.request("GET", f"/submissions/{own}/", **bearer(second)).status == 200
    listed = server.request("GET", "/challenges/seen/submissions/", **bearer(second)).json
    assert [row["submission_id"] for row in listed] == [own]


@pytest.mark.long
def test_actions_are_refused_or_clipped_as_the_challenge_says(secured: Secured) -> None:
    pendulum = {"environment": "Pendulum-v1", "max_episode_steps": 3, "trials": {"number": 2}, "phases": [
        {"name": "try", "kind": "practice"},
    ]}  # fmt: skip
    define(secured, name="strict", **pendulum)
    define(secured, name="lenient", actions="clip", **pendulum)
    told = {}
    for name in ("strict", "lenient"):
        made = begin(secured, name)
        path = f"/v1/envs/{made['token']}"
        for _ in range(2):
            secured.ask("participant", "POST", f"{path}/reset/")
            for action in ([9.0], [2.0], [2.0]):
                answer = secured.ask("participant", "POST", f"{path}/step/", {"action": action})
                if answer.status == 400:
                    assert name == "strict" and "above its limit of 2.0" in answer.json["message"]
                    secured.ask("participant", "POST", f"{path}/step/", {"action": [2.0]})
        secured.ask("participant", "POST", f"{path}/close/")
        told[name] = settled(secured, made["submission_id"])
        assert told[name]["verdict"] == "verified"
        opened = bundle.opened(secured.server.get(f"/submissions/{made['submission_id']}/bundle").body)
        assert verification.verify(opened.records, Catalogue()).state == VerdictState.VERIFIED
    # Practice seeds depend on the challenge's name, so only what was asked of the agent can be compared.
    assert [trial["steps"] for trial in told["lenient"]["trials"]] == [3, 3] and told["strict"]["steps"] == 6


HABITUAL = {"environment": "Habitual-v0", "trials": {"number": 2}, "scoring": {"worst": 0}, "max_episode_steps": 9}


@pytest.mark.long
def test_habits_that_repeat_are_verified_and_others_wait_for_the_organiser(start: Any) -> None:
    server: Server = start(ENVIRONMENT_MODULES=["tests.support.environments.habitual"])
    (server.data / "work" / "settings.txt").write_text("beside the environment")

    def graded(name: str, habits: tuple[str, ...]) -> dict[str, Any]:
        kwargs = {"habits": list(habits), "file": str(server.data)}
        assert server.post("/challenges/", {"definition": {**HABITUAL, "name": name, "kwargs": kwargs}}).status == 200
        made = server.post(f"/challenges/{name}/submissions/").json
        for _ in range(2):
            server.post(f"/v1/envs/{made['token']}/reset/")
            while not server.post(f"/v1/envs/{made['token']}/step/", {"action": 1}).json["done"]:
                pass
        server.post(f"/v1/envs/{made['token']}/close/")
        path = f"/submissions/{made['submission_id']}/"
        wait_for(lambda: server.get(path).json["state"] != "verifying")
        return dict(server.get(path).json)

    verified = graded("repeated", REPLAYED)
    assert (verified["state"], verified["verdict"]) == ("graded", "verified"), verified
    for habit, verb, state in (("pid", "accept", "graded"), ("clock", "void", "void")):
        told = graded(habit, (habit,))
        assert (told["state"], told["verdict"], told["rank"]) == ("not replayable", "not replayable", None), told
        assert "the process id" in told["verdict_reason"] if habit == "pid" else "the clock" in told["verdict_reason"]
        page = server.get(f"/boards/{habit}/submissions/{told['submission_id']}").body.decode()
        assert "the organiser decides" in page
        assert server.post(f"/submissions/{verified['submission_id']}/{verb}/").status == 409
        if verb == "accept":
            assert server.post(f"/submissions/{told['submission_id']}/accept/").json["state"] == state
        else:
            gym_http_server.main(["--data", str(server.data), "challenge", verb, told["submission_id"]])
            assert server.get(f"/submissions/{told['submission_id']}/").json["state"] == state
