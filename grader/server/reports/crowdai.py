"""A challenge server elsewhere, by the protocol of crowdAI's external graders: all parameters in the query string.

| call | answers |
|---|---|
| GET external_graders/{participant key} | 200 participant_id; 404 |
| POST external_graders | 202 submission_id, submissions_remaining; 400 |
| PATCH external_graders/{submission_id} | 202; 400 |
| GET submissions?challenge_client_name= | 200 a list |
"""

from typing import Any, NamedTuple
from urllib.parse import quote

from grader.server.reports import GRADED, SUBMITTED
from gymserve.outside.server import Answer, Server
from gymserve.protocol.errors import InvalidRequest, Unavailable
from gymserve.settings import Settings

SECONDS = 10.0  # for each call
MEDIA_TYPE = "application/vnd.api+json"
MARK = "meta[submission]"  # by which a submission is found again


class Refused(InvalidRequest):
    """The challenge server says no, for good; the text is its reason."""


class Entered(NamedTuple):
    """A submission on the challenge server; `remaining`: None where it does not say."""

    remote_id: str
    remaining: int | None


class CrowdAI:
    """Args:
    names: what says which challenge is meant: `{"challenge_client_name": …}`, or `challenge_id` as of 2017; with
        neither, a challenge's own name is its client name.
    """

    def __init__(self, server: Server, names: dict[str, str]) -> None:
        self.server, self.names = server, names

    @classmethod
    def of(cls, settings: Settings) -> "CrowdAI | None":
        """The one that the settings name.

        Raises:
            SettingsError: its URL is none.
        """
        if not settings.CHALLENGE_SERVER_URL:
            return None
        url = settings.CHALLENGE_SERVER_URL.rstrip("/").removesuffix("/external_graders")
        token = f"Token token={settings.CHALLENGE_SERVER_TOKEN}"
        server = Server(url, headers={"Authorization": token, "Content-Type": MEDIA_TYPE}, seconds=SECONDS)
        names = {
            "challenge_client_name": settings.CHALLENGE_CLIENT_NAME,
            "challenge_id": settings.CHALLENGE_ID,
            "challenge_round_id": settings.CHALLENGE_ROUND_ID,
        }
        return cls(server, {name: value for name, value in names.items() if value})

    def participant(self, key: str) -> str:
        """The id of the participant with this key.

        Raises:
            Refused: there is none.
            Unavailable: the server does not say.
        """
        answer = self.server.ask("GET", f"external_graders/{quote(key, safe='')}", {})
        if answer.status == 404 or (answer.status == 200 and _member(answer, "participant_id") is None):
            raise Refused(_message(answer))
        _expect(answer, 200)
        return str(_member(answer, "participant_id"))

    def enter(self, key: str, challenge: str, submission: str) -> Entered:
        """Makes a submission there. Where the answer was lost, `find` tells whether it is there.

        Raises:
            Refused, Unavailable: see `participant`.
        """
        query = {**self._names(challenge), "api_key": key, "grading_status": SUBMITTED, MARK: submission}
        answer = self.server.ask("POST", "external_graders", query)
        if answer.status == 400:
            raise Refused(_message(answer))
        _expect(answer, 202)
        remaining = _member(answer, "submissions_remaining")
        return Entered(str(_member(answer, "submission_id")), remaining if isinstance(remaining, int) else None)

    def find(self, challenge: str, submission: str) -> str | None:
        """The id there of a submission of ours; None: none that says so.

        Raises:
            Unavailable: the server does not say.
        """
        answer = self.server.ask("GET", "submissions", {**self._names(challenge), MARK: submission})
        _expect(answer, 200)
        for row in answer.body if isinstance(answer.body, list) else []:
            meta = row.get("meta") if isinstance(row, dict) else None
            if isinstance(meta, dict) and meta.get("submission") == submission:
                return str(row.get("id", row.get("submission_id")))
        return None

    def report(self, key: str, challenge: str, remote_id: str, status: str, told: dict[str, str]) -> None:
        """Says what became of a submission; the same again changes nothing.

        Args:
            status: graded or failed.
            told: score, score_secondary, grading_message, ….

        Raises:
            Refused, Unavailable: see `participant`.
        """
        message = {"grading_message": "Graded Successfully !"} if status == GRADED else {}
        query = {**self._names(challenge), "api_key": key, "grading_status": status, **message, **told}
        answer = self.server.ask("PATCH", f"external_graders/{quote(remote_id, safe='')}", query)
        if answer.status == 400:
            raise Refused(_message(answer))
        _expect(answer, 202)

    def _names(self, challenge: str) -> dict[str, str]:
        named = "challenge_client_name" in self.names or "challenge_id" in self.names
        return self.names if named else {"challenge_client_name": challenge, **self.names}


def _member(answer: Answer, name: str) -> Any:
    return answer.body.get(name) if isinstance(answer.body, dict) else None


def _message(answer: Answer) -> str:
    return str(_member(answer, "message") or "the challenge server refuses, and says no reason")[:300]


def _expect(answer: Answer, status: int) -> None:
    """Raises Unavailable where the answer is another one: what is wrong there may be put right, so that waiting helps."""
    if answer.status != status or (status == 202 and _member(answer, "submission_id") is None):
        raise Unavailable(f"the challenge server answered {answer.status}")
