"""Recordings in an S3-compatible bucket, with moto's server as a real process: uploaded, read in parts, and never lost."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest

from gymserve.outside import bucket
from gymserve.protocol.errors import NotFound, SettingsError, Unavailable
from gymserve.recording.media import MADE, Media
from gymserve.recording.recordings import TYPES, keys
from gymserve.settings import Settings
from tests.recording.test_worker import Data, Start, until, work
from tests.support.buckets import SECRET, Moto
from tests.support.servers import Server, wait_for

__all__ = ["work"]  # a fixture


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    server = Moto()
    yield server
    server.stop()


def test_files_have_our_key_and_the_old_graders_key() -> None:
    assert keys("s1", 20, "video.gif") == ["submissions/s1/video.gif", "challenge_20/s1.gif"]
    assert keys("s1", 20, "video.mp4") == ["submissions/s1/video.mp4", "challenge_20/s1.mp4"]
    assert keys("s1", 20, "thumbnail.mp4") == ["submissions/s1/thumbnail.mp4", "challenge_20/s1_thumb.mp4"]
    assert keys("s1", 20, "video.webm") == ["submissions/s1/video.webm"]


@pytest.mark.long
def test_videos_are_uploaded_to_the_bucket_and_read_from_it(tmp_path: Path, moto: Moto, work: Start) -> None:
    data = Data(tmp_path, **moto.settings)
    data.submit("stored", "Painting-v0")
    until(data, work, lambda: not data.media.has_work())
    status = data.media.status("stored")
    assert status["state"] == MADE and not status["reason"]
    wanted = {key for kind in TYPES for key in keys("stored", 7, kind)}
    assert wanted <= moto.names()
    assert [path.name for path in (tmp_path / "media" / "stored").iterdir()] == ["media.json"]
    file, size = data.media.open("stored", "video.mp4")
    whole = file.read()
    assert len(whole) == size == status["files"]["video.mp4"] and whole[4:8] == b"ftyp"
    file.seek(size - 100)
    assert file.read(50) == whole[-100:-50]
    file.close()
    assert obstore.get(moto.store, "challenge_7/stored.gif").attributes["Content-Type"] == "image/gif"
    with pytest.raises(NotFound):
        data.media.open("stored", "../../secret")
    with pytest.raises(NotFound):
        data.media.open("other", "video.mp4")


def test_removed_submissions_are_deleted_from_the_bucket_too(tmp_path: Path, moto: Moto) -> None:
    media = Media.of(Settings(MEDIA=True, **moto.settings), tmp_path)
    for name in ("old", "young"):
        (media.submissions.draft(name) / "video.mp4").write_bytes(b"x")
        media.submissions.publish(name, {"state": MADE})
        media.submissions.upload(name, 7)
    wanted = {key: {*keys(key, 7, "video.mp4")} for key in ("old", "young")}
    assert wanted["old"] | wanted["young"] <= moto.names()
    media.remove_submission("old", 7)
    assert not wanted["old"] & moto.names() and wanted["young"] <= moto.names()
    media.remove_submission("old", 7)  # a second time does nothing
    assert [path.name for path in (tmp_path / "media").iterdir()] == ["young"]


def test_videos_of_deleted_experiments_are_deleted(tmp_path: Path) -> None:
    media = Media(tmp_path)
    for name in ("kept", "old", "young"):
        media.experiments.draft(name)
        media.experiments.publish(name, {"state": MADE})
    for name in ("kept", "old"):
        os.utime(tmp_path / "media" / "experiments" / name, (0, 0))
    media.sweep_experiments({"kept"}, 7.0)
    assert {path.name for path in (tmp_path / "media" / "experiments").iterdir()} == {"kept", "young"}


@pytest.mark.guarantee("the bucket is away")
def test_videos_wait_for_a_bucket_that_is_down(tmp_path: Path, work: Start) -> None:
    moto = Moto()
    moto.stop()
    data = Data(tmp_path, **moto.settings)
    data.submit("waiting", "Painting-v0")
    work(data)
    status = wait_for(lambda: data.media.status("waiting")["reason"] and data.media.status("waiting"), 300)
    assert status["state"] == MADE and "waiting to be stored: the bucket videos at 127.0.0.1" in status["reason"]
    file, size = data.media.open("waiting", "video.webm")  # it can be watched nevertheless
    file.close()
    moto.start()
    wait_for(lambda: data.media.jobs.find("submission", "waiting") is None, 300)
    assert "submissions/waiting/video.webm" in moto.names() and not data.media.status("waiting")["reason"]
    reopened, again = data.media.open("waiting", "video.webm")
    reopened.close()
    assert again == size
    moto.stop()
    with pytest.raises(Unavailable) as raised:
        data.media.open("waiting", "video.webm")
    assert SECRET not in str(raised.value)


def test_errors_of_a_missing_bucket_reveal_no_secret(tmp_path: Path, moto: Moto) -> None:
    store = bucket.of(Settings(**{**moto.settings, "S3_BUCKET": "nothing"}))
    assert store is not None
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(Unavailable, match="the bucket nothing") as raised:
        store.put("key", tmp_path / "file", "text/plain")
    assert SECRET not in str(raised.value) and raised.value.__cause__ is None


def test_an_endpoint_must_be_an_http_address(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="S3_ENDPOINT"):
        Media.of(Settings(S3_ENDPOINT="file:///etc"), tmp_path)


@pytest.mark.long
def test_a_server_serves_files_from_the_bucket_and_reveals_no_secret(start: Any, moto: Moto) -> None:
    server: Server = start(MEDIA=True, LOG_LEVEL="debug", **moto.settings)
    challenge = {"name": "cart", "environment": "CartPole-v1", "max_episode_steps": 5, "trials": {"number": 1}}
    assert server.post("/challenges/", {"definition": challenge}).status == 200
    made = server.post("/challenges/cart/submissions/").json
    server.post(f"/v1/envs/{made['token']}/reset/")
    while not server.post(f"/v1/envs/{made['token']}/step/", {"action": 1}).json["done"]:
        pass
    server.post(f"/v1/envs/{made['token']}/close/")
    path = f"/submissions/{made['submission_id']}/media"
    wait_for(lambda: f"submissions/{made['submission_id']}/video.webm" in moto.names(), 300)
    wait_for(lambda: not (server.data / "media" / made["submission_id"] / "video.webm").exists())
    whole = server.get(f"{path}/video.webm")
    part = server.get(f"{path}/video.webm", Range="bytes=10-19")
    assert whole.status == 200 and (part.status, part.body) == (206, whole.body[10:20])
    shown = server.get(f"{path}/").body.decode() + "".join(server.output)
    assert SECRET not in shown
