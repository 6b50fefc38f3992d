"""Streams over time: slow and silent peers, a stopping server, and servers that cannot pass the socket to the host."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests import ROOT
from tests.hosts.host.streams import ask, pack, raw, stream
from tests.support.servers import Server, alive, wait_for


def test_a_reader_that_never_reads_delays_nobody(start: Callable[..., Server]) -> None:
    server = start(SHARED_HOSTS=1)
    lazy, keen = server.create("CartPole-v1", num_envs=1000), server.create("CartPole-v1")
    payload = pack((0, None, None, None))
    question = bytes((0x82, 0x80 | len(payload))) + b"\0\0\0\0" + payload
    with raw(server, lazy) as connection, stream(server, keen) as other:
        connection.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while sent < 100_000_000:
                sent += connection.send(question * 1000)
        ask(other, 0, None, None, None)
        for _ in range(100):
            if any(ask(other, 1, None, 0)[4:6]):
                ask(other, 0, None, None, None)
        assert psutil.Process(server.hosts()[0]).memory_info().rss < 400_000_000


@pytest.mark.long
def test_a_silent_peer_is_pinged_and_then_dropped(start: Callable[..., Server]) -> None:
    server = start(STREAM_PING_SECONDS=1)
    token = server.create("CartPole-v1")
    with raw(server, token) as silent, stream(server, token) as alert:
        received = b""
        while chunk := silent.recv(4096):
            received += chunk
        assert received[:2] == b"\x89\0"  # a ping came first
        assert ask(alert, 0, None, None, None)[0] == 0


@pytest.mark.long
def test_a_stopping_server_closes_streams_with_1012(start: Callable[..., Server]) -> None:
    server = start()
    with stream(server, server.create("CartPole-v1")) as connection:
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=30)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    assert server.process.wait(30) == 0


@pytest.mark.long
@pytest.mark.needs("openssl")
def test_a_stream_is_relayed_if_the_worker_terminates_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run([*map(str, new), *names], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--keyfile", key, "--certfile", certificate]
    environment = os.environ | {"GYMSERVE_DATA": str(tmp_path / "data")}
    process = subprocess.Popen([*map(str, command), "gym_http_server:app"], cwd=ROOT, env=environment)
    try:
        wait_for(lambda: _listens(port))
        context = ssl.create_default_context(cafile=certificate)
        body = json.dumps({"env_id": "CartPole-v1"}).encode()
        request = urllib.request.Request(
            f"https://localhost:{port}/v1/envs/", body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, context=context, timeout=60) as answer:
            token = json.load(answer)["instance_id"]
        with connect(f"wss://localhost:{port}/v1/envs/{token}/stream", ssl=context) as connection:
            assert ask(connection, 0, None, 3, None)[0] == 0
            for _ in range(5):
                assert ask(connection, 1, None, 0)[0] == 1
    finally:
        process.terminate()
        process.wait(40)
    supervisor = int((tmp_path / "data" / "lock").read_text())
    wait_for(lambda: not alive(supervisor))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.long
def test_flasks_own_server_serves_streams(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code = f"import gym_http_server; gym_http_server.app.run(threaded=True, host='127.0.0.1', port={port})"
    environment = os.environ | {"GYMSERVE_DATA": str(tmp_path / "data")}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _listens(port))
        server = Server.__new__(Server)
        server.port, server.url = port, f"http://127.0.0.1:{port}"
        with stream(server, server.create("CartPole-v1")) as connection:
            assert ask(connection, 0, None, 3, None)[0] == 0
            assert ask(connection, 1, None, 0)[0] == 1
    finally:
        process.terminate()
        process.wait(40)
    supervisor = int((tmp_path / "data" / "lock").read_text())
    wait_for(lambda: not alive(supervisor))
