"""`python -m gymserve.hosts.supervisor`: the supervisor's process. It reads its settings as JSON from standard input."""

import contextlib
import gc
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from gymserve import environments, settings
from gymserve.hosts import child_processes
from gymserve.hosts.supervisor.process import Supervisor
from gymserve.hosts.supervisor.settings import SupervisorSettings
from gymserve.protocol import errors
from gymserve.system import logs, sockets
from gymserve.system.locks import try_lock


def main() -> int:
    """Prints `ready <runtime directory>` or `failed <reason>` on standard output, then serves."""
    configuration = settings.from_json(sys.stdin.read())
    logs.configure(configuration.pick(logs.LogSettings))
    data = Path(configuration.DATA)
    runtime = None
    try:
        lock = _lock(data, configuration.SHUTDOWN_SECONDS)
        catalogue = environments.Catalogue.of(configuration)
        if configuration.PRELOAD:
            environments.warm()
        gc.collect()
        gc.freeze()
        _remove_stale(data / "supervisor")
        runtime = Path(tempfile.mkdtemp(prefix="gymserve-", dir=sockets.directory()))
        (data / "instances").mkdir(exist_ok=True, mode=0o700)
        child_processes.become_subreaper()
        supervisor = Supervisor(configuration.pick(SupervisorSettings), catalogue, runtime, lock)
        (data / "supervisor").write_text(str(runtime))
    except (errors.GymserveError, OSError) as error:
        _report("failed " + str(error).replace("\n", " "))
        return 1
    try:
        if _report(f"ready {runtime}"):
            os.dup2(2, 1)  # environments' output goes to the log
            supervisor.run()
    finally:
        shutil.rmtree(runtime, ignore_errors=True)
    return 0


def _report(line: str) -> bool:
    """Writes a line to the process that started this one; returns False if that one has ended."""
    try:
        os.write(1, f"{line}\n".encode())
    except BrokenPipeError:
        return False
    return True


def _remove_stale(file: Path) -> None:
    """Deletes the runtime directory of a supervisor that was killed; `file` holds its path."""
    if file.exists():
        stale = Path(file.read_text())
        if stale.name.startswith("gymserve-") and stale.parent == Path(sockets.directory()):
            shutil.rmtree(stale, ignore_errors=True)


def _lock(data: Path, seconds: float) -> int:
    """Locks the data directory for this supervisor and its hosts, which inherit the lock.

    Raises:
        SettingsError: another server uses the directory.
    """
    deadline = time.monotonic() + seconds
    while (descriptor := try_lock(data / "lock")) is None:
        _kill_lock_holders(data)
        if time.monotonic() > deadline:
            raise errors.SettingsError(f"another server uses the data directory {data}")
        time.sleep(0.05)
    child_processes.kill_leftovers(data)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _kill_lock_holders(data: Path) -> None:
    """Kills processes that hold the lock of an ended supervisor, for example one that an environment has forked."""
    with contextlib.suppress(ValueError):  # the file is being written
        if not child_processes.belongs_to(data, int((data / "lock").read_text())):
            child_processes.kill_leftovers(data)


if __name__ == "__main__":
    sys.exit(main())
