"""Monitor files in the format of OpenAI Gym's old monitor."""

import json
import os
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gymserve.hosts import folders
from gymserve.hosts.supervisor.quotas import Quotas
from gymserve.hosts.supervisor.settings import QuotaSettings
from gymserve.journal import Closed, Created, Monitored, Record, Reset, Step
from gymserve.protocol.errors import InvalidRequest, LimitReached
from gymserve.protocol.recipe import Recipe
from gymserve.recording import monitor
from gymserve.settings import Settings
from tests.support.servers import Server


def files(server: Server, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(manifest, statistics) of an instance's only monitor."""
    folder = next(server.data.glob(f"*/{token}/monitor/*"))
    manifest = json.loads(next(folder.glob("openaigym.manifest.*.manifest.json")).read_text())
    return manifest, json.loads((folder / manifest["stats"]).read_text())


def episode(server: Server, token: str, steps: int) -> list[Any]:
    server.post(f"/v1/envs/{token}/reset/")
    return [server.post(f"/v1/envs/{token}/step/", {"action": 1}).json for _ in range(steps)]


def start(server: Server, token: str, **options: Any) -> Any:
    return server.post(f"/v1/envs/{token}/monitor/start/", {"directory": "/tmp/random-agent-results", **options})


def test_statistics_list_each_finished_episode(server: Server) -> None:
    token = server.create("CartPole-v1", max_episode_steps=3)
    episode(server, token, 3)  # before the monitor: not in its statistics
    assert start(server, token).status == 204
    for _ in range(2):
        assert episode(server, token, 3)[-1]["done"]
    episode(server, token, 1)  # not finished
    closed = server.post(f"/v1/envs/{token}/monitor/close/")
    assert closed.status == 204 and closed.headers["Content-Type"].startswith("text/html")
    manifest, stats = files(server, token)
    assert stats["episode_lengths"] == [3, 3] and stats["episode_rewards"] == [3.0, 3.0]
    assert len(stats["episode_types"]) == 3 and len(stats["timestamps"]) == 2
    assert stats["initial_reset_timestamp"] <= stats["timestamps"][0] <= stats["timestamps"][1]
    assert manifest["videos"] == [] and manifest["env_info"]["env_id"] == "CartPole-v1"
    assert server.post(f"/v1/envs/{token}/step/", {"action": 1}).status == 200  # the instance stays


def test_a_journal_without_a_monitor_is_not_read(tmp_path: Path) -> None:
    media: Any = None
    monitor.write(tmp_path, media)  # there is no journal to read
    (tmp_path / "monitor").mkdir()
    with pytest.raises(FileNotFoundError):
        monitor.write(tmp_path, media)


def test_closing_the_instance_closes_its_monitor(server: Server) -> None:
    token = server.create("CartPole-v1", max_episode_steps=2)
    start(server, token)
    episode(server, token, 2)
    assert server.post(f"/v1/envs/{token}/close/").status == 204
    assert files(server, token)[1]["episode_lengths"] == [2]


def test_a_second_monitor_and_closing_none_are_conflicts(server: Server) -> None:
    token = server.create("CartPole-v1")
    assert server.post(f"/v1/envs/{token}/monitor/close/").status == 409
    assert start(server, token).status == 204
    assert start(server, token, force=True).status == 409


def test_earlier_results_are_kept_without_force(server: Server) -> None:
    token = server.create("CartPole-v1", max_episode_steps=1)
    for options, status in (({}, 204), ({}, 409), ({"resume": True}, 204), ({"force": True}, 204)):
        answer = start(server, token, **options)
        assert answer.status == status, answer.body
        if status == 204:
            episode(server, token, 1)
            assert server.post(f"/v1/envs/{token}/monitor/close/").status == 204
    assert files(server, token)[1]["episode_lengths"] == [1]  # force deleted the earlier ones


def test_lua_sends_booleans_as_strings(server: Server) -> None:
    token = server.create("CartPole-v1")
    assert start(server, token, force="true", resume="false", video_callable="false").status == 204


def test_upload_keeps_the_results_and_needs_a_key(server: Server) -> None:
    token = server.create("CartPole-v1", max_episode_steps=1)
    start(server, token)
    episode(server, token, 1)
    server.post(f"/v1/envs/{token}/monitor/close/")
    body = {"training_dir": "/tmp/random-agent-results", "algorithm_id": "random"}
    refused = server.post("/v1/upload/", body)
    assert refused.status == 400 and "'api_key'" in refused.json["message"]
    uploads = server.data / "uploads" / "0"  # uploads without an account
    for _ in range(3):  # each replaces the one before
        assert server.post("/v1/upload/", {**body, "api_key": "secret-key"}).status == 204
    (kept,) = [path for path in uploads.iterdir() if path.name.startswith("tmp_random-agent-results")]
    assert json.loads((kept / "upload.json").read_text()) == {"algorithm_id": "random"}
    assert not [path for path in kept.iterdir() if "secret-key" in path.read_text()]
    assert server.post("/v1/upload/", {"training_dir": "never-seen", "api_key": "k"}).status == 400


@pytest.mark.parametrize(
    "directory",
    [
        "../../escape",
        "/etc",
        "~",
        "~root/x",
        "a/../../b",
        "x" * 5000,
        "nul\0nul",
        "C:\\Windows",
        "con",
        ".",
        "..",
        "ä/ö",
    ],
)
def test_a_directory_never_leaves_the_instance(directory: str, tmp_path: Path) -> None:
    name = monitor.label(directory)
    assert (tmp_path / name).resolve().parent == tmp_path and set(name) <= set(
        string.ascii_letters + string.digits + "._-"
    )
    monitor.prepare(tmp_path, name)


@given(st.text())
def test_any_text_becomes_a_folder_name(directory: str) -> None:
    name = monitor.label(directory)
    assert 0 < len(name) <= 80 and not name.startswith(".")


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_directories_have_different_names(one: str, other: str) -> None:
    assert (monitor.label(one) == monitor.label(other)) == (one == other)


@pytest.mark.guarantee("an account fills the disk, whatever it uses for that")
def test_uploads_have_an_owner_a_limit_and_an_end(tmp_path: Path) -> None:
    run = tmp_path / "closed" / "s0.7-abcdefghijklmnopqrstuv" / "monitor" / "results"
    run.mkdir(parents=True)
    (run / "openaigym.manifest.1.1.manifest.json").write_text("{}")
    (run / "filler").write_bytes(bytes(3 << 20))
    with pytest.raises(InvalidRequest):
        monitor.keep(tmp_path, "results", algorithm=None, account=8, owner=8)
    for _ in range(3):
        monitor.keep(tmp_path, "results", algorithm=None, account=7, owner=7)
    kept = tmp_path / "uploads" / "7" / "results"
    assert [path.name for path in kept.parent.iterdir()] == ["results"]
    assert folders.storage(tmp_path)[7] > 6 << 20
    quotas = Quotas(Settings(ACCOUNT_STORAGE_MB=5).pick(QuotaSettings))
    quotas.measure_storage(tmp_path)
    with pytest.raises(LimitReached, match="ACCOUNT_STORAGE_MB = 5"):
        quotas.admit_storage(7)
    quotas.admit_storage(8)
    quotas.admit_storage(0)
    folders.remove_old(tmp_path, 1.0)
    assert kept.exists()
    os.utime(kept, (0, 0))
    folders.remove_old(tmp_path, 1.0)
    assert not kept.exists()


def test_a_monitor_that_cannot_be_started_leaves_the_instance_without_one(server: Server) -> None:
    token = server.create("CartPole-v1")
    folder = server.data / "instances" / token / "monitor"
    folder.write_text("")  # no folder can be made there, as on a full disk
    assert start(server, token).status >= 500
    folder.unlink()
    assert start(server, token).status == 204
    unknown = "s0-" + "A" * 22
    assert start(server, unknown).status == 400 and not (server.data / "instances" / unknown).exists()


def test_a_run_spans_the_time_when_its_monitor_was_open() -> None:
    def played(time: float, rewards: list[float]) -> list[Record]:
        last = len(rewards) - 1
        steps = [Step(None, 0, 0, r, n == last, False, time if n == last else None) for n, r in enumerate(rewards)]
        return [Reset(None, 0, time - 1, 1, None, None), *steps]

    kept: list[Record] = [
        Created(Recipe(env_id="CartPole-v1", environment="CartPole-v1")), *played(1.0, [1.0]),
        Monitored({"directory": "a"}, 1.5), *played(2.0, [1.0, 2.0]), Monitored(None, 2.5), *played(3.0, [4.0]),
        Monitored({"directory": "b", "video_callable": 2}, 3.5), *played(4.0, [8.0]), Closed("idle", 5.0),
    ]  # fmt: skip
    one, two = monitor.run_of(kept, 1), monitor.run_of(kept)
    assert one is not None and (one.number, one.directory, one.every) == (1, "a", 0)
    assert two is not None and (two.number, two.directory, two.every) == (2, "b", 2)
    assert monitor.run_of(kept, 3) is monitor.run_of(kept[:3]) is None
    assert [monitor._statistics(kept, run)["episode_rewards"] for run in (one, two)] == [[3.0], [8.0]]
    assert monitor._statistics(kept, one)["episode_types"] == ["t"]
