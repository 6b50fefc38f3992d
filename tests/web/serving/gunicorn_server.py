"""A small WSGI application under gunicorn, for tests of our worker and of handing sockets over."""

import contextlib
import http.client
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

from gymserve.web.serving import handover
from tests import ROOT

ANSWER = b'{"observation": [0.1, 0.2, 0.3, 0.4], "reward": 1.0, "done": false, "info": {}}'
BODY = b'{"action": 1}'
STEP = b"POST /step HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
GET = b"GET /step HTTP/1.1\r\nHost: here\r\n\r\n"


def app(environ, start_response):
    """Serve what the tests of this folder request."""
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or -1)) if path != "/handover" else b""
    answer = {"/step": ANSWER, "/echo": body, "/pid": b"%d" % os.getpid(), "/large": bytes(1 << 20)}.get(path, b"")
    if path == "/block":
        pathlib.Path(query, "blocked").touch()
        until(pathlib.Path(query, "go").exists)
        answer = b"unblocked"
    elif path == "/handover":
        return hand_over(environ, start_response)
    elif path == "/fails":
        raise RuntimeError("the test wants this")
    elif path == "/pieces":
        start_response("200 OK", [])
        return [b"one ", b"two ", b"three"]
    elif path == "/nothing":
        start_response("204 No Content", [])
        return []
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


def hand_over(environ, start_response):
    client = handover.client_socket(environ)
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(environ["QUERY_STRING"])
        socket.send_fds(link, [b"early:" + handover.early_bytes(environ)], [client.fileno()])
        assert link.recv(1) == b"+"
    handover.release(environ)
    start_response("101 Switching Protocols", [])
    return []


def until(condition, seconds=60.0):
    """Wait for a condition and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {condition}"
        select.select([], [], [], 0.005)
    return value


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Server:
    """A server process, and connections to it."""

    def __init__(self, folder, *arguments, module="gunicorn"):
        self.port, self.log, self.open = free_port(), folder / "log", []
        environment = os.environ | {
            "PYTHONPATH": f"{ROOT}:{pathlib.Path(__file__).parent}",
            "PORT": str(self.port),
            "GYMSERVE_DATA": str(folder / "data"),  # for gunicorn.conf.py in the working directory
        }
        command = [sys.executable, "-m", module] if module else [sys.executable]
        if module:
            command += ["-b", f"127.0.0.1:{self.port}", "-w", "1", "--log-level", "info", "--access-logfile", "-"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments] + (["gunicorn_server:app"] if module else []),
                cwd=ROOT, env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        until(self.answers)

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            return self.ask("/pid")

    def connect(self, data=b""):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(data)
        self.open.append(client)
        return client

    def ask(self, path, body=None, method="POST", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers=headers)
            return connection.getresponse().read()

    def hang_up(self):
        while self.open:
            self.open.pop().close()

    def stop(self):
        self.hang_up()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def read_answer(client):
    """Read one response with a Content-Length; return its head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536) or raise_end(data)
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(65536) or raise_end(body)
    return head, body


def raise_end(data):
    raise EOFError(f"the connection ended after {data!r}")


def seconds_of_a_step(client):
    begin = time.perf_counter()
    client.sendall(STEP)
    assert read_answer(client)[1] == ANSWER
    return time.perf_counter() - begin


def servers(folder):
    """Yield a function that starts servers in `folder`, and stop them all afterwards."""
    started = []

    def start(*arguments, **more):
        own = folder / str(len(started))
        own.mkdir()
        started.append(Server(own, *arguments, **more))
        return started[-1]

    yield start
    for server in started:
        server.stop()
