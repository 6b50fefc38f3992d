"""An OpenAI-compatible endpoint that works, or fails in a way that a test chooses."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECES = ["# Report\n\n", "approx_kl is ", "too high: <img src=x onerror=alert(1)>.\n", "\N{GRINNING FACE} done\n"]
WRONG = {
    "garbage": b"<html>" + b"\xff" * 1000 + b"\n",
    "nonsense": b'data: {"choices": [{"delta": [1]}]}\n\n',
    "nothing": b"data: [DONE]\n\n",
}


class Endpoint:
    """A server that behaves as a test chooses.

    Attributes:
        manner: "well", or the fault of every call.
        calls: the received (headers, body).
        going_on: what a call of the manner "waits" waits for.
    """

    def __init__(self) -> None:
        self.manner, self.going_on = "well", threading.Event()
        self.calls: list[tuple[dict[str, str], Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                assert self.path == "/v1/chat/completions"
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.calls.append((dict(self.headers), body))
                self.close_connection = True
                outer._answer(self)

            def do_GET(self) -> None:
                raise AssertionError("a redirect was followed")

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.going_on.set()
        self.http.shutdown()
        self.http.server_close()

    def _answer(self, handler: Any) -> None:
        if self.manner in ("500", "302"):
            handler.send_response(int(self.manner))
            handler.send_header("Location", "http://169.254.169.254/latest/meta-data")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        if self.manner == "silent":
            self.going_on.wait(60)
            return
        if self.manner in WRONG:
            _chunk(handler, WRONG[self.manner], last=True)
            return
        for number, piece in enumerate(PIECES):
            _chunk(handler, _completion({"content": piece}))
            if self.manner == "drops" and number == 1:
                return
            if self.manner == "waits" and number == 1:
                self.going_on.wait(60)
        if self.manner == "endless":
            for _ in range(1000):
                _chunk(handler, _completion({"content": "x" * 1000}))
        _chunk(handler, _completion({}, "stop") + b"data: [DONE]\n\n", last=True)


def _completion(delta: dict[str, str], reason: str | None = None) -> bytes:
    body = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    return f"data: {json.dumps(body)}\n\n".encode()


def _chunk(handler: Any, data: bytes, *, last: bool = False) -> None:
    try:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) + (b"0\r\n\r\n" if last else b""))
        handler.wfile.flush()
    except OSError:  # the server has closed the connection
        pass
