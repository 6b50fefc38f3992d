"""The gunicorn worker's promises, tested with real gunicorn processes."""

import contextlib
import os
import select
import signal
import socket
import statistics
import time

import pytest

from tests.web.serving import gunicorn_server
from tests.web.serving.gunicorn_server import (
    ANSWER,
    BODY,
    GET,
    STEP,
    Server,
    raise_end,
    read_answer,
    seconds_of_a_step,
    until,
)


@pytest.fixture
def serve(tmp_path):
    yield from gunicorn_server.servers(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("shared"), "--threads", "8")
    yield server
    server.stop()


@pytest.fixture
def server(shared):
    """The shared server; its connections are closed after each test."""
    yield shared
    shared.hang_up()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A server with a short timeout for slow clients."""
    folder = tmp_path_factory.mktemp("hasty")
    path = folder / "hasty.conf.py"
    path.write_text(
        "from gymserve.web.serving import reader, server as serving\nreader.REQUEST_SECONDS = 0.4\n"
        "globals().update(serving.options(threads=8))\n"
    )
    server = Server(folder, "-c", str(path))
    yield server
    server.stop()


@pytest.fixture
def patient(tmp_path):
    """A configuration whose timeout for slow clients is longer than any test."""
    path = tmp_path / "patient.conf.py"
    path.write_text(
        "from gymserve.web.serving import reader, server as serving\nreader.REQUEST_SECONDS = 900.0\n"
        "globals().update(serving.options(threads=8))\n"
    )
    return "-c", str(path)


def test_a_connection_is_kept_and_the_software_is_not_named(server):
    client = server.connect()
    for _ in range(300):
        client.sendall(STEP)
        head, body = read_answer(client)
        assert body == ANSWER
    assert b"keep-alive" in head and b"\r\nDate: " in head and b"Server" not in head


def test_requests_may_arrive_together_or_in_pieces(server):
    client = server.connect(STEP + STEP + STEP)
    received = b""
    while received.count(ANSWER) < 3:
        received += client.recv(65536) or raise_end(received)
    for cut in (1, 10, len(STEP) - len(BODY) - 1, len(STEP) - 3):
        client.sendall(STEP[:cut])
        assert select.select([client], [], [], 0.12)[0] == []
        client.sendall(STEP[cut:])
        assert read_answer(client)[1] == ANSWER


def test_http_works_as_in_gunicorn(server):
    assert server.ask("/echo", bytes(3_000_000)) == bytes(3_000_000)
    assert server.ask("/echo", iter([b"in ", b"chunks"])) == b"in chunks"
    assert server.ask("/pieces") == b"one two three"
    assert server.ask("/large") == bytes(1 << 20)
    assert server.ask("/nothing") == b"" == server.ask("/step", method="HEAD")
    assert b"Internal Server Error" in server.ask("/fails")
    assert server.connect(b"nonsense\n\n").recv(100).startswith(b"HTTP/1.1 400")
    assert server.connect(b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000).recv(100).startswith(b"HTTP/1.1 431")
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # a client of https://
    assert server.connect(hello).recv(100).startswith(b"HTTP/1.1 400")
    client = server.connect(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"ok")
    assert read_answer(client)[1] == b"ok"
    old = server.connect(b"GET /step HTTP/1.0\r\n\r\n")
    assert read_answer(old)[1] == ANSWER and old.recv(1) == b""


@pytest.mark.long
def test_slow_clients_do_not_delay_a_fast_one(serve, patient):
    """Steps are compared with those of a server without slow clients at the same time, on an equally busy machine."""
    server = serve(*patient)
    working, alone = server.connect(), serve(*patient).connect()
    slow = [server.connect(data) for data in (b"", STEP[:20], STEP[:-3], GET[:-1]) for _ in range(40)]
    chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
    slow += [server.connect(chunked) for _ in range(20)]
    trickling = [server.connect() for _ in range(20)]
    beside, without = [], []
    for letter in GET[:12]:
        for client in trickling:
            client.sendall(bytes([letter]))
        for _ in range(30):
            beside.append(seconds_of_a_step(working))
            without.append(seconds_of_a_step(alone))
    assert statistics.median(beside) < 20 * statistics.median(without)
    assert server.ask("/step") == ANSWER


def test_idle_connections_take_no_threads(server):
    idle = [server.connect(GET) for _ in range(400)]
    assert {read_answer(client)[1] for client in idle} == {ANSWER}
    assert server.ask("/step") == ANSWER
    for client in idle:
        client.sendall(STEP)
    assert {read_answer(client)[1] for client in idle} == {ANSWER}


def test_clients_that_stay_connected_do_not_stall_others(server):
    closing = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    unread = [server.connect(closing) for _ in range(30)]
    assert server.ask("/step") == ANSWER
    assert all(read_answer(client)[1] == ANSWER for client in unread)


@pytest.mark.parametrize("end", [20, len(STEP) - 3])
def test_a_trickled_request_times_out(hasty, end):
    client = hasty.connect(STEP[:1])
    client.settimeout(0.05)
    sent, received, begin = 1, None, time.monotonic()
    while received is None:
        assert time.monotonic() - begin < 60
        with contextlib.suppress(TimeoutError):
            received = client.recv(1000)
        if received is None:
            client.sendall(STEP[sent : sent + 1] if sent < end else b"")
            sent += 1
    assert received == b"" or received.startswith(b"HTTP/1.1 408")


@pytest.mark.long
def test_an_unfinished_request_is_dropped(hasty):
    chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
    for data in (b"", STEP[:20], STEP[:-3], chunked):
        client = hasty.connect(data)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1000) == b""
    assert "Traceback" not in hasty.log.read_text()


@pytest.mark.long
def test_a_stopping_server_finishes_its_requests(serve, tmp_path):
    server = serve()
    idle, half, staying = server.connect(GET), server.connect(STEP[:20]), server.connect(GET)
    assert read_answer(idle)[1] == ANSWER == read_answer(staying)[1]
    busy = server.connect(b"GET /block?%s HTTP/1.1\r\nHost: a\r\n\r\n" % bytes(tmp_path))
    until((tmp_path / "blocked").exists)
    server.process.send_signal(signal.SIGTERM)
    until(lambda: refuses(server.port))
    (tmp_path / "go").touch()
    assert read_answer(busy)[1] == b"unblocked"
    assert half.recv(100) == b""
    assert server.process.wait(60) == 0
    assert not {"Traceback", "Exception", "ERROR"} & set(server.log.read_text().replace(":", " ").split())


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


@pytest.mark.long
def test_a_killed_worker_is_replaced(serve):
    server = serve()
    worker = int(server.ask("/pid"))
    os.kill(worker, signal.SIGKILL)

    def new_worker():
        answer = server.answers()
        return answer and int(answer) != worker

    until(new_worker)


SLOW_START = """
import pathlib, time
from gymserve.web.serving import server, worker

