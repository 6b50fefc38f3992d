"""Monitor files, as clients of OpenAI Gym's old monitor read them."""

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gymserve.errors import InvalidRequest
from gymserve.recording import monitor
from tests.servers import Server


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


def test_statistics_tell_each_finished_episode(server: Server) -> None:
    token = server.create("CartPole-v1", max_episode_steps=3)
    episode(server, token, 3)  # before the monitor: not its business
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


def test_closing_the_instance_closes_its_monitor(server: Server) -> None:
    token = server.create("CartPole-v1", max_episode_steps=2)
    start(server, token)
    episode(server, token, 2)
    assert server.post(f"/v1/envs/{token}/close/").status == 204
    assert files(server, token)[1]["episode_lengths"] == [2]


def test_a_second_monitor_and_a_close_without_one_are_conflicts(server: Server) -> None:
    token = server.create("CartPole-v1")
    assert server.post(f"/v1/envs/{token}/monitor/close/").status == 409
    assert start(server, token).status == 204
    assert start(server, token, force=True).status == 409


def test_earlier_results_are_kept_unless_told_otherwise(server: Server) -> None:
    token = server.create("CartPole-v1", max_episode_steps=1)
    for options, status in (({}, 204), ({}, 409), ({"resume": True}, 204), ({"force": True}, 204)):
        answer = start(server, token, **options)
        assert answer.status == status, answer.body
        if status == 204:
            episode(server, token, 1)
            assert server.post(f"/v1/envs/{token}/monitor/close/").status == 204
    assert files(server, token)[1]["episode_lengths"] == [1]  # force left only the last one's


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
    uploads = server.data / "uploads"
    before = set(uploads.iterdir()) if uploads.exists() else set()
    assert server.post("/v1/upload/", {**body, "api_key": "secret-key"}).status == 204
    (kept,) = set(uploads.iterdir()) - before
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
    monitor.begin(tmp_path, name, force=True)


@given(st.text())
def test_any_text_becomes_a_name(directory: str) -> None:
    name = monitor.label(directory)
    assert 0 < len(name) <= 80 and not name.startswith(".")


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_directories_have_different_names(one: str, other: str) -> None:
    assert (monitor.label(one) == monitor.label(other)) == (one == other)


@pytest.mark.parametrize(
    ("given_as", "every"), [(None, 0), (False, 0), (True, 1), (7, 7), (0, 0), ("true", 1), ("False", 0)]
)
def test_video_rules(given_as: Any, every: int) -> None:
    assert monitor.video_rule(given_as) == every


@pytest.mark.parametrize("given_as", [-1, 1.5, [], "often"])
def test_other_video_rules_are_refused(given_as: Any) -> None:
    with pytest.raises(InvalidRequest):
        monitor.video_rule(given_as)
