"""The errors of gymserve, in one tree without HTTP (`web/http/errors.py` has the table error → status).

GymserveError
├── InvalidRequest            the request is malformed; nothing was done
│   ├── InvalidValue          a value is not in its space
│   ├── UnknownArgument       the environment has no such argument, or agents may not set it
│   ├── UnknownEnvironment    the catalogue has no such id, or a package is missing
│   └── Untrainable           the algorithm does not exist or does not fit the environment
├── Unauthenticated           the caller's key, token or login is missing or invalid
├── Forbidden                 the caller may not do this
├── NotFound                  the thing does not exist, or belongs to another account
│   └── UnknownInstance       no instance has this token
├── Conflict                  the call does not fit the current state
│   ├── OutOfSequence         the `seq` is neither the last one nor the next
│   └── NotReplayable         the instance was lost and does not replay identically
├── KeyReused                 a `seq` or `Idempotency-Key` was used for another request
├── LimitReached              a limit of this server; try again later, or close something
│   └── TooFast               a rate limit, with the time to wait
├── Unavailable               a part of the server is missing at the moment; try again
│   └── DatabaseFull          the database's disk is full; nothing was stored
├── StorageFull               the journal could not be written; nothing was done
├── EnvironmentFailed         the environment raised an error or ended its process
│   └── StepTimeout           the environment took longer than the server allows
└── SettingsError             the server cannot start with its settings
"""


class GymserveError(Exception):
    """An error that gymserve raises on purpose; its message is meant for the caller."""


class InvalidRequest(GymserveError):
    """The request is malformed: the message names the value and what is allowed. Nothing was done."""


class InvalidValue(InvalidRequest):
    """A value is not in its space; the message names the element."""


class UnknownArgument(InvalidRequest):
    """An environment or a wrapper has no such argument, or agents may not set it."""


class UnknownEnvironment(InvalidRequest):
    """The catalogue has no such id, or a package that the environment needs is missing."""


class Untrainable(InvalidRequest):
    """The algorithm or hyper-parameter does not exist or does not fit the environment; the message says why."""


class Unauthenticated(GymserveError):
    """The caller is unknown: the key, token or login is missing, wrong, expired or revoked."""


class Forbidden(GymserveError):
    """The caller is known, but may not do this."""


class NotFound(GymserveError):
    """The thing does not exist, or belongs to another account; the message is the same for both."""


class UnknownInstance(NotFound):
    """No instance has this token: it never existed, was closed, or expired."""


class Conflict(GymserveError):
    """The call does not fit the current state, for example a step before the first reset."""


class OutOfSequence(Conflict):
    """The `seq` is neither the last one nor the next; the message names the expected one."""


class NotReplayable(Conflict):
    """The instance's process was lost, and its episode does not replay identically."""


class KeyReused(GymserveError):
    """A `seq` or an `Idempotency-Key` was used before, for another request."""


class LimitReached(GymserveError):
    """A limit of this server is reached; the message names it."""


class TooFast(LimitReached):
    """A rate limit is exceeded; the call may be repeated after `retry_after` seconds."""

    def __init__(self, text: str, retry_after: float = 1.0) -> None:
        super().__init__(text, retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class Unavailable(GymserveError):
    """A part of the server is missing at the moment; the same call may succeed later."""


class DatabaseFull(Unavailable):
    """The database's disk is full; nothing was stored. The same call succeeds once there is room."""


class StorageFull(GymserveError):
    """The journal could not be written; the call was not carried out."""


class EnvironmentFailed(GymserveError):
    """The environment raised an error, or ended its process."""


class StepTimeout(EnvironmentFailed):
    """The environment took longer over one call than the server allows."""


class SettingsError(GymserveError):
    """The server cannot start with these settings; the message says what to change."""
