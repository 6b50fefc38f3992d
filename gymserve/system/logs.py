"""Configures logging: warnings as plain text on standard error, and, if LOG_DIR is set, all records as JSON in files."""

import json
import logging
import os
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

PLAIN = "%(asctime)s %(levelname)s %(name)s %(message)s"
FILES = (  # (logger, beginning and end of the files' names, least level); the last two exist in the RL Agent Training API
    ("gymserve", "gymserve-", ".jsonl", "NOTSET"),
    ("gymserve.training", "training_", ".log", "NOTSET"),
    ("gymserve", "errors_", ".log", "ERROR"),
)
_USUAL = set(vars(logging.makeLogRecord({})))


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """The settings of logging, see `docs/settings.md`."""

    log_level: str
    log_dir: str
    log_file_mb: int
    log_days: int


def configure(settings: LogSettings) -> None:
    """Configures the loggers of this process."""
    logger = logging.getLogger("gymserve")
    logger.propagate = False
    for each in (logger, logging.getLogger("gymserve.training")):
        for handler in list(each.handlers):
            each.removeHandler(handler)
            handler.close()
    level = settings.log_level.upper()
    screen = logging.StreamHandler()
    screen.setFormatter(logging.Formatter(PLAIN))
    screen.setLevel("WARNING" if level == "INFO" else level)
    logger.addHandler(screen)
    logger.setLevel(screen.level)
    if settings.log_dir:
        for name, begins, ends, least in FILES:
            files = DayFiles(Path(settings.log_dir), settings.log_file_mb * 2**20, settings.log_days, begins, ends)
            files.setLevel(least)
            logging.getLogger(name).addHandler(files)
        logger.setLevel(level)


class DayFiles(logging.Handler):
    """Writes files `<begins><date>.<n><ends>`, which all processes of a server append to; a file is created for its first line.

    A new file is started each day, and when a file reaches `most` bytes. Files are never renamed, so processes do not disturb
    each other.
    """

    def __init__(self, folder: Path, most: int, days: int, begins: str, ends: str) -> None:
        super().__init__()
        self.folder, self.most, self.days, self.begins, self.ends = folder, most, days, begins, ends
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._day = ""
        self._number = 0
        self._descriptor = -1

    def emit(self, record: logging.LogRecord) -> None:
        try:
            day = time.strftime("%Y-%m-%d", time.gmtime(record.created))
            if day != self._day:
                self._day, self._number = day, 0
                self._remove_old(record.created)
                self._open()
            while os.fstat(self._descriptor).st_size >= self.most:
                self._number += 1
                self._open()
            os.write(self._descriptor, line(record).encode("utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)

    def _open(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        path = self.folder / f"{self.begins}{self._day}.{self._number}{self.ends}"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _remove_old(self, now: float) -> None:
        oldest = time.strftime("%Y-%m-%d", time.gmtime(now - self.days * 86400))
        for path in self.folder.glob(f"{self.begins}*{self.ends}"):
            if path.name[len(self.begins) :] < oldest:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()


def line(record: logging.LogRecord) -> str:
    """A record as one line of JSON.

    python-json-logger needs five times as long for the same line, which every request writes, and hardly less code.
    """
    entry: dict[str, object] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
        "process": record.process,
    }
    entry |= {name: value for name, value in vars(record).items() if name not in _USUAL and value is not None}
    if record.exc_info:
        entry["traceback"] = "".join(traceback.format_exception(*record.exc_info))
    return json.dumps(entry, default=str) + "\n"
