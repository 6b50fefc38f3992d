"""Promises of the gunicorn worker, kept by real gunicorn processes."""

import contextlib
import http.client
import os
import pathlib
import select
import signal
import socket
import statistics
import subprocess
import sys
import time

import pytest

from gymserve.web.serving import handover
from tests import ROOT

ANSWER = b'{"observation": [0.1, 0.2, 0.3, 0.4], "reward": 1.0, "done": false, "info": {}}'
BODY = b'{"action": 1}'
STEP = b"POST /step HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
GET = b"GET /step HTTP/1.1\r\nHost: here\r\n\r\n"


def app(environ, start_response):
    """The application that all of these tests serve."""
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or -1)) if path != "/away" else b""
    answer = {"/step": ANSWER, "/echo": body, "/pid": b"%d" % os.getpid(), "/large": bytes(1 << 20)}.get(path, b"")
    if path == "/hold":
        pathlib.Path(query, "held").touch()
        until(pathlib.Path(query, "go").exists)
        answer = b"held"
    elif path == "/away":
        return give_away(environ, start_response)
    elif path == "/fails":
        raise RuntimeError("as the test wants")
    elif path == "/pieces":
        start_response("200 OK", [])
        return [b"one ", b"two ", b"three"]
    elif path == "/nothing":
        start_response("204 No Content", [])
        return []
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


def give_away(environ, start_response):
    client = handover.client_socket(environ)
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(environ["QUERY_STRING"])
        socket.send_fds(link, [b"early:" + handover.early_bytes(environ)], [client.fileno()])
        assert link.recv(1) == b"+"
    handover.release(environ)
    start_response("101 Switching Protocols", [])
    return []


def until(condition, seconds=60.0):
    """Wait for a condition and return what it gave."""
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
            "GYMSERVE_DATA": str(folder / "data"),  # for gunicorn.conf.py, which stands where this runs
        }
        command = [sys.executable, "-m", module] if module else [sys.executable]
        if module:
            command += ["-b", f"127.0.0.1:{self.port}", "-w", "1", "--log-level", "info", "--access-logfile", "-"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments] + (["test_worker:app"] if module else []),
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
    """One answer with a Content-Length, head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536) or stop_reading(data)
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(65536) or stop_reading(body)
    return head, body


def stop_reading(data):
    raise EOFError(f"the connection ended after {data!r}")


def seconds_of_a_step(client):
    begin = time.perf_counter()
    client.sendall(STEP)
    assert read_answer(client)[1] == ANSWER
    return time.perf_counter() - begin


@pytest.fixture
def serve(tmp_path):
    started = []

    def start(*arguments, **more):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Server(folder, *arguments, **more))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("shared"), "--threads", "8")
    yield server
    server.stop()


@pytest.fixture
def server(shared):
    """A server for tests that leave it as it was."""
    yield shared
    shared.hang_up()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A server whose patience with slow clients is short."""
    folder = tmp_path_factory.mktemp("hasty")
    path = folder / "hasty.conf.py"
    path.write_text(
        "from gymserve.web.serving import server as serving, worker\nworker.REQUEST_SECONDS = 0.4\n"
        "globals().update(serving.options(threads=8))\n"
    )
    server = Server(folder, "-c", str(path))
    yield server
    server.stop()


@pytest.fixture
def patient(tmp_path):
    """A configuration in which a request may take longer to arrive than a test lasts."""
    path = tmp_path / "patient.conf.py"
    path.write_text(
        "from gymserve.web.serving import server as serving, worker\nworker.REQUEST_SECONDS = 900.0\n"
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
        received += client.recv(65536) or stop_reading(received)
    for cut in (1, 10, len(STEP) - len(BODY) - 1, len(STEP) - 3):
        client.sendall(STEP[:cut])
        assert select.select([client], [], [], 0.12)[0] == []
        client.sendall(STEP[cut:])
        assert read_answer(client)[1] == ANSWER


def test_http_is_spoken_as_gunicorn_speaks_it(server):
    assert server.ask("/echo", bytes(3_000_000)) == bytes(3_000_000)
    assert server.ask("/echo", iter([b"in ", b"chunks"])) == b"in chunks"
    assert server.ask("/pieces") == b"one two three"
    assert server.ask("/large") == bytes(1 << 20)
    assert server.ask("/nothing") == b"" == server.ask("/step", method="HEAD")
    assert b"Internal Server Error" in server.ask("/fails")
    assert server.connect(b"nonsense\n\n").recv(100).startswith(b"HTTP/1.1 400")
    assert server.connect(b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000).recv(100).startswith(b"HTTP/1.1 431")
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # https://, by mistake
    assert server.connect(hello).recv(100).startswith(b"HTTP/1.1 400")
    client = server.connect(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"ok")
    assert read_answer(client)[1] == b"ok"
    old = server.connect(b"GET /step HTTP/1.0\r\n\r\n")
    assert read_answer(old)[1] == ANSWER and old.recv(1) == b""


@pytest.mark.long
def test_slow_clients_do_not_hold_back_a_working_one(serve, patient):
    """Each step is compared with one of a server without them, at the same moment, so a busy machine slows both."""
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


def test_clients_that_do_not_hang_up_do_not_stall_the_others(server):
    closing = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    unread = [server.connect(closing) for _ in range(30)]
    assert server.ask("/step") == ANSWER
    assert all(read_answer(client)[1] == ANSWER for client in unread)


@pytest.mark.parametrize("end", [20, len(STEP) - 3])
def test_a_trickled_request_is_given_up_in_time(hasty, end):
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
def test_a_request_that_is_never_finished_is_forgotten(hasty):
    chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
    for data in (b"", STEP[:20], STEP[:-3], chunked):
        client = hasty.connect(data)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1000) == b""
    assert "Traceback" not in hasty.log.read_text()


