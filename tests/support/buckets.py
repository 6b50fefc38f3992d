"""An S3-compatible bucket for tests: moto's server as a real process."""

import contextlib
import socket
import subprocess
import sys
import urllib.request

import obstore
from obstore.store import S3Store

from tests.support.servers import wait_for

SECRET = "a-bucket-secret-that-nobody-may-see"


class Moto:
    """moto's server on a free port; it loses all data when it is stopped."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._is_up, 60)
        self.request("PUT", "/videos")

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def request(self, method: str, path: str) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method), timeout=30) as answer:
            return bytes(answer.read())

    @property
    def store(self) -> S3Store:
        return S3Store(
            "videos", endpoint=self.url, access_key_id="key", secret_access_key=SECRET, region="us-east-1",
            client_options={"allow_http": True},
        )  # fmt: skip

    def names(self) -> set[str]:
        return {each["path"] for page in obstore.list(self.store) for each in page}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "S3_BUCKET": "videos", "S3_ENDPOINT": self.url, "S3_REGION": "us-east-1", "S3_ACCESS_KEY": "key",
            "S3_SECRET_KEY": SECRET,
        }  # fmt: skip
