"""Monitor files in the format of OpenAI Gym's old monitor: a manifest, and the statistics of an instance's episodes.

They are written from the journal when a monitor is closed. `directory` stands for the path that the agent chose; the files
are in a folder of that name below the instance's own folder.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gymserve.hosts import folders
from gymserve.journal import Closed, Monitored, Record, Step, episodes_of, read, recipe_of
from gymserve.protocol.errors import Conflict, InvalidRequest, StorageFull
from gymserve.protocol.recipe import Recipe
from gymserve.recording.media import Media
from gymserve.system.files import replacing_folder, write_atomically

PREFIX = "openaigym."
log = logging.getLogger("gymserve.recording")


def label(directory: str) -> str:
    """The name of the folder for an agent's directory; distinct and safe for any text."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", directory).strip("._")[:60]
    if plain and plain == directory:
        return plain
    return f"{plain or 'monitor'}-{hashlib.sha256(directory.encode(errors='replace')).hexdigest()[:8]}"


def check(folder: Path, directory: str, *, force: bool, resume: bool) -> None:
    """Refuses to overwrite the results of an earlier run.

    Raises:
        Conflict: there are results, and neither `force` nor `resume` says what to do with them.
    """
    if not force and not resume and any((folder / "monitor" / directory).glob(f"{PREFIX}manifest.*.manifest.json")):
        raise Conflict("the directory holds a monitor's results already: send force or resume, or another directory")


def prepare(folder: Path, directory: str) -> None:
    """Makes the monitor's folder, unless the instance is gone.

    Raises:
        OSError: the disk is full.
    """
    with contextlib.suppress(FileNotFoundError):
        (folder / "monitor").mkdir(exist_ok=True)
        (folder / "monitor" / directory).mkdir(exist_ok=True)


def clear(folder: Path, directory: str) -> None:
    """Deletes an earlier run's files."""
    for old in (folder / "monitor" / directory).glob(f"{PREFIX}*"):
        old.unlink()


def write(folder: Path, media: Media) -> None:
    """Writes the files of the instance's last monitor, if it had one, and queues its videos."""
    if not (folder / "monitor").exists():  # nothing was monitored: a long journal need not be read
        return
    records = list(read(folder / "journal"))
    run = run_of(records)
    if run is None:
        return
    recipe = recipe_of(records)
    files = folder / "monitor" / run.directory
    if manifest_of(files, suffix_of(run.number, recipe)).exists():
        return  # written when the monitor was closed; it may list videos by now
    _write(files, _statistics(records, run), run.number, recipe)
    if not recipe.is_vector:
        try:
            media.request_monitor_videos(
                folder.name, title=recipe.env_id, directory=run.directory, monitor=run.number, every=run.every
            )
        except StorageFull as error:  # the monitor is closed nevertheless
            log.warning("%s will have no videos: %s", folder.name, error)


@dataclass(frozen=True)
class Run:
    """The part of a journal that was recorded while a monitor was open.

    Args:
        number: which of the instance's monitors, from 1.
        start: the index of the record that started the monitor.
        end: the index of the record that closed it.
        every: which episodes to make videos of: 0 none, 1 all, N every Nth.
    """

    number: int
    start: int
    end: int
    directory: str
    every: int


def run_of(records: Sequence[Record], number: int | None = None) -> Run | None:
    """The run of a monitor, by default of the last one; None if there is no such monitor."""
    starts = [
        (place, record.options)
        for place, record in enumerate(records)
        if isinstance(record, Monitored) and record.options is not None
    ]
    number = len(starts) if number is None else number
    if not 0 < number <= len(starts):
        return None
    start, options = starts[number - 1]
    closing = (place for place in range(start + 1, len(records)) if isinstance(records[place], (Monitored, Closed)))
    return Run(number, start, next(closing, len(records)), options["directory"], options.get("video_callable") or 0)


def _statistics(records: Sequence[Record], run: Run) -> dict[str, object]:
    """The statistics of the run's episodes, with the format's keys; episodes of a vector instance are never finished."""
    resets, ends, lengths, rewards = [], [], [], []
    for episode in episodes_of(records[: run.end]):
        if episode.place > run.start:
            resets.append(episode.reset.time)
        inside = episode.records[max(0, run.start - episode.place) :]
        steps = [record for record in inside if isinstance(record, Step)]
        if steps and steps[-1].time is not None:
            ends.append(steps[-1].time)
            lengths.append(len(steps))
            rewards.append(float(sum(step.reward for step in steps)))
    return {
        "initial_reset_timestamp": resets[0] if resets else None,
        "timestamps": ends,
        "episode_lengths": lengths,
        "episode_rewards": rewards,
        "episode_types": ["t"] * len(resets),
    }


def suffix_of(number: int, recipe: Recipe) -> str:
    """The common part of the names of a monitor's files.

    OpenAI Gym has a process id in it to tell processes apart; here it is the time when the instance was created.
    """
    return f"{number}.{int(recipe.created)}"


def manifest_of(files: Path, suffix: str) -> Path:
    """The path of a monitor's manifest."""
    return files / f"{PREFIX}manifest.{suffix}.manifest.json"


def _write(files: Path, statistics: Mapping[str, object], number: int, recipe: Recipe) -> None:
    files.mkdir(parents=True, exist_ok=True)
    suffix = suffix_of(number, recipe)
    stats = f"{PREFIX}episode_batch.{suffix}.stats.json"
    versions = recipe.versions
    manifest = {
        "stats": stats,
        "videos": [],
        "env_info": {"env_id": recipe.env_id, "gym_version": versions.get("gymnasium"), "versions": versions},
    }
    write_atomically(files / stats, json.dumps(statistics))
    write_atomically(manifest_of(files, suffix), json.dumps(manifest))


def keep(data: Path, directory: str, *, algorithm: str | None, account: int, owner: int) -> None:
    """Copies the newest results that a monitor of the account's instances (0: of any) wrote under this name.

    The copy replaces the owner's earlier copy of this name, and is deleted after JOURNAL_DAYS.

    Raises:
        InvalidRequest: there are no such results.
    """
    manifests = [
        manifest
        for kind in ("instances", "closed")
        for manifest in (data / kind).glob(f"*/monitor/{directory}/{PREFIX}manifest.*.manifest.json")
        if not account or folders.owner_of(manifest.parents[2].name) == account
    ]
    if not manifests:
        raise InvalidRequest("training_dir holds no results: start and close a monitor with this directory first")
    newest = max(manifests, key=lambda manifest: manifest.stat().st_mtime)
    kept = data / "uploads" / str(owner) / directory
    with replacing_folder(kept) as fresh:
        shutil.copytree(newest.parent, fresh, dirs_exist_ok=True)
        (fresh / "upload.json").write_text(json.dumps({"algorithm_id": algorithm}))
        os.utime(fresh)
