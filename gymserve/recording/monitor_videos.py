"""Videos of monitored episodes, beside the monitor's other files, under the names that OpenAI Gym's monitor gave them."""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gymserve.environments import Catalogue
from gymserve.journal import Episode, Record, episodes_of, read, recipe_of
from gymserve.protocol.errors import GymserveError, StorageFull
from gymserve.recording import monitor
from gymserve.recording.jobs import Order
from gymserve.recording.video import rendering
from gymserve.system.files import replacing, write_whole

MOST = 1000  # videos of one monitor
log = logging.getLogger("gymserve.recording")


def shoot_next(
    order: Order,
    data: Path,
    catalogue: Catalogue,
    *,
    seconds: float,
    work_seconds: float,
    skip: str = "",
    progress: rendering.Progress = lambda made, number: None,
) -> bool:
    """Makes the next of a monitor's videos that is not there yet, and notes it in the manifest; whether there was one.

    One that cannot be made is noted in its `.meta.json`, under "failed".

    Args:
        seconds: how long it may be.
        work_seconds: how long making it may take.
        skip: why the next one is not to be made.
    """
    places = [data / kind / order.subject for kind in ("instances", "closed")]
    folder = next((place for place in places if (place / "journal").exists()), None)
    if folder is None:
        return False
    records = list(read(folder / "journal"))
    suffix = monitor.suffix_of(order.monitor, recipe_of(records))
    files = folder / "monitor" / order.directory
    manifest = monitor.manifest_of(files, suffix)
    for index, episode in episodes(records, order.monitor, order.every):
        name = f"{monitor.PREFIX}video.{suffix}.video{index:06}"
        if not manifest.exists():
            return False  # another monitor's `force` removed it
        if not (files / f"{name}.meta.json").exists():
            about: dict[str, Any] = {"episode_id": index, "content_type": "video/mp4"}
            if skip:
                about["failed"] = skip
            else:
                reel = rendering.Film(order.title, [episode], "episode", None, seconds, work_seconds)
                about |= _shoot(reel, catalogue, files, name, progress)
            write_whole(files / f"{name}.meta.json", json.dumps(about))
            _note(manifest, files)
            return True
    return False


def episodes(records: Sequence[Record], number: int, every: int) -> list[tuple[int, Episode]]:
    """(its index in the monitor's run, the episode) of those that have a step and of which a video is wanted."""
    run = monitor.run_of(records, number)
    if run is None:
        return []
    inside = [episode for episode in episodes_of(records[: run.end]) if episode.place > run.start]
    wanted = [(index, episode) for index, episode in enumerate(inside) if index % every == 0 and episode.steps]
    return wanted[:MOST]


def _shoot(
    reel: rendering.Film, catalogue: Catalogue, files: Path, name: str, progress: rendering.Progress
) -> dict[str, Any]:
    """Makes the file, and returns what there is to tell of it."""
    try:
        with replacing(files / f"{name}.mp4") as fresh:
            return rendering.shoot(reel, catalogue, files, [fresh.name], progress=progress)
    except StorageFull:
        raise
    except GymserveError as error:
        log.warning("%s cannot be filmed: %s", name, error)
        return {"failed": str(error)}
    except Exception as error:  # an encoder's, a picture library's
        if shutil.disk_usage(files).free < 1 << 20:
            raise StorageFull("videos cannot be written: the disk is full") from error
        return {"failed": f"making it raised {type(error).__name__}"}


def _note(manifest: Path, files: Path) -> None:
    """Writes into the manifest which videos there are."""
    told = json.loads(manifest.read_text())
    suffix = manifest.name.removeprefix(f"{monitor.PREFIX}manifest.").removesuffix(".manifest.json")
    videos = sorted(path.name for path in files.glob(f"{monitor.PREFIX}video.{suffix}.video*.mp4"))
    told["videos"] = [[name, f"{name.removesuffix('.mp4')}.meta.json"] for name in videos]
    write_whole(manifest, json.dumps(told))
