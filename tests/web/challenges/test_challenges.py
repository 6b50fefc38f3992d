"""Challenges over HTTP: their definitions, seeds, rules and verification."""

import time
from pathlib import Path
from typing import Any

import pytest

import gym_http_server
from gymserve import client
from gymserve.environments import Catalogue
from gymserve.grader.challenges import seeds
from gymserve.grader.challenges.states import VerdictState
from gymserve.grader.proofs import bundle, receipt, verification
from gymserve.journal import Reset, Step, read, records
from gymserve.journal.file import Journal
from tests.conftest import Secured
from tests.support.environments.habitual import REPLAYED
from tests.support.servers import Server, wait_for
from tests.web.challenges.playing import CART, bearer, begin, board, define, display_name, keep_pole, play, settled


@pytest.mark.guarantee("seeds are looked for in every answer, log and page")
def test_seeds_are_revealed_only_when_the_phase_is_over(secured: Secured, tmp_path: Path) -> None:
    challenge = define(
        secured, name="proven", trials={"number": 2, "variants": [{"options": {"low": -0.01357, "high": 0.01357}}]}
    )
    submission = begin(secured, "proven")
    play(secured, submission["token"])
    secured.ask("participant", "POST", f"/v1/envs/{submission['token']}/close/")
    graded = settled(secured, submission["submission_id"])
    assert graded["verdict"] == "verified"
    data = secured.server.data
    journal = data / "submissions" / submission["submission_id"]
    secret = [record.seed for record in read(journal) if isinstance(record, Reset)]
    observed = [record.digest for record in read(journal) if isinstance(record, (Reset, Step))]
    public = [
        secured.ask("participant", "GET", path).body.decode()
        for path in (
            f"/submissions/{submission['submission_id']}/", f"/submissions/{submission['submission_id']}/receipt",
            "/challenges/proven/", "/challenges/", "/challenges/proven/leaderboard", "/boards/proven", "/metrics",
        )
    ]  # fmt: skip
    assert not any(str(seed) in text or "0.01357" in text for seed in secret for text in public)
    assert not any(form in text for digest in observed for form in (str(digest), f"{digest:x}") for text in public)
    early = secured.ask("participant", "GET", f"/submissions/{submission['submission_id']}/bundle")
    assert early.status == 409 and "when the phase is over" in early.json["message"]
    video = f"/submissions/{submission['submission_id']}/media/video.webm"
    hidden = secured.ask("participant", "GET", video)
    assert hidden.status == 409 and "how the trials differ" in hidden.json["message"]
    assert secured.ask("organiser", "GET", video).status != 409

    key = secured.server.get("/signing-key").json["key"]
    signed = receipt.read(
        secured.ask("participant", "GET", f"/submissions/{submission['submission_id']}/receipt").body, trusted=[key]
    )
    assert signed.statement["score"] == graded["score"] and signed.statement["account"] == display_name(
        secured, "participant"
    )
    assert signed.statement["commitment"] == challenge["phases"][0]["commitment"]

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
    anyone = secured.server.get(f"/submissions/{submission['submission_id']}/bundle")
    opened = bundle.read(anyone.body, trusted=[key])
    assert verification.verify(opened.records, Catalogue()).state == VerdictState.VERIFIED


@pytest.mark.long
@pytest.mark.guarantee("a journal is changed on the disk")
def test_a_tampered_journal_never_ranks(start: Any) -> None:
    server: Server = start(AUTH="token")
    (_, organiser), (_, key) = server.account("o", "organiser"), server.account("a")
    server.post("/challenges/", {"definition": CART}, **bearer(organiser))
    secured = Secured(server, {}, {"participant": key, "organiser": organiser})
    submission = begin(secured, "cart")
    play(secured, submission["token"], trials=2)
    journal = server.data / "instances" / submission["token"] / "journal"
    server.kill()  # what follows needs access to the disk
    reopened, entries = Journal.reopen(journal, limit=2**20)
    last = [record for record in entries if isinstance(record, records.Step)][-1]
    reopened.append(
        records.encode_reset(records.Reset(None, 0, time.time(), entries[0].recipe.trials[2].seed, None, None))
    )
    for _ in range(11):
        reopened.append(records.encode_step(None, 0, last.action, 1.0, False, False, None))
    reopened.append(records.encode_step(None, 0, last.action, 1.0, False, True, time.time()))
    reopened.close()
    server.start()
    secured.ask("participant", "POST", f"/v1/envs/{submission['token']}/close/")
    row = settled(secured, submission["submission_id"])
    assert (row["state"], row["verdict"]) in (("failed", "mismatch"), ("void", ""))
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
    for name in ("x", "nowhere"):  # refused definitions leave nothing behind
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
    row = settled(secured, going_on["submission_id"])
    assert len(row["trials"]) == 3 and row["verdict"] == "verified"
    later = client.submit("changing", keep_pole, server=secured.server.url, token=secured.keys["other"], progress=False)
    assert (result.score, later.score) == (12.0, 5.0)
    best = {place["entrant"]: place["score"] for place in board(secured.server, "changing")}
    assert best[display_name(secured, "other")] == 12.0