globals().update(server.options(threads=8, stop_seconds=600))
init_process = worker.KeepAliveWorker.init_process

def init_slowly(self):
    if pathlib.Path("{folder}/slow").exists():
        pathlib.Path("{folder}/started").touch()
        time.sleep(1)
    init_process(self)

worker.KeepAliveWorker.init_process = init_slowly
"""


@pytest.mark.long
def test_a_server_that_is_stopped_while_a_worker_starts_ends(serve, tmp_path):
    path = tmp_path / "slow.conf.py"
    path.write_text(SLOW_START.format(folder=tmp_path))
    server = serve("-c", str(path))
    (tmp_path / "slow").touch()
    os.kill(int(server.ask("/pid")), signal.SIGKILL)
    until((tmp_path / "started").exists)
    assert server.stop() == 0


def test_health_responds_while_all_threads_wait_for_hosts(server, tmp_path):
    """Eight threads wait, and further requests queue; they are served once the threads are free."""
    blocked = []
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        blocked.append(server.connect(b"GET /block?%s/%d HTTP/1.1\r\nHost: a\r\n\r\n" % (bytes(tmp_path), number)))
    until(lambda: len(list(tmp_path.glob("*/blocked"))) == 8)
    silent = server.connect()
    for _ in range(5):
        assert server.ask("/health/live", method="GET") == b""
    kept = server.connect()
    for path in (b"/health", b"/health/ready"):
        kept.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        assert read_answer(kept)[0].startswith(b"HTTP/1.1 200")
    kept.sendall(GET)
    assert not select.select([kept], [], [], 0.2)[0]
    for number in range(10):
        (tmp_path / str(number) / "go").touch()
    for client in (*blocked, kept):
        assert read_answer(client)[1] in (b"unblocked", ANSWER)
    silent.sendall(GET)
    assert read_answer(silent)[1] == ANSWER
