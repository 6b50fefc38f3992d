"""A challenge server with crowdAI's protocol that is slow, fails or drops responses at random, from a seed."""

import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

FAULTS = ("fine", "fine", "500", "dropped before", "dropped after", "slow", "nonsense")
SLOW_SECONDS = 0.3


class ChallengeServer:
    """A challenge server that runs in a thread.

    Args:
        faults: the faults that are drawn for each call; without any, every call succeeds.
        shows_meta: whether its list of submissions shows their `meta`.
    """

    def __init__(self, *faults: str, seed: int = 0, shows_meta: bool = True) -> None:
        self.faults, self.shows_meta, self.draw = faults or ("fine",), shows_meta, random.Random(seed)
        self.lock = threading.Lock()
        self.submissions: dict[int, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        self.refuse = ""
        self.keys = {f"key{number}": number for number in range(1000)}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def do_GET(self) -> None:
                outer._serve(self)

            do_POST = do_PATCH = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/api"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def _serve(self, handler: Any) -> None:
        parts = urlsplit(handler.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        with self.lock:
            fault = self.draw.choice(self.faults)
            self.calls.append((handler.command, parts.path, query))
            if fault not in ("500", "dropped before", "nonsense"):
                status, body = self._answer(handler, parts.path.removeprefix("/api/"), query)
        if fault == "500":
            status, body = 500, {"message": "oh dear"}
        if fault == "nonsense":
            status, body = 202, "<html>"
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        if fault.startswith("dropped"):
            handler.close_connection = True
            return
        sent = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(sent)))
        handler.end_headers()
        handler.wfile.write(sent)

    def _answer(self, handler: Any, path: str, query: dict[str, str]) -> tuple[int, Any]:
        assert handler.headers["Authorization"] == "Token token=secret-token"
        assert handler.headers["Content-Type"] == "application/vnd.api+json"
        noun, _, name = path.partition("/")
        if handler.command == "GET" and noun == "external_graders":
            if name not in self.keys:
                return 404, {"message": "no such key", "participant_id": None}
            return 200, {"participant_id": self.keys[name], "message": "found"}
        if handler.command == "GET":
            return 200, [{**row, "meta": row["meta"] if self.shows_meta else None} for row in self.submissions.values()]
        if self.refuse:
            return 400, {"message": self.refuse}
        if handler.command == "POST":
            number = len(self.submissions) + 1
            meta = {"submission": query.get("meta[submission]")}
            self.submissions[number] = {"id": number, "meta": meta, "statuses": [query["grading_status"]], "scores": []}
        else:
            number = int(name)
            self.submissions[number]["statuses"].append(query["grading_status"])
            self.submissions[number]["scores"].append(query.get("score"))
            self.submissions[number]["message"] = query["grading_message"]
        return 202, {"message": "accepted", "submission_id": number, "submissions_remaining": 3, "reset_dttm": "later"}
