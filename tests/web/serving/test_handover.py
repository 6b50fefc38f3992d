"""Handing a request's socket over to another process, under each of the web servers that allow it."""

import socket

import psutil
import pytest

from tests.web.serving import gunicorn_server
from tests.web.serving.gunicorn_server import ANSWER, until


@pytest.fixture
def serve(tmp_path):
    yield from gunicorn_server.servers(tmp_path)


def take_over(listener, client):
    """Act as a host: receive the descriptor, acknowledge it, answer the client directly."""
    link, _ = listener.accept()
    with link:
        early, descriptors, _, _ = socket.recv_fds(link, 1000, 1)
        link.send(b"+")
        assert link.recv(1) == b""
    with socket.socket(fileno=descriptors[0]) as sock:
        sock.setblocking(True)
        sock.sendall(b"hello")
        assert client.recv(1000) == b"hello"
        client.sendall(b"hello yourself")
        assert sock.recv(1000) == b"hello yourself"
        yield early
        sock.sendall(b"still here")
        assert client.recv(1000) == b"still here"
    assert client.recv(1000) == b""


WERKZEUG = """
import os, gunicorn_server
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(os.environ["PORT"]), gunicorn_server.app, threaded=True)
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", ["ours", "gthread", "sync", "werkzeug"])
def test_a_socket_is_handed_over(serve, tmp_path, kind):
    more = {"ours": (), "werkzeug": ("-c", WERKZEUG)}.get(kind, ("-k", kind))
    server = serve(*more, module=None if kind == "werkzeug" else "gunicorn")
    path = str(tmp_path / "link")
    with socket.create_server(path, family=socket.AF_UNIX) as listener:
        listener.settimeout(15)
        client = server.connect(b"GET /handover?%s HTTP/1.1\r\nHost: a\r\n\r\nearly words" % path.encode())
        for early in take_over(listener, client):
            assert early == b"early:early words"
            assert server.ask("/step") == ANSWER
    if kind != "werkzeug":
        until(lambda: '" 101 ' in server.log.read_text())
    assert "Traceback" not in server.log.read_text()


@pytest.mark.long
def test_handed_over_sockets_leak_no_descriptors(serve, tmp_path):
    server = serve("--threads", "4", "--worker-connections", "10")
    path, worker = str(tmp_path / "link"), psutil.Process(int(server.ask("/pid")))
    counts = []
    with socket.create_server(path, family=socket.AF_UNIX) as listener:
        listener.settimeout(15)
        for _ in range(40):
            client = server.connect(b"GET /handover?%s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
            assert list(take_over(listener, client)) == [b"early:"]
            assert server.ask("/step") == ANSWER
            counts.append(worker.num_fds())
    until(lambda: worker.num_fds() <= min(counts))
