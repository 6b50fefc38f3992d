"""The internals of gunicorn that `gymserve.web.serving.worker` relies on; if one of these fails, the worker needs a change."""

import inspect
import os
import re
import selectors
import socket
import tomllib
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import gunicorn
import pytest
from gunicorn import util
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import RequestParser, wsgi
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from gymserve.web.serving import reader, worker
from gymserve.web.serving.response import Response, write_error
from tests import ROOT

ADDRESS = ("127.0.0.1", 1)
REQUEST = b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nbody"
OVERRIDDEN = (
    "init_process",
    "init_signals",
    "load_wsgi",
    "enqueue_req",
    "handle",
    "finish_request",
    "set_accept_enabled",
    "handle_exit",
)


@pytest.fixture
def threads() -> Iterator[ThreadWorker]:
    """gunicorn's own worker, which is not running."""
    configuration = Config()
    threads = ThreadWorker(1, os.getpid(), [], None, 30, configuration, Logger(configuration))
    threads.poller = selectors.DefaultSelector()
    yield threads
    threads.poller.close()
    threads.tmp.close()


@pytest.fixture
def conn(threads: ThreadWorker) -> Iterator[Any]:
    """A connection on which a client has sent a request."""
    client, server = socket.socketpair()
    with client, server:
        client.sendall(REQUEST)
        yield TConn(threads.cfg, server, ADDRESS, ADDRESS)


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_worker_was_written_for_this_version() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["server"]
    (line,) = (each for each in needed if each.startswith("gunicorn"))
    assert line == f"gunicorn>={gunicorn.version_info[0]},<{gunicorn.version_info[0] + 1}"
    assert f"gunicorn {gunicorn.version_info[0]}" in str(worker.__doc__)


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_overridden_methods_exist_with_the_same_parameters(name: str) -> None:
    theirs, ours = parameters(getattr(ThreadWorker, name)), parameters(getattr(worker.KeepAliveWorker, name))
    assert ours[: len(theirs)] == theirs


def test_all_overridden_methods_are_listed() -> None:
    own = {name for name, value in vars(worker.KeepAliveWorker).items() if inspect.isfunction(value)} - {"__init__"}
    assert own & {name for name, _ in inspect.getmembers(ThreadWorker)} == set(OVERRIDDEN)


def test_a_worker_has_the_attributes_that_ours_reads(threads: ThreadWorker) -> None:
    for name in ("alive", "sockets", "tpool", "method_queue", "pending_conns", "nr_conns", "log", "wsgi", "cfg"):
        assert name == "wsgi" or hasattr(threads, name), name
    assert threads.alive is True and threads.nr_conns == 0 and not threads.pending_conns


def test_copied_settings_are_plain_attributes(threads: ThreadWorker) -> None:
    configuration = threads.cfg
    vars(configuration).update((name, setting.get()) for name, setting in configuration.settings.items())
    assert vars(configuration)["threads"] == configuration.threads == 1
    assert not configuration.is_ssl


def test_a_deferred_connection_is_the_last_pending_one_and_has_a_timeout(threads: ThreadWorker, conn: TConn) -> None:
    deferred: Future[bool] = Future()
    deferred.set_result(worker.DEFER)
    threads.finish_request(conn, deferred)
    assert threads.pending_conns[-1] is conn and isinstance(conn.timeout, float)


def test_a_connection_is_parsed_from_our_reader(threads: ThreadWorker, conn: Any) -> None:
    assert (conn.initialized, conn.is_http2, conn.timeout, conn.parser) == (False, False, None, None)
    assert conn.wait_for_data(1.0) is True
    conn.init()
    assert conn.initialized and conn.parser.req_count == 0 and conn.parser.unreader.take_buffered() == b""
    permits = reader.Permits(1)
    conn.parser.unreader = requests = reader.RequestReader(conn.sock, b"", permits, permits)
    assert requests.read_request() and requests.started()
    request = next(conn.parser)
    assert (request.method, request.uri, request.body.read()) == ("POST", "/echo", b"body")
    assert conn.parser.req_count == 1 and not requests.started()


def test_our_reader_has_the_unreaders_interface(conn: TConn) -> None:
    assert parameters(SocketUnreader.chunk) == parameters(reader.RequestReader.chunk) == ["self", "size_hint"]
    assert SocketUnreader(conn.sock, 7).mxchunk == 7


@pytest.mark.parametrize("headers", [[("Content-Length", "4")], []])
def test_our_response_is_used_and_differs_only_in_its_head(
    threads: ThreadWorker, monkeypatch: pytest.MonkeyPatch, headers: list[tuple[str, str]]
) -> None:
    heads = []
    for kind in (wsgi.Response, Response):
        monkeypatch.setattr(wsgi, "Response", kind)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            request = next(RequestParser(threads.cfg, iter([REQUEST]), ADDRESS))
            response, _ = wsgi.create(request, ours, ADDRESS, ADDRESS, threads.cfg)
            assert type(response) is kind
            response.start_response("200 OK", headers)
            response.write(b"body")
            response.close()
            assert response.headers_sent and response.sent == 4
            heads.append(re.sub(rb"Date: [^\r]+", b"Date", theirs.recv(4096)))
    assert re.sub(rb"Server: [^\r]+\r\n", b"", heads[0]) == heads[1]


def test_errors_are_written_by_a_function_that_ours_replaces() -> None:
    assert parameters(util.write_error) == parameters(write_error)
    assert "util.write_error(client" in inspect.getsource(ThreadWorker.handle_error)
    assert {"sock", "timeout"} <= set(parameters(util.close_graceful))
    assert parameters(util.write_nonblock)[:2] == ["sock", "data"]
