"""What can go wrong, in one small tree without HTTP in it (`web/http/errors.py` holds the table error → status).

GymserveError
├── InvalidRequest            the caller's words are off; nothing was done
│   ├── InvalidValue          an action, observation or option that its space refuses
│   ├── UnknownArgument       the environment has no such argument, or agents may not give it
│   ├── UnknownEnvironment    no such id in the catalogue, or something is missing to make it
│   └── Untrainable           an algorithm, hyper-parameter or pair that cannot be trained
├── Unauthenticated           nobody has said who asks, or what was said is not believed
├── Forbidden                 who asks may not do this
├── NotFound                  there is no such thing, or it is somebody else's
│   └── UnknownInstance       no instance has this token
├── Conflict                  the call does not fit the state that the instance is in
│   ├── OutOfSequence         a `seq` that is neither the last one nor the next
│   └── NotReplayable         the instance was lost and cannot be rebuilt truthfully
├── KeyReused                 a `seq` or `Idempotency-Key` again, with another request
├── LimitReached              a limit of this server; try later, or close something
│   └── TooFast               a rate is exceeded; it says when to try again
├── Unavailable               the server is starting, stopping or short of a part; try again
│   └── DatabaseFull          the database's disk has no room; nothing was kept
├── StorageFull               the journal could not be written; nothing was done
├── EnvironmentFailed         the environment raised an error or ended its process
│   └── StepTimeout           the environment took longer than the server allows
└── SettingsError             the server cannot start like this
"""


class GymserveError(Exception):
    """Anything that gymserve raises on purpose; its text is meant for the caller."""


class InvalidRequest(GymserveError):
    """The caller's words are off: the text names the value and the way out. Nothing was done."""


class InvalidValue(InvalidRequest):
    """A value is not in its space; the text names the element."""


class UnknownArgument(InvalidRequest):
    """An environment, or a wrapper, has no such argument, or agents may not give it."""


class UnknownEnvironment(InvalidRequest):
    """The catalogue has no such id, or a package is missing to make it."""


class Untrainable(InvalidRequest):
    """There is no such algorithm or hyper-parameter, or it does not go with this environment; the text says why."""


class Unauthenticated(GymserveError):
    """Who asks is not known: no key or token was given, or it is wrong, expired or revoked."""


class Forbidden(GymserveError):
    """Who asks is known, and may not do this."""


class NotFound(GymserveError):
    """There is no such thing, or it belongs to somebody else: the answer is the same."""


class UnknownInstance(NotFound):
    """No instance has this token: it never was, was closed, or expired."""


class Conflict(GymserveError):
    """The call does not fit the state of the instance, such as a step before the first reset."""


class OutOfSequence(Conflict):
    """The `seq` is neither the last one nor the next; the text says which is expected."""


class NotReplayable(Conflict):
    """The instance's process was lost, and replaying its episode gave something else."""


class KeyReused(GymserveError):
    """A `seq` or an `Idempotency-Key` that was used came again with another request."""


class LimitReached(GymserveError):
    """A limit of this server is reached; the text names it."""


class TooFast(LimitReached):
    """A rate is exceeded; the same call may be made again after `retry_after` seconds."""

    def __init__(self, text: str, retry_after: float = 1.0) -> None:
        super().__init__(text, retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class Unavailable(GymserveError):
    """A part of the server is not there at the moment; the same call may succeed later."""


class DatabaseFull(Unavailable):
    """The database's disk has no room; nothing was kept. The same call succeeds once there is some."""


class StorageFull(GymserveError):
    """The journal could not be written; the call was not carried out."""


class EnvironmentFailed(GymserveError):
    """The environment raised an error, or ended the process that it lives in."""


class StepTimeout(EnvironmentFailed):
    """The environment took longer over one call than the server allows."""


class SettingsError(GymserveError):
    """The server cannot start with these settings; the text says what to change."""
