"""What to do when an answer does not come, without I/O: a script of commands that the sync and the async client carry out."""

from collections.abc import Generator
from typing import Any, NamedTuple

from client.conversation import Conversation
from client.exceptions import (
    CannotUpgrade,
    ConnectionLost,
    EnvironmentFailed,
    KeyReused,
    OutOfSequence,
    ServerError,
    TimedOut,
    TooFast,
    Unavailable,
)
from client.patience import Patience


class Pause(NamedTuple):
    """Do nothing for `seconds`."""

    seconds: float


class Wait(NamedTuple):
    """Do nothing for `seconds`; the stream stays open."""

    seconds: float


class Connect(NamedTuple):
    """Open the stream, if it is not open."""


class Exchange(NamedTuple):
    """Send `message` on the stream; gives its answer."""

    message: bytes


class Call(NamedTuple):
    """One HTTP call; gives what it answered."""

    method: str
    path: str
    body: Any = None


Command = Pause | Wait | Connect | Exchange | Call
Script = Generator[Command, Any, Any]

UNSURE = (ConnectionLost, TimedOut, OutOfSequence, KeyReused)
"""After these it is not known whether the question was carried out."""


def ask(talk: Conversation, patience: Patience, *, lost: int = 0) -> Script:
    """Asks what `talk` asked last until it is answered; the commands raise what goes wrong.

    A question that ended the connection twice is asked over HTTP, whose answer says why.

    Args:
        lost: how many connections it has ended already.

    Raises:
        ServerError: the server refused, or did not come back within the patience.
    """
    while True:
        try:
            if not talk.resolved():
                talk.settle((yield Call("GET", f"/v1/envs/{talk.token}/")))
            if talk.over_http or lost >= 2:
                lost = 0
                return talk.read_http((yield Call(*talk.http())))
            try:
                yield Connect()
            except EnvironmentFailed as error:
                if lost:  # by this question
                    raise
                raise Unavailable(error.message, error.status_code) from error
            try:
                result = talk.read((yield Exchange(talk.message())))
            except ConnectionLost:
                lost += 1
                raise
            talk.unresolved = None
            return result
        except TooFast as error:
            yield Wait(patience.wait(error))
        except CannotUpgrade:
            talk.over_http = True
        except (ConnectionLost, Unavailable) as error:
            yield Pause(_pause(talk, patience, error))
        except UNSURE:
            talk.unresolved = talk.asked
            raise


def _pause(talk: Conversation, patience: Patience, error: ServerError) -> float:
    try:
        return patience.pause(error)
    except ServerError:
        talk.unresolved = talk.asked
        raise
