"""An external challenge server, called by the protocol of crowdAI's graders: all parameters are in the query string.

| call | response |
|---|---|
| GET external_graders/{participant key} | 200 participant_id; 404 |
| POST external_graders | 202 submission_id, submissions_remaining; 400 |
| PATCH external_graders/{submission_id} | 202; 400 |
| GET submissions?challenge_client_name= | 200 a list |
"""

from typing import NamedTuple
from urllib.parse import quote

from gymserve.grader.server.reports import GRADED, SUBMITTED
from gymserve.outside.server import RemoteResponse, RemoteServer
from gymserve.protocol.errors import InvalidRequest, Unavailable
from gymserve.settings import Settings

SECONDS = 10.0  # per call
MEDIA_TYPE = "application/vnd.api+json"
MARK = "meta[submission]"  # identifies a submission of ours there


class Refused(InvalidRequest):
    """The challenge server refuses for good. The message is its reason."""


class RemoteSubmission(NamedTuple):
    """A submission on the challenge server. `remaining` is None if the server does not report it."""

    remote_id: str
    remaining: int | None


class CrowdAI:
    """A client of the challenge server.

    Args:
        challenge_params: the parameters that name the challenge: `{"challenge_client_name": …}`, or `challenge_id` as in
            2017. Without either, a challenge's own name is its client name.
    """

    def __init__(self, server: RemoteServer, challenge_params: dict[str, str]) -> None:
        self.server, self.challenge_params = server, challenge_params

    @classmethod
    def of(cls, settings: Settings) -> "CrowdAI | None":
        """A client of the server that the settings name, or None.

        Raises:
            SettingsError: its URL is invalid.
        """
        if not settings.CHALLENGE_SERVER_URL:
            return None
        url = settings.CHALLENGE_SERVER_URL.rstrip("/").removesuffix("/external_graders")
        token = f"Token token={settings.CHALLENGE_SERVER_TOKEN}"
        server = RemoteServer(url, headers={"Authorization": token, "Content-Type": MEDIA_TYPE}, seconds=SECONDS)
        params = {
            "challenge_client_name": settings.CHALLENGE_CLIENT_NAME,
            "challenge_id": settings.CHALLENGE_ID,
            "challenge_round_id": settings.CHALLENGE_ROUND_ID,
        }
        return cls(server, {name: value for name, value in params.items() if value})

    def participant(self, key: str) -> str:
        """The id of the participant with this key.

        Raises:
            Refused: there is no such participant.
            Unavailable: the server does not answer properly.
        """
        answer = self.server.call("GET", f"external_graders/{quote(key, safe='')}", {})
        if answer.status == 404 or (answer.status == 200 and _member(answer, "participant_id") is None):
            raise Refused(_message(answer))
        _expect(answer, 200)
        return str(_member(answer, "participant_id"))

    def enter(self, key: str, challenge: str, submission: str) -> RemoteSubmission:
        """Creates a submission there. If the response is lost, `find` shows whether it was created.

        Raises:
            Refused: the server refuses the submission.
            Unavailable: the server does not answer properly.
        """
        query = {**self._challenge(challenge), "api_key": key, "grading_status": SUBMITTED, MARK: submission}
        answer = self.server.call("POST", "external_graders", query)
        if answer.status == 400:
            raise Refused(_message(answer))
        _expect(answer, 202)
        remaining = _member(answer, "submissions_remaining")
        remote_id = str(_member(answer, "submission_id"))
        return RemoteSubmission(remote_id, remaining if isinstance(remaining, int) else None)

    def find(self, challenge: str, submission: str) -> str | None:
        """The id that the server gave to a submission of ours, or None if it has none.

        Raises:
            Unavailable: the server does not answer properly.
        """
        answer = self.server.call("GET", "submissions", {**self._challenge(challenge), MARK: submission})
        _expect(answer, 200)
        for row in answer.body if isinstance(answer.body, list) else []:
            meta = row.get("meta") if isinstance(row, dict) else None
            if isinstance(meta, dict) and meta.get("submission") == submission:
                return str(row.get("id", row.get("submission_id")))
        return None

    def report(self, key: str, challenge: str, remote_id: str, status: str, outcome: dict[str, str]) -> None:
        """Reports the outcome of a submission. Repeating it changes nothing.

        Args:
            status: "graded" or "failed".
            outcome: score, score_secondary, grading_message, ….

        Raises:
            Refused: the server refuses the report.
            Unavailable: the server does not answer properly.
        """
        message = {"grading_message": "Graded Successfully !"} if status == GRADED else {}
        query = {**self._challenge(challenge), "api_key": key, "grading_status": status, **message, **outcome}
        answer = self.server.call("PATCH", f"external_graders/{quote(remote_id, safe='')}", query)
        if answer.status == 400:
            raise Refused(_message(answer))
        _expect(answer, 202)

    def _challenge(self, name: str) -> dict[str, str]:
        params = self.challenge_params
        is_complete = "challenge_client_name" in params or "challenge_id" in params
        return params if is_complete else {"challenge_client_name": name, **params}


def _member(answer: RemoteResponse, name: str) -> object:
    return answer.body.get(name) if isinstance(answer.body, dict) else None


def _message(answer: RemoteResponse) -> str:
    return str(_member(answer, "message") or "the challenge server refuses without a reason")[:300]


def _expect(answer: RemoteResponse, status: int) -> None:
    """Checks the response's status.

    Raises:
        Unavailable: it is another status. The server may be repaired, so trying again later may help.
    """
    if answer.status != status or (status == 202 and _member(answer, "submission_id") is None):
        raise Unavailable(f"the challenge server answered {answer.status}")