def test_challenges_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "c.toml"
    file.write_text('name = "c"\nenvironment = "CartPole-v1"\nmax_episode_steps = 10\n[trials]\nnumber = 2\n')

    def command(*words: str) -> tuple[str, str]:
        """Return the command's standard output and standard error."""
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


@pytest.mark.long
def test_actions_are_refused_or_clipped_as_the_challenge_says(secured: Secured) -> None:
    pendulum = {"environment": "Pendulum-v1", "max_episode_steps": 3, "trials": {"number": 2}, "phases": [
        {"name": "try", "kind": "practice"},
    ]}  # fmt: skip
    define(secured, name="strict", **pendulum)
    define(secured, name="lenient", actions="clip", **pendulum)
    rows = {}
    for name in ("strict", "lenient"):
        submission = begin(secured, name)
        path = f"/v1/envs/{submission['token']}"
        for _ in range(2):
            secured.ask("participant", "POST", f"{path}/reset/")
            for action in ([9.0], [2.0], [2.0]):
                answer = secured.ask("participant", "POST", f"{path}/step/", {"action": action})
                if answer.status == 400:
                    assert name == "strict" and "above its limit of 2.0" in answer.json["message"]
                    secured.ask("participant", "POST", f"{path}/step/", {"action": [2.0]})
        secured.ask("participant", "POST", f"{path}/close/")
        rows[name] = settled(secured, submission["submission_id"])
        assert rows[name]["verdict"] == "verified"
        opened = bundle.read(secured.server.get(f"/submissions/{submission['submission_id']}/bundle").body)
        assert verification.verify(opened.records, Catalogue()).state == VerdictState.VERIFIED
    # Practice seeds depend on the challenge's name, so only the numbers of steps can be compared.
    assert [trial["steps"] for trial in rows["lenient"]["trials"]] == [3, 3] and rows["strict"]["steps"] == 6


HABITUAL = {"environment": "Habitual-v0", "trials": {"number": 2}, "scoring": {"worst": 0}, "max_episode_steps": 9}


@pytest.mark.long
def test_habits_that_repeat_are_verified_and_others_wait_for_the_organiser(start: Any) -> None:
    server: Server = start(ENVIRONMENT_MODULES=["tests.support.environments.habitual"])
    (server.data / "work" / "settings.txt").write_text("beside the environment")

    def graded(name: str, habits: tuple[str, ...]) -> dict[str, Any]:
        kwargs = {"habits": list(habits), "file": str(server.data)}
        assert server.post("/challenges/", {"definition": {**HABITUAL, "name": name, "kwargs": kwargs}}).status == 200
        submission = server.post(f"/challenges/{name}/submissions/").json
        for _ in range(2):
            server.post(f"/v1/envs/{submission['token']}/reset/")
            while not server.post(f"/v1/envs/{submission['token']}/step/", {"action": 1}).json["done"]:
                pass
        server.post(f"/v1/envs/{submission['token']}/close/")
        path = f"/submissions/{submission['submission_id']}/"
        wait_for(lambda: server.get(path).json["state"] != "verifying")
        return dict(server.get(path).json)

    verified = graded("repeated", REPLAYED)
    assert (verified["state"], verified["verdict"]) == ("graded", "verified"), verified
    for habit, verb, state in (("pid", "accept", "graded"), ("clock", "void", "void")):
        row = graded(habit, (habit,))
        assert (row["state"], row["verdict"], row["rank"]) == ("not replayable", "not replayable", None), row
        assert "the process id" in row["verdict_reason"] if habit == "pid" else "the clock" in row["verdict_reason"]
        page = server.get(f"/boards/{habit}/submissions/{row['submission_id']}").body.decode()
        assert "the organiser decides" in page
        assert server.post(f"/submissions/{verified['submission_id']}/{verb}/").status == 409
        if verb == "accept":
            assert server.post(f"/submissions/{row['submission_id']}/accept/").json["state"] == state
        else:
            gym_http_server.main(["--data", str(server.data), "challenge", verb, row["submission_id"]])
            assert server.get(f"/submissions/{row['submission_id']}/").json["state"] == state