def take_over(listener, client):
    """What a host does: accept the descriptor, acknowledge, answer the client directly."""
    link, _ = listener.accept()
    with link:
        early, descriptors, _, _ = socket.recv_fds(link, 1000, 1)
        link.send(b"+")
        assert link.recv(1) == b""
    with socket.socket(fileno=descriptors[0]) as taken:
        taken.setblocking(True)
        taken.sendall(b"hello")
        assert client.recv(1000) == b"hello"
        client.sendall(b"hello yourself")
        assert taken.recv(1000) == b"hello yourself"
        yield early
        taken.sendall(b"still here")
        assert client.recv(1000) == b"still here"
    assert client.recv(1000) == b""


WERKZEUG = """
import os, test_worker
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(os.environ["PORT"]), test_worker.app, threaded=True)
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", ["ours", "gthread", "sync", "werkzeug"])
def test_a_socket_can_be_taken_away(serve, tmp_path, kind):
    more = {"ours": (), "werkzeug": ("-c", WERKZEUG)}.get(kind, ("-k", kind))
    server = serve(*more, module=None if kind == "werkzeug" else "gunicorn")
    path = str(tmp_path / "link")
    with socket.create_server(path, family=socket.AF_UNIX) as listener:
        listener.settimeout(15)
        client = server.connect(b"GET /away?%s HTTP/1.1\r\nHost: a\r\n\r\nearly words" % path.encode())
        for early in take_over(listener, client):
            assert early == b"early:early words"
            assert server.ask("/step") == ANSWER
    if kind != "werkzeug":
        until(lambda: '" 101 ' in server.log.read_text())
    assert "Traceback" not in server.log.read_text()


@pytest.mark.long
def test_sockets_taken_away_leave_nothing_behind(serve, tmp_path):
    server = serve("--threads", "4", "--worker-connections", "10")
    path, worker = str(tmp_path / "link"), int(server.ask("/pid"))
    counts = []
    with socket.create_server(path, family=socket.AF_UNIX) as listener:
        listener.settimeout(15)
        for _ in range(40):
            client = server.connect(b"GET /away?%s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
            assert list(take_over(listener, client)) == [b"early:"]
            assert server.ask("/step") == ANSWER
            counts.append(len(os.listdir(f"/proc/{worker}/fd")))
    until(lambda: len(os.listdir(f"/proc/{worker}/fd")) <= min(counts))


@pytest.mark.long
def test_a_stopping_server_answers_what_it_has_begun(serve, tmp_path):
    server = serve()
    idle, half, staying = server.connect(GET), server.connect(STEP[:20]), server.connect(GET)
    assert read_answer(idle)[1] == ANSWER == read_answer(staying)[1]
    busy = server.connect(b"GET /hold?%s HTTP/1.1\r\nHost: a\r\n\r\n" % bytes(tmp_path))
    until((tmp_path / "held").exists)
    server.process.send_signal(signal.SIGTERM)
    until(lambda: refuses(server.port))
    (tmp_path / "go").touch()
    assert read_answer(busy)[1] == b"held"
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
def test_a_killed_worker_is_back(serve):
    server = serve()
    worker = int(server.ask("/pid"))
    os.kill(worker, signal.SIGKILL)

    def new_worker():
        answer = server.answers()
        return answer and int(answer) != worker

    until(new_worker)


def test_health_is_told_while_all_threads_wait_for_hosts(server, tmp_path):
    """Eight threads wait, and more requests behind them; those are answered once the threads are free."""
    held = []
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        held.append(server.connect(b"GET /hold?%s/%d HTTP/1.1\r\nHost: a\r\n\r\n" % (bytes(tmp_path), number)))
    until(lambda: len(list(tmp_path.glob("*/held"))) == 8)
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
    for client in (*held, kept):
        assert read_answer(client)[1] in (b"held", ANSWER)
    silent.sendall(GET)
    assert read_answer(silent)[1] == ANSWER
