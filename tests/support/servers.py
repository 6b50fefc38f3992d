"""Real servers for tests, each on a free port of 127.0.0.1 with its own data directory; they are ended by their process id."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from argon2 import PasswordHasher

from gymserve.accounts import Accounts, AccountSettings
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.accounts.keys import KeyRequest
from gymserve.settings import Settings
from tests import ROOT

PASSWORD = "correct horse battery"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def wait_for(condition: Callable[[], Any], seconds: float = 90.0) -> Any:
    """Waits until `condition` is true, and returns its result; fails if it does not become true in time."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(pause)
        pause = min(0.15, 1.3 * pause)  # polling should not slow down what is waited for
    return value


class Answer:
    """The response to one request."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """`python gym_http_server.py`, started like by a user."""

    key = ""  # the API key for every request, if it is set
    port: int  # once it has started
    keeps_port = False  # whether a restart uses the same port
    program = [sys.executable, str(ROOT / "gym_http_server.py")]
    path: str | None = None  # its PYTHONPATH, if it is not this process' with the checkout
    directory: Path | None = None  # the working directory, if it is not this process'
    known: "weakref.WeakSet[Server]" = weakref.WeakSet()

    def __init__(self, data: Path, **settings: Any) -> None:
        self.data = data
        self.settings = settings
        self.start()
        Server.known.add(self)

    def start(self) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GYMSERVE_")}
        # Identifies the run (see `tests/support/leftovers.py`) in all its processes, including those of environments.
        own = {name: value for name, value in os.environ.items() if name == "TEST_RUN"}
        own |= self.settings.get("ENVIRONMENT_VARIABLES", {})
        common = {"WORKERS": 2, "THREADS": 32, "MEDIA": False}
        for name, value in {**common, **self.settings, "ENVIRONMENT_VARIABLES": own}.items():
            environment[f"GYMSERVE_{name}"] = value if isinstance(value, str) else json.dumps(value)
        port = str(self.port) if self.keeps_port else "0"
        path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))) if self.path is None else self.path
        environment["PYTHONPATH"] = path
        command = [*self.program, "-p", port, "--data", str(self.data)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=self.directory
        )
        assert self.process.stdout is not None
        self.output = [first := self.process.stdout.readline()]
        self.lines_before = 0  # of the output, when the current test began
        while first and "listens on" not in first:  # warnings may precede it
            self.output.append(first := self.process.stdout.readline())
        assert first, "".join(self.output)
        self.url = first.split()[3].rstrip(",")
        self.port = int(self.url.rpartition(":")[2])
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.output.extend(lines)

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> int:
        """Sends SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def kill(self) -> None:
        """Sends SIGKILL to every process of the server."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):  # hosts end with their supervisor
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def supervisor(self) -> int:
        """The supervisor's process id."""
        return int((self.data / "lock").read_text())

    def hosts(self) -> list[int]:
        """The process ids of the hosts."""
        return children(self.supervisor())

    def workers(self) -> list[int]:
        """The process ids of the gunicorn workers."""
        return [pid for pid in children(self.pid) if pid != self.supervisor()]

    def background(self, module: str) -> list[int]:
        """The process ids of a background process' module, for example `gymserve.grader.server.submissions.worker`."""
        running = psutil.process_iter(["cmdline", "cwd"])
        work = str(self.data / "work")
        return [each.pid for each in running if module in (each.info["cmdline"] or ()) and each.info["cwd"] == work]

    def processes(self) -> list[int]:
        """The ids of all its processes; those that would restart others come first."""
        return [self.pid, *self.workers(), self.supervisor(), *self.hosts()]

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Makes a request; `body` is sent as JSON, or unchanged if it is bytes."""
        sent = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.request("POST", path, body, **headers)

    def account(self, email: str, role: str = "participant", **key: Any) -> tuple[int, str]:
        """Creates an account in the server's database; returns (id, API key)."""
        settings = Settings(DATA=str(self.data), DATABASE=self.settings.get("DATABASE", ""))
        accounts = Accounts(settings.pick(AccountSettings))
        accounts.passwords._hasher = QUICK  # a real one takes a fifth of a second, and so does each login
        made = accounts.directory.create(email, PASSWORD, role=role, by=COMMAND_LINE)
        _, secret = accounts.keys.create(made.id, KeyRequest("test", **key), by=COMMAND_LINE)
        accounts.database.close()
        return made.id, secret

    def create(self, env_id: str, **parameters: Any) -> str:
        """Creates an instance; returns its token."""
        answer = self.post("/v1/envs/", {"env_id": env_id, **parameters})
        assert answer.status == 200, answer.body
        return str(answer.json["instance_id"])


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mounts a small file system at a new folder, which a test can fill; this needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def children(pid: int) -> list[int]:
    """The process ids of a process' children."""
    pids: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        pids.extend(int(child) for child in task.read_text().split())
    return pids


def alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
