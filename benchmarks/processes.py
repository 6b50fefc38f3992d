"""Starts the server to measure, and pins its processes to cores."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from benchmarks import ROOT


class Server:
    """A server with its own data directory, on a free port of 127.0.0.1."""

    key = ""  # the API key of an account, if the server has accounts

    def __init__(self, data: str, **settings: Any) -> None:
        self.data = data
        values = {"WORKERS": 2, "ENVIRONMENT_MODULES": "benchmarks.environments", **settings}
        environment = os.environ | {f"GYMSERVE_{name}": str(value) for name, value in values.items()}
        environment["PYTHONPATH"] = str(ROOT)
        command = [sys.executable, ROOT / "gym_http_server.py", "-p", "0", "--data", data]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=data)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[3].rstrip(",")
        self.port = int(self.url.rpartition(":")[2])

    def processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def pin(self, *cpus: int) -> None:
        """Pins all threads of the server to these cores."""
        for process in self.processes():
            for thread in process.threads():
                os.sched_setaffinity(thread.id, cpus)

    def free(self) -> None:
        """Lets the server's threads run on all cores again."""
        self.pin(*range(os.cpu_count() or 1))

    def memory_mb(self) -> float:
        """The memory of all its processes; shared memory counts once."""
        return sum(process.memory_full_info().pss for process in self.processes()) / 2**20

    def post(self, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def create(self, env_id: str, **parameters: Any) -> str:
        return str(self.post("/v1/envs/", {"env_id": env_id, **parameters})["instance_id"])


@contextmanager
def server(**settings: Any) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as data:
        started = Server(data, **settings)
        try:
            yield started
        finally:
            started.process.terminate()
            started.process.wait(60)
            assert started.process.stdout is not None
            started.process.stdout.close()
