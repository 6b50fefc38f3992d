"""Everything that can go wrong, in one tree; the names are those that the server gives its errors.

ServerError                   message, status_code (None: the network failed, not the server)
├── InvalidRequest            the call is invalid; nothing was done
│   ├── InvalidValue          an action is not in its space; the text names the element
│   ├── UnknownArgument       the environment has no such argument; also a TypeError, as for a local environment
│   ├── UnknownEnvironment    the server has no such environment
│   └── Untrainable           an experiment cannot be trained; the text says why
├── Unauthenticated           the server needs a key (token=, $GYMSERVE_TOKEN), or this one is not valid
├── Forbidden                 the account, or its key, may not do this
├── NotFound                  it does not exist, or belongs to somebody else
│   └── UnknownInstance       the instance was closed, or expired: make a new one
├── Conflict                  the call does not fit the state: reset after an episode's end; one call at a time
│   ├── OutOfSequence         another client steps the same instance
│   └── NotReplayable         the instance was lost and could not be rebuilt: reset
├── KeyReused                 a call whose answer was lost was repeated with other arguments
├── LimitReached              a limit of the server: close something, or try later
│   └── TooFast               a rate limit: retry_after says how many seconds to wait; steps wait by themselves
├── Unavailable               the server is starting, stopping, or lacks a part: try again
│   └── DatabaseFull          the server's database is full; nothing was saved
├── StorageFull               the server's disk is full; nothing was done
├── EnvironmentFailed         the environment raised an error, or ended its process
│   └── StepTimeout           the environment took longer than the server allows
├── ConnectionLost            the server went away, and did not come back in time
│   └── NotReachable          no connection could be made at all
└── TimedOut                  the server is there, but did not answer in time
"""

from collections.abc import Iterator

BUSY = "this environment has not answered its last call yet: one call at a time; make one for each thread or task"
CLOSED = "this environment is closed: make a new one"


class ServerError(Exception):
    """Any failure of the server, or of the network on the way to it.

    Attributes:
        env_id: of a vector environment whose copies have instances of their own, the copy that failed.
    """

    env_id: int | None = None

    def __init__(self, message: str = "", status_code: int | None = None) -> None:
        super().__init__(message, status_code)
        self.message = message
        self.status_code = status_code

    def __str__(self) -> str:
        return self.message


class InvalidRequest(ServerError):
    """The call is invalid, and the text says what is wrong; nothing was done."""


class InvalidValue(InvalidRequest):
    """A value is not in its space; the text names the element."""


class UnknownArgument(InvalidRequest, TypeError):
    """The environment has no such argument, or agents may not set it; a TypeError, as for a local environment."""


class UnknownEnvironment(InvalidRequest):
    """The server has no such environment, or no package for it."""


class Untrainable(InvalidRequest):
    """An experiment with this algorithm, these hyperparameters or this environment cannot be trained; the text says why."""


class Unauthenticated(ServerError):
    """The server needs a key, or the key is not valid."""


class Forbidden(ServerError):
    """The account, or its key, may not do this."""


class NotFound(ServerError):
    """The requested thing does not exist, or belongs to another account."""


class UnknownInstance(NotFound):
    """The instance was closed, or expired: make a new one."""


class Conflict(ServerError):
    """The call does not fit the state of the instance."""


class OutOfSequence(Conflict):
    """The server expected another call, because another client steps the same instance."""


class NotReplayable(Conflict):
    """The instance was lost and could not be rebuilt as it was: reset it."""


class KeyReused(ServerError):
    """A call whose answer was lost was repeated with other arguments."""


class LimitReached(ServerError):
    """A limit of the server is reached; the text names it."""


class TooFast(LimitReached):
    """A rate limit is exceeded; the same call may be repeated after `retry_after` seconds."""

    retry_after = 1.0


class Unavailable(ServerError):
    """The server, or a part of it, is not there at the moment; the same call may succeed later."""


class DatabaseFull(Unavailable):
    """The server's database is full; nothing was saved."""


class StorageFull(ServerError):
    """The server's disk is full; the call was not carried out."""


class EnvironmentFailed(ServerError):
    """The environment raised an error, or ended its process."""


class StepTimeout(EnvironmentFailed):
    """The environment took longer over one call than the server allows."""


class ConnectionLost(ServerError):
    """The connection was lost, and could not be restored in time."""


class NotReachable(ConnectionLost):
    """No connection could be made."""


class TimedOut(ServerError):
    """The server did not answer in time."""


class CannotUpgrade(Exception):
    """Something on the way to the server does not let WebSockets through, so HTTP is used instead."""


def _tree(kind: type[ServerError]) -> Iterator[type[ServerError]]:
    yield kind
    for lower in kind.__subclasses__():
        yield from _tree(lower)


_BY_NAME = {kind.__name__: kind for kind in _tree(ServerError)}
_BY_STATUS: dict[int, type[ServerError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: KeyReused,
    429: LimitReached,
    500: EnvironmentFailed,
    502: Unavailable,
    503: Unavailable,
    507: StorageFull,
}


def server_error(name: object, message: object, status: int, retry_after: object = None) -> ServerError:
    """The error that the server calls `name`; for an unknown name, of a newer server, the error for its status."""
    error = _BY_NAME.get(str(name), _BY_STATUS.get(status, ServerError))(str(message), status)
    if isinstance(error, TooFast) and isinstance(retry_after, (int, float)):
        error.retry_after = float(retry_after)
    return error
