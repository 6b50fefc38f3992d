"""A challenge server of one's own: it knows the participants, and keeps the leaderboard of graders elsewhere.

    python examples/challenge_server.py [port] [token]

A gymserve server reports to it with CHALLENGE_SERVER_URL = "http://127.0.0.1:PORT/api" and CHALLENGE_SERVER_TOKEN = TOKEN.
It speaks crowdAI's protocol, which graders call at three addresses:

    GET   /api/external_graders/KEY    whose key is it?           → {"participant_id": 7}
    POST  /api/external_graders/       a submission has begun     → {"submission_id": 1}
    PATCH /api/external_graders/1      it has ended, with a score
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
TOKEN = sys.argv[2] if len(sys.argv) > 2 else "a-secret"
PARTICIPANTS = {"ada-s-key": 1, "alan-s-key": 2}  # a real one has a database

submissions: dict[int, dict[str, Any]] = {}


class Handler(BaseHTTPRequestHandler):
    """Answers graders, and shows the leaderboard to everybody else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        noun, name = self.parts()
        if noun == "":
            self.answer(200, leaderboard())
        elif not self.is_grader():
            self.answer(401, {"message": "the token is wrong"})
        elif noun == "submissions":  # a grader that lost an answer looks here before it reports again
            self.answer(200, list(submissions.values()))
        elif name in PARTICIPANTS:
            self.answer(200, {"participant_id": PARTICIPANTS[name], "message": "found"})
        else:
            self.answer(404, {"participant_id": None, "message": "no such key"})

    def do_POST(self) -> None:
        self.report({"id": len(submissions) + 1})

    def do_PATCH(self) -> None:
        _, name = self.parts()
        self.report(submissions.get(int(name) if name.isdigit() else 0))

    def report(self, submission: dict[str, Any] | None) -> None:
        """Keeps what a grader says about a submission."""
        fields = dict(parse_qsl(urlsplit(self.path).query))
        if not self.is_grader():
            return self.answer(401, {"message": "the token is wrong"})
        if submission is None:
            return self.answer(404, {"message": "no such submission"})
        submissions.setdefault(submission["id"], submission)
        submission["meta"] = (
            {"submission": fields.get("meta[submission]")} if "meta[submission]" in fields else submission["meta"]
        )
        submission["participant_id"] = PARTICIPANTS.get(fields.get("api_key", ""), submission.get("participant_id"))
        submission["grading_status"] = fields["grading_status"]
        submission["score"] = float(fields["score"]) if "score" in fields else None
        print(
            f"submission {submission['id']} is {submission['grading_status']}, score {submission['score']}", flush=True
        )
        return self.answer(202, {"message": "accepted", "submission_id": submission["id"]})

    def is_grader(self) -> bool:
        return self.headers["Authorization"] == f"Token token={TOKEN}"

    def parts(self) -> tuple[str, str]:
        noun, _, name = urlsplit(self.path).path.removeprefix("/api").strip("/").partition("/")
        return noun, name

    def answer(self, status: int, payload: object) -> None:
        body = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Prints nothing: a request's address has a participant's key."""


def leaderboard() -> list[dict[str, float]]:
    """The best score of each participant, best first."""
    best: dict[int, float] = {}
    for each in submissions.values():
        if each["score"] is not None:
            best[each["participant_id"]] = max(each["score"], best.get(each["participant_id"], each["score"]))
    return [{"participant": who, "score": score} for who, score in sorted(best.items(), key=lambda item: -item[1])]


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    print(f"challenge server at http://127.0.0.1:{server.server_port}/api", flush=True)
    server.serve_forever()
