"""Jobs for a background process, a file each, written atomically, so that no job is lost or read half-written."""

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from gymserve.protocol.errors import StorageFull
from gymserve.system.files import replacing


class Job(Protocol):
    """A job: a frozen dataclass; `attempts` is how often it was begun."""

    __dataclass_fields__: ClassVar[dict[str, Any]]  # as every dataclass has it

    @property
    def file(self) -> str:
        """The name of the job's file."""

    @property
    def attempts(self) -> int: ...


J = TypeVar("J", bound=Job)


class Spool(Generic[J]):
    """The jobs of one kind.

    Args:
        folder: where the jobs' files are; created with the first job.
        noun: what a job is called in messages.
    """

    def __init__(self, folder: Path, kind: type[J], noun: str) -> None:
        self.folder, self.kind, self.noun = folder, kind, noun

    def put(self, job: J, *, wait_seconds: float = 0.0) -> None:
        """Writes or replaces the job's file; its modification time says when it is due: in `wait_seconds`.

        Raises:
            StorageFull: the disk is full.
        """
        due = time.time() + wait_seconds
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacing(self.folder / job.file) as fresh:
                fresh.write_text(json.dumps(asdict(job)))
                os.utime(fresh, (due, due))
        except OSError as error:
            raise StorageFull(f"{self.noun} cannot be written: {error.strerror}") from error

    def begin(self, job: J, **changes: object) -> J:
        """Counts an attempt before it is made, since the attempt may end the process."""
        begun = replace(job, attempts=job.attempts + 1, **changes)
        self.put(begun)
        return begun

    def remove(self, job: J) -> None:
        """Deletes the job's file, because the job is finished or no longer needed."""
        (self.folder / job.file).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """The names of all jobs' files, due or not."""
        try:
            return sorted(name for name in os.listdir(self.folder) if not name.startswith("."))
        except FileNotFoundError:
            return []

    def read(self, name: str) -> J | None:
        """The job in a file; None if it is finished, or the file is not a job."""
        try:
            return self.kind(**json.loads((self.folder / name).read_text()))
        except (OSError, ValueError, TypeError):
            return None
