"""Videos of monitored episodes, beside the monitor's other files, with the file names of OpenAI Gym's monitor."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gymserve.environments import Catalogue
from gymserve.journal import Episode, Record, episodes_of, read, recipe_of
from gymserve.protocol.errors import GymserveError, StorageFull
from gymserve.recording import monitor
from gymserve.recording.jobs import VideoJob
from gymserve.recording.video import rendering
from gymserve.system.files import replacing, write_atomically

MOST_VIDEOS = 1000  # of one monitor
log = logging.getLogger("gymserve.recording")


def make_next(
    job: VideoJob,
    data: Path,
    catalogue: Catalogue,
    *,
    seconds: float,
    work_seconds: float,
    skip: str = "",
    progress: rendering.Progress = lambda written, planned: None,
) -> bool:
    """Makes the first missing video of a monitor, and lists it in the manifest; returns whether one was missing.

    If a video cannot be made, its `.meta.json` says why, under "failed".

    Args:
        seconds: the longest that the video may be.
        work_seconds: processor time for making it.
        skip: if not empty, do not make the video, and note this reason.
    """
    folders = [data / kind / job.subject for kind in ("instances", "closed")]
    folder = next((each for each in folders if (each / "journal").exists()), None)
    if folder is None:
        return False
    records = list(read(folder / "journal"))
    suffix = monitor.suffix_of(job.monitor, recipe_of(records))
    files = folder / "monitor" / job.directory
    manifest = monitor.manifest_of(files, suffix)
    for index, episode in episodes(records, job.monitor, job.every):
        name = f"{monitor.PREFIX}video.{suffix}.video{index:06}"
        if not manifest.exists():
            return False  # a later monitor was started with `force`, which deleted it
        if not (files / f"{name}.meta.json").exists():
            metadata: dict[str, object] = {"episode_id": index, "content_type": "video/mp4"}
            if skip:
                metadata["failed"] = skip
            else:
                spec = rendering.VideoSpec(job.title, [episode], "episode", None, seconds, work_seconds)
                metadata |= _render(spec, catalogue, files, name, progress)
            write_atomically(files / f"{name}.meta.json", json.dumps(metadata))
            _list_videos(manifest, files)
            return True
    return False


def episodes(records: Sequence[Record], number: int, every: int) -> list[tuple[int, Episode]]:
    """(index in the monitor's run, episode) of each episode to make a video of; episodes without steps have none."""
    run = monitor.run_of(records, number)
    if run is None:
        return []
    inside = [episode for episode in episodes_of(records[: run.end]) if episode.place > run.start]
    wanted = [(index, episode) for index, episode in enumerate(inside) if index % every == 0 and episode.steps]
    return wanted[:MOST_VIDEOS]


def _render(
    spec: rendering.VideoSpec, catalogue: Catalogue, files: Path, name: str, progress: rendering.Progress
) -> Mapping[str, object]:
    """Makes the video's file, and returns its metadata."""
    try:
        with replacing(files / f"{name}.mp4") as fresh:
            return rendering.render_video(spec, catalogue, files, [fresh.name], progress=progress)
    except StorageFull:
        raise
    except GymserveError as error:
        log.warning("the video %s cannot be made: %s", name, error)
        return {"failed": str(error)}
    except Exception as error:  # from an encoder or a picture library
        if shutil.disk_usage(files).free < 1 << 20:
            raise StorageFull("videos cannot be written: the disk is full") from error
        return {"failed": f"making it raised {type(error).__name__}"}


def _list_videos(manifest: Path, files: Path) -> None:
    """Writes the list of videos into the manifest."""
    content = json.loads(manifest.read_text())
    suffix = manifest.name.removeprefix(f"{monitor.PREFIX}manifest.").removesuffix(".manifest.json")
    videos = sorted(path.name for path in files.glob(f"{monitor.PREFIX}video.{suffix}.video*.mp4"))
    content["videos"] = [[name, f"{name.removesuffix('.mp4')}.meta.json"] for name in videos]
    write_atomically(manifest, json.dumps(content))
