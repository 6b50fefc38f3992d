"""What can go wrong, in one small tree; the names are those that the server gives its errors.

ServerError                   message, status_code (None: the server did not say it, the network did)
├── InvalidRequest            the call's words are off; nothing was done
│   ├── InvalidValue          an action that the space refuses; the text names the element
│   ├── UnknownEnvironment    the server has no such environment
│   └── Untrainable           an experiment that cannot be trained; the text says why
├── Unauthenticated           the server wants a key (token=, $GYMSERVE_TOKEN), or does not believe this one
├── Forbidden                 the account, or its key, may not do this
├── NotFound                  there is no such thing, or it is somebody else's
│   └── UnknownInstance       the instance was closed, or expired: make a new one
├── Conflict                  the call does not fit the state, such as a step after the end: reset
│   ├── OutOfSequence         somebody else steps the same instance
│   └── NotReplayable         the instance was lost and could not be rebuilt: reset
├── KeyReused                 the last answer was lost, and the call was repeated differently
├── LimitReached              a limit of the server: close something, or try later
│   └── TooFast               a rate is exceeded: retry_after says how many seconds to wait; steps wait by themselves
├── Unavailable               the server starts, stops, or lacks a part: try again
├── StorageFull               the server has no room left; nothing was done
├── EnvironmentFailed         the environment raised an error or ended its process
│   └── StepTimeout           the environment took longer than the server allows
├── ConnectionLost            the server went away, and did not come back in time
│   └── NotReachable          no connection could be made at all
└── TimedOut                  the server is there, and did not answer in time
"""

from collections.abc import Iterator


class ServerError(Exception):
    """Anything that the server, or the way to it, answers instead of a result."""

    def __init__(self, message: str = "", status_code: int | None = None) -> None:
        super().__init__(message, status_code)
        self.message = message
        self.status_code = status_code

    def __str__(self) -> str:
        return self.message


class InvalidRequest(ServerError):
    """The call's words are off; nothing was done."""


class InvalidValue(InvalidRequest):
    """A value is not in its space; the text names the element."""


class UnknownEnvironment(InvalidRequest):
    """The server has no such environment, or lacks a package for it."""


class Untrainable(InvalidRequest):
    """An experiment's algorithm, hyper-parameter or environment cannot be trained; the text says why."""


class Unauthenticated(ServerError):
    """The server wants a key, or does not believe the one that it got."""


class Forbidden(ServerError):
    """The account, or its key, may not do this."""


class NotFound(ServerError):
    """There is no such thing, or it belongs to somebody else."""


class UnknownInstance(NotFound):
    """The instance was closed, or expired: make a new one."""


class Conflict(ServerError):
    """The call does not fit the state of the instance."""


class OutOfSequence(Conflict):
    """The server expected another call, because somebody else steps the same instance."""


class NotReplayable(Conflict):
    """The instance was lost and cannot be rebuilt truthfully: reset it."""


class KeyReused(ServerError):
    """A call whose answer was lost was repeated differently."""


class LimitReached(ServerError):
    """A limit of the server is reached; the text names it."""


class TooFast(LimitReached):
    """A rate is exceeded; the same call may be made again after `retry_after` seconds."""

    retry_after = 1.0


class Unavailable(ServerError):
    """A part of the server is not there at the moment; the same call may succeed later."""


class StorageFull(ServerError):
    """The server has no room left; the call was not carried out."""


class EnvironmentFailed(ServerError):
    """The environment raised an error, or ended the process that it lives in."""


class StepTimeout(EnvironmentFailed):
    """The environment took longer over one call than the server allows."""


class ConnectionLost(ServerError):
    """The connection ended, and could not be made again in time."""


class NotReachable(ConnectionLost):
    """No connection could be made."""


class TimedOut(ServerError):
    """The server did not answer in time."""


class CannotUpgrade(Exception):
    """Something between here and the server does not let WebSockets through; HTTP is used instead."""


def _tree(kind: type[ServerError]) -> Iterator[type[ServerError]]:
    yield kind
    for lower in kind.__subclasses__():
        yield from _tree(lower)


_NAMED = {kind.__name__: kind for kind in _tree(ServerError)}
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


def named(name: str, message: str, status: int, retry_after: float | None = None) -> ServerError:
    """The error that the server calls `name`; for a name of a newer server, what its status says."""
    error = _NAMED.get(name, _BY_STATUS.get(status, ServerError))(message, status)
    if isinstance(error, TooFast) and retry_after is not None:
        error.retry_after = float(retry_after)
    return error
