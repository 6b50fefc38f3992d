"""Videos of monitored episodes: which ones, under which names, and in the manifest."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recording.test_video import frames
from tests.support.servers import Server, wait_for


@pytest.fixture(scope="module")
def filming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    modules = ["tests.support.environments.painting"]
    started = Server(tmp_path_factory.mktemp("data"), MEDIA=True, ENVIRONMENT_MODULES=modules)
    yield started
    assert started.stop() == 0


def monitored(server: Server, token: str, episodes: int, **options: Any) -> Path:
    """Plays so many episodes while a monitor is open, which is then closed; returns the monitor's folder."""
    begun = server.post(f"/v1/envs/{token}/monitor/start/", {"directory": "tmp", "force": True, **options})
    assert begun.status == 204, begun.body
    for _ in range(episodes):
        server.post(f"/v1/envs/{token}/reset/")
        while not server.post(f"/v1/envs/{token}/step/", {"action": 1}).json["done"]:
            pass
    assert server.post(f"/v1/envs/{token}/monitor/close/").status == 204
    return next(server.data.glob(f"instances/{token}/monitor/tmp"))


def manifest(folder: Path) -> dict[str, Any]:
    return dict(json.loads(next(folder.glob("openaigym.manifest.*.manifest.json")).read_text()))


def videos(server: Server, folder: Path) -> list[list[str]]:
    """What the manifest names when no order is left."""
    wait_for(lambda: not [*(server.data / "media" / "orders").glob("2-*")], 300)
    return list(manifest(folder)["videos"])


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (3, [0, 3]),
        pytest.param(True, [0, 1, 2, 3], marks=pytest.mark.long),
        pytest.param("true", [0, 1, 2, 3], marks=pytest.mark.long),
    ],
)
def test_every_nth_episode_has_a_video(filming: Server, rule: Any, wanted: list[int]) -> None:
    token = filming.create("CartPole-v1", max_episode_steps=6)
    filming.post(f"/v1/envs/{token}/reset/")  # before the monitor: not its business
    folder = monitored(filming, token, 4, video_callable=rule)
    assert manifest(folder)["videos"] == []  # closing waits for no video
    found = videos(filming, folder)
    stem = manifest(folder)["stats"].replace("episode_batch", "video").removesuffix(".stats.json")
    assert found == [[f"{stem}.video{index:06}.mp4", f"{stem}.video{index:06}.meta.json"] for index in wanted]
    for (name, meta), index in zip(found, wanted, strict=True):
        about = json.loads((folder / meta).read_text())
        assert (about["episode_id"], about["content_type"], about["agrees"]) == (index, "video/mp4", True)
        assert len(frames(folder / name)) == about["frames"] > 1
    assert filming.post(f"/v1/envs/{token}/reset/").status == 200  # the instance stays


def test_without_a_rule_there_is_none(filming: Server) -> None:
    token = filming.create("CartPole-v1", max_episode_steps=3)
    folder = monitored(filming, token, 2)
    assert not [*(filming.data / "media").glob("orders/*")] and manifest(folder)["videos"] == []


@pytest.mark.long
def test_an_instance_that_is_closed_has_its_videos_too(filming: Server) -> None:
    token = filming.create("FrozenLake-v1", max_episode_steps=5)
    monitored(filming, token, 1, video_callable=True)
    assert filming.post(f"/v1/envs/{token}/close/").status == 204
    wait_for(lambda: not [*(filming.data / "media" / "orders").glob("2-*")], 300)
    assert len(manifest(filming.data / "closed" / token / "monitor" / "tmp")["videos"]) == 1


@pytest.mark.long
def test_closing_the_instance_later_takes_no_video_from_the_manifest(filming: Server) -> None:
    token = filming.create("CartPole-v1", max_episode_steps=4)
    found = videos(filming, monitored(filming, token, 2, video_callable=True))
    assert filming.post(f"/v1/envs/{token}/close/").status == 204
    assert videos(filming, filming.data / "closed" / token / "monitor" / "tmp") == found and len(found) == 2


@pytest.mark.guarantee("an environment crashes, leaks or fails while it is filmed")
def test_a_video_that_cannot_be_made_says_why_beside_the_others(filming: Server) -> None:
    token = filming.create("Hidden-v0")
    folder = monitored(filming, token, 1, video_callable=True)
    assert videos(filming, folder) == []
    (meta,) = folder.glob("*.meta.json")
    assert json.loads(meta.read_text())["failed"] == "Hidden-v0 makes no pictures"


@pytest.mark.long
@pytest.mark.guarantee("an environment crashes, leaks or fails while it is filmed")
def test_one_that_ends_the_process_is_given_up_and_others_follow(filming: Server) -> None:
    crashing = monitored(filming, filming.create("Crashing-v0"), 1, video_callable=True)
    well = monitored(filming, filming.create("Painting-v0"), 1, video_callable=True)
    assert videos(filming, crashing) == [] and len(videos(filming, well)) == 1
    (meta,) = crashing.glob("*.meta.json")
    assert "rendering ended the process" in json.loads(meta.read_text())["failed"]


@pytest.mark.long
def test_force_leaves_no_earlier_videos(filming: Server) -> None:
    token = filming.create("CartPole-v1", max_episode_steps=4)
    folder = monitored(filming, token, 1, video_callable=True)
    assert len(videos(filming, folder)) == 1
    folder = monitored(filming, token, 1, video_callable=False)
    assert not [*folder.glob("*.mp4")] and videos(filming, folder) == []


def test_a_vector_instance_has_statistics_only(filming: Server) -> None:
    token = filming.create("CartPole-v1", num_envs=2)
    filming.post(f"/v1/envs/{token}/monitor/start/", {"directory": "tmp", "video_callable": True})
    filming.post(f"/v1/envs/{token}/reset/")
    assert filming.post(f"/v1/envs/{token}/monitor/close/").status == 204
    folder = next(filming.data.glob(f"instances/{token}/monitor/tmp"))
    assert videos(filming, folder) == []
