"""Monitor files, in the format of OpenAI Gym's old monitor: a manifest and the statistics of an instance's episodes.

They are written from the journal when a monitor is closed. `directory` is whatever path the agent chose; it names a
folder under the instance's own.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

from gymserve.errors import Conflict, InvalidRequest, StorageFull
from gymserve.hosts import folders
from gymserve.journal import Closed, Created, Monitored, Reset, Step, read
from gymserve.recording.media import Media

PREFIX = "openaigym."
log = logging.getLogger("gymserve.recording")


def label(directory: Any) -> str:
    """The folder's name for what an agent calls its directory.

    Raises:
        InvalidRequest: it is not a string.
    """
    if not isinstance(directory, str):
        raise InvalidRequest(f"directory must be a string, not {directory!r:.50}")
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", directory).strip("._")[:60]
    if plain and plain == directory:
        return plain
    return f"{plain or 'monitor'}-{hashlib.sha256(directory.encode(errors='replace')).hexdigest()[:8]}"


def video_rule(video_callable: Any) -> int:
    """Every how many episodes a video is wanted: 0 none (false), 1 all (true), N every Nth."""
    if video_callable is None or isinstance(video_callable, bool):
        return int(bool(video_callable))
    if isinstance(video_callable, str) and video_callable.lower() in ("true", "false"):
        return int(video_callable.lower() == "true")
    if type(video_callable) is int and video_callable >= 0:
        return video_callable
    raise InvalidRequest(f"video_callable must be false, true or a number of episodes, not {video_callable!r:.50}")


def check(folder: Path, directory: str, *, force: bool, resume: bool) -> None:
    """Refuses to write over an earlier run's results.

    Raises:
        Conflict: there are some, and neither `force` nor `resume` says what to do with them.
    """
    if not force and not resume and any((folder / "monitor" / directory).glob(f"{PREFIX}manifest.*.manifest.json")):
        raise Conflict("the directory holds a monitor's results already: send force or resume, or another directory")


def begin(folder: Path, directory: str, *, force: bool) -> None:
    """Makes the folder; `force` deletes an earlier run's files."""
    files = folder / "monitor" / directory
    files.mkdir(parents=True, exist_ok=True)
    if force:
        for old in files.glob(f"{PREFIX}*"):
            old.unlink()


def write(folder: Path, media: Media) -> None:
    """Writes the files of the instance's last monitor, if it had one, and orders its videos."""
    journal = folder / "journal"
    meta: dict[str, Any] = {}
    run: _Run | None = None
    number = 0
    for record in read(journal):
        if isinstance(record, Created):
            meta = record.meta
        elif isinstance(record, Monitored) and record.options is not None:
            run, number = _Run(record.options), number + 1
        elif isinstance(record, (Monitored, Closed)) and run is not None:
            run.closed = True
        elif run is not None and not run.closed and isinstance(record, (Reset, Step)):
            run.note(record)
    if run is None or manifest_of(folder / "monitor" / run.directory, suffix_of(number, meta)).exists():
        return  # it was written when the monitor was closed, and may name videos by now
    _write(folder / "monitor" / run.directory, run, number, meta)
    if meta.get("num_envs", 1) == 1:
        title = str(meta.get("env_id"))
        try:
            media.order_monitor(folder.name, title=title, directory=run.directory, monitor=number, every=run.every)
        except StorageFull as error:  # the monitor is closed all the same
            log.warning("%s will have no videos: %s", folder.name, error)


class _Run:
    """The statistics of what happened while one monitor was open. A vector instance counts as its first copy."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.directory: str = options["directory"]
        self.every: int = options.get("video_callable") or 0
        self.closed = False
        self.stats: dict[str, Any] = {
            "initial_reset_timestamp": None,
            "timestamps": [],
            "episode_lengths": [],
            "episode_rewards": [],
            "episode_types": [],
        }
        self._length, self._reward = 0, 0.0

    def note(self, record: Reset | Step) -> None:
        stats = self.stats
        if isinstance(record, Reset):
            if stats["initial_reset_timestamp"] is None:
                stats["initial_reset_timestamp"] = record.time
            stats["episode_types"].append("t")
            self._length, self._reward = 0, 0.0
            return
        self._length += 1
        self._reward += float(record.reward if record.time or isinstance(record.reward, float) else record.reward[0])
        if record.time is not None:
            stats["timestamps"].append(record.time)
            stats["episode_lengths"].append(self._length)
            stats["episode_rewards"].append(self._reward)


def suffix_of(number: int, meta: dict[str, Any]) -> str:
    """What the names of a monitor's files have in common.

    The format has a process id in them, to keep the runs of several processes apart; the run's time does it here.
    """
    return f"{number}.{int(meta.get('created', 0))}"


def manifest_of(files: Path, suffix: str) -> Path:
    """A monitor's manifest."""
    return files / f"{PREFIX}manifest.{suffix}.manifest.json"


def _write(files: Path, run: _Run, number: int, meta: dict[str, Any]) -> None:
    files.mkdir(parents=True, exist_ok=True)
    suffix = suffix_of(number, meta)
    stats = f"{PREFIX}episode_batch.{suffix}.stats.json"
    versions = meta.get("versions", {})
    manifest = {
        "stats": stats,
        "videos": [],
        "env_info": {"env_id": meta.get("env_id"), "gym_version": versions.get("gymnasium"), "versions": versions},
    }
    replace(files / stats, run.stats)
    replace(manifest_of(files, suffix), manifest)


def replace(path: Path, content: dict[str, Any]) -> None:
    """Writes a file at once."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    os.replace(fresh, path)


def keep(data: Path, directory: str, *, algorithm: Any, account: int) -> None:
    """Keeps a copy of the newest results that the account's instances (0: any) were monitored for under this name.

    Raises:
        InvalidRequest: there are none.
    """
    found = [
        manifest
        for kind in ("instances", "closed")
        for manifest in (data / kind).glob(f"*/monitor/{directory}/{PREFIX}manifest.*.manifest.json")
        if not account or folders.owner_of(manifest.parents[2].name) == account
    ]
    if not found:
        raise InvalidRequest("training_dir holds no results: start and close a monitor with this directory first")
    newest = max(found, key=lambda manifest: manifest.stat().st_mtime)
    kept = data / "uploads" / f"{time.time_ns()}-{directory}"
    shutil.copytree(newest.parent, kept)
    replace(kept / "upload.json", {"algorithm_id": algorithm if isinstance(algorithm, str) else None})
