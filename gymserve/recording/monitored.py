"""Videos of monitored episodes, beside the monitor's other files, under the names that OpenAI Gym's monitor gave them."""

import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gymserve.environments import Catalogue
from gymserve.errors import GymserveError, StorageFull
from gymserve.journal import Closed, Monitored, Record, read
from gymserve.recording import film, monitor
from gymserve.recording.episodes import Episode, episodes_of, meta_of
from gymserve.recording.orders import Order
from gymserve.settings import Settings

MOST = 1000  # videos of one monitor
log = logging.getLogger("gymserve.recording")


def shoot_next(
    order: Order,
    data: Path,
    catalogue: Catalogue,
    settings: Settings,
    *,
    skip: str = "",
    progress: film.Progress = lambda made, number: None,
) -> bool:
    """Makes the next of a monitor's videos that is not there yet, and notes it in the manifest; whether there was one.

    One that cannot be made is noted in its `.meta.json`, under "failed".

    Args:
        skip: why the next one is not to be made.
    """
    places = [data / kind / order.subject for kind in ("instances", "closed")]
    folder = next((place for place in places if (place / "journal").exists()), None)
    if folder is None:
        return False
    records = list(read(folder / "journal"))
    suffix = monitor.suffix_of(order.monitor, meta_of(records))
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
                limits = (settings.MEDIA_SECONDS, settings.MEDIA_WORK_SECONDS)
                reel = film.Film(order.title, [episode], "episode", None, *limits)
                about |= _shoot(reel, catalogue, files, name, progress)
            monitor.replace(files / f"{name}.meta.json", about)
            _note(manifest, files)
            return True
    return False


def episodes(records: Sequence[Record], number: int, every: int) -> list[tuple[int, Episode]]:
    """(its index in the monitor's run, the episode) of those that have a step and of which a video is wanted."""
    start, end, seen = None, len(records), 0
    for place, record in enumerate(records):
        if isinstance(record, Monitored) and record.options is not None:
            seen += 1
            start = place if seen == number else start
        elif isinstance(record, (Monitored, Closed)) and seen == number and start is not None:
            end = place
            break
    if start is None:
        return []
    run = [episode for episode in episodes_of(records[:end]) if episode.place > start]
    wanted = [(index, episode) for index, episode in enumerate(run) if index % every == 0 and episode.steps]
    return wanted[:MOST]


def _shoot(reel: film.Film, catalogue: Catalogue, files: Path, name: str, progress: film.Progress) -> dict[str, Any]:
    """Makes the file, and returns what there is to tell of it."""
    fresh = files / f".{name}.mp4"
    try:
        about = film.shoot(reel, catalogue, files, [fresh.name], progress=progress)
        os.replace(fresh, files / f"{name}.mp4")
        return about
    except StorageFull:
        raise
    except GymserveError as error:
        log.warning("%s cannot be filmed: %s", name, error)
        return {"failed": str(error)}
    except Exception as error:  # an encoder's, a picture library's
        if shutil.disk_usage(files).free < 1 << 20:
            raise StorageFull("videos cannot be written: the disk is full") from error
        return {"failed": f"making it raised {type(error).__name__}"}
    finally:
        fresh.unlink(missing_ok=True)


def _note(manifest: Path, files: Path) -> None:
    """Writes into the manifest which videos there are."""
    told = json.loads(manifest.read_text())
    suffix = manifest.name.removeprefix(f"{monitor.PREFIX}manifest.").removesuffix(".manifest.json")
    videos = sorted(path.name for path in files.glob(f"{monitor.PREFIX}video.{suffix}.video*.mp4"))
    told["videos"] = [[name, f"{name.removesuffix('.mp4')}.meta.json"] for name in videos]
    monitor.replace(manifest, told)
