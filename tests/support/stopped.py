"""A database server for a single test that can be paused: the kernel still accepts connections, but nothing answers."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import parts
from tests.support.servers import children


class Stoppable:
    """A PostgreSQL server that can be paused.

    Args:
        folder: where to put its data; its owner becomes the server's user.
    """

    def __init__(self, folder: Path) -> None:
        program = parts.initdb()
        assert program is not None
        user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # root may not run it
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        how: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        how |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user is not None else {}
        made = ["--auth=trust", "--username=postgres", "--no-sync", f"--pgdata={folder / 'data'}"]
        subprocess.run([program, *made], check=True, **how)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        self.process = subprocess.Popen([program.with_name("postgres"), "-D", folder / "data", *options], **how)
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def _signal(self, number: int) -> None:
        for pid in (self.process.pid, *children(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):  # one that has ended in the meantime
                os.kill(pid, number)

    def set(self) -> None:
        """Pauses the server."""
        self._signal(signal.SIGSTOP)

    def clear(self) -> None:
        """Resumes the server."""
        self._signal(signal.SIGCONT)


@contextlib.contextmanager
def stoppable() -> Iterator[Stoppable]:
    """A pausable PostgreSQL server for the context."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    server = Stoppable(folder)
    try:
        yield server
    finally:
        server.clear()
        server.process.send_signal(signal.SIGINT)  # a fast shutdown, which disconnects clients
        server.process.wait(60)
        shutil.rmtree(folder)
