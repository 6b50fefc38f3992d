"""`python -m gymserve.hosts`: the supervisor's process. It reads its settings as JSON from standard input."""

import fcntl
import gc
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", SDL_VIDEODRIVER="dummy", SDL_AUDIODRIVER="dummy")
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from gymserve import environments, errors, logs, settings
from gymserve.hosts.supervisor import Supervisor


def main() -> int:
    """Says `ready <runtime directory>` or `failed <reason>` on standard output, then serves."""
    configuration = settings.from_json(sys.stdin.read())
    logs.configure(configuration)
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
        runtime = Path(tempfile.mkdtemp(prefix="gymserve-"))
        (data / "instances").mkdir(exist_ok=True, mode=0o700)
        supervisor = Supervisor(configuration, catalogue, runtime, lock)
        (data / "supervisor").write_text(str(runtime))
    except (errors.GymserveError, OSError) as error:
        print("failed", str(error).replace("\n", " "), flush=True)
        return 1
    print("ready", runtime, flush=True)
    os.dup2(2, 1)  # what environments print goes to the log
    try:
        supervisor.run()
    finally:
        shutil.rmtree(runtime, ignore_errors=True)
    return 0


def _remove_stale(note: Path) -> None:
    """Deletes the sockets of a supervisor that was killed."""
    if note.exists():
        stale = Path(note.read_text())
        if stale.name.startswith("gymserve-") and stale.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(stale, ignore_errors=True)


def _lock(data: Path, seconds: float) -> int:
    """Takes the data directory for this supervisor and its hosts, which inherit the lock.

    Raises:
        SettingsError: another server has it.
    """
    descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise errors.SettingsError(f"another server uses the data directory {data}") from None
            time.sleep(0.05)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


if __name__ == "__main__":
    sys.exit(main())
