"""Videos of monitored episodes: which episodes have one, their file names, and the manifest."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recording.test_video import frames
from tests.support.servers import Server, wait_for


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    modules = ["tests.support.environments.painting"]
    started = Server(tmp_path_factory.mktemp("data"), MEDIA=True, ENVIRONMENT_MODULES=modules)
    yield started
    assert started.stop() == 0


def play_monitored(server: Server, token: str, episodes: int, **options: Any) -> Path:
    """Plays episodes while a monitor is open, and closes it; returns the monitor's folder."""
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
    """The manifest's videos once no job is left."""
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
def test_every_nth_episode_has_a_video(recorder: Server, rule: Any, wanted: list[int]) -> None:
    token = recorder.create("CartPole-v1", max_episode_steps=6)
    recorder.post(f"/v1/envs/{token}/reset/")  # before the monitor: not one of its episodes
    folder = play_monitored(recorder, token, 4, video_callable=rule)
    assert manifest(folder)["videos"] == []  # closing does not wait for videos
    listed = videos(recorder, folder)
    stem = manifest(folder)["stats"].replace("episode_batch", "video").removesuffix(".stats.json")
    assert listed == [[f"{stem}.video{index:06}.mp4", f"{stem}.video{index:06}.meta.json"] for index in wanted]
    for (name, meta), index in zip(listed, wanted, strict=True):
        about = json.loads((folder / meta).read_text())
        assert (about["episode_id"], about["content_type"], about["agrees"]) == (index, "video/mp4", True)
        assert len(frames(folder / name)) == about["frames"] > 1
    assert recorder.post(f"/v1/envs/{token}/reset/").status == 200  # the instance stays


def test_without_video_callable_there_are_no_videos(recorder: Server) -> None:
    token = recorder.create("CartPole-v1", max_episode_steps=3)
    folder = play_monitored(recorder, token, 2)
    assert not [*(recorder.data / "media").glob("orders/*")] and manifest(folder)["videos"] == []


@pytest.mark.long
def test_a_closed_instance_still_gets_its_videos(recorder: Server) -> None:
    token = recorder.create("FrozenLake-v1", max_episode_steps=5)
    play_monitored(recorder, token, 1, video_callable=True)
    assert recorder.post(f"/v1/envs/{token}/close/").status == 204
    wait_for(lambda: not [*(recorder.data / "media" / "orders").glob("2-*")], 300)
    assert len(manifest(recorder.data / "closed" / token / "monitor" / "tmp")["videos"]) == 1


@pytest.mark.long
def test_closing_the_instance_later_keeps_the_manifests_videos(recorder: Server) -> None:
    token = recorder.create("CartPole-v1", max_episode_steps=4)
    before = videos(recorder, play_monitored(recorder, token, 2, video_callable=True))
    assert recorder.post(f"/v1/envs/{token}/close/").status == 204
    after = videos(recorder, recorder.data / "closed" / token / "monitor" / "tmp")
    assert after == before and len(after) == 2


@pytest.mark.guarantee("an environment crashes, leaks or fails while it is rendered")
def test_a_video_that_cannot_be_made_says_why_beside_the_others(recorder: Server) -> None:
    token = recorder.create("Hidden-v0")
    folder = play_monitored(recorder, token, 1, video_callable=True)
    assert videos(recorder, folder) == []
    (meta,) = folder.glob("*.meta.json")
    assert json.loads(meta.read_text())["failed"] == "Hidden-v0 makes no pictures"


@pytest.mark.long
@pytest.mark.guarantee("an environment crashes, leaks or fails while it is rendered")
def test_a_video_that_crashes_the_worker_is_given_up_and_others_are_made(recorder: Server) -> None:
    crashing = play_monitored(recorder, recorder.create("Crashing-v0"), 1, video_callable=True)
    well = play_monitored(recorder, recorder.create("Painting-v0"), 1, video_callable=True)
    assert videos(recorder, crashing) == [] and len(videos(recorder, well)) == 1
    (meta,) = crashing.glob("*.meta.json")
    assert "rendering ended the process" in json.loads(meta.read_text())["failed"]


@pytest.mark.long
def test_force_deletes_earlier_videos(recorder: Server) -> None:
    token = recorder.create("CartPole-v1", max_episode_steps=4)
    folder = play_monitored(recorder, token, 1, video_callable=True)
    assert len(videos(recorder, folder)) == 1
    folder = play_monitored(recorder, token, 1, video_callable=False)
    assert not [*folder.glob("*.mp4")] and videos(recorder, folder) == []


def test_a_vector_instance_has_statistics_but_no_videos(recorder: Server) -> None:
    token = recorder.create("CartPole-v1", num_envs=2)
    recorder.post(f"/v1/envs/{token}/monitor/start/", {"directory": "tmp", "video_callable": True})
    recorder.post(f"/v1/envs/{token}/reset/")
    assert recorder.post(f"/v1/envs/{token}/monitor/close/").status == 204
    folder = next(recorder.data.glob(f"instances/{token}/monitor/tmp"))
    assert videos(recorder, folder) == []
