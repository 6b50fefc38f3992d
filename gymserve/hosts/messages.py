"""The messages of the links: what workers ask of hosts and of the supervisor, and what hosts tell the supervisor.

Each is a msgpack array of its tag and its fields. The receiver decodes it once, into the union of what it answers to.
"""

from typing import Any, Generic

import msgspec

from gymserve.hosts.link import Answer, Request, decoder


class InstanceCall(Request[Answer], Generic[Answer], frozen=True, array_like=True):
    """A request to the host of an instance."""

    token: str


# --- to a host ----------------------------------------------------------------------------------------------------


class CreateInstance(InstanceCall[str], frozen=True, array_like=True, tag="create"):
    """Makes an instance; answers its token.

    Attributes:
        recipe: see `Recipe.to_dict`.
    """

    recipe: dict[str, Any]


class DescribeInstance(InstanceCall[dict[str, Any]], frozen=True, array_like=True, tag="describe"):
    """Answers `hosts.answers.description`."""

    short: bool


class StepInstance(InstanceCall[bytes], frozen=True, array_like=True, tag="step"):
    """Acts once; answers JSON.

    Attributes:
        action: as it came in JSON.
        at: when the request was whole, by the monotonic clock; None: just now.
        call: names the request, so that it is carried out once.
    """

    action: Any
    at: float | None
    call: int | None


class ResetInstance(InstanceCall[bytes], frozen=True, array_like=True, tag="reset"):
    """Starts an episode; answers JSON."""

    seed: Any
    options: Any
    call: int | None


class RenderInstance(InstanceCall[tuple[str, bytes]], frozen=True, array_like=True, tag="render"):
    """Answers (media type, body)."""


class CloseInstance(InstanceCall[None], frozen=True, array_like=True, tag="close"):
    """Ends an instance."""


class SampleAction(InstanceCall[Any], frozen=True, array_like=True, tag="sample"):
    """Answers a random action, as JSON."""


class CheckAction(InstanceCall[bool], frozen=True, array_like=True, tag="contains"):
    """Answers whether the JSON `text` is an action."""

    text: str


class MonitorInstance(InstanceCall[None], frozen=True, array_like=True, tag="monitor"):
    """Starts monitoring with `options`, or ends it (None)."""

    options: dict[str, Any] | None


class AttachStream(InstanceCall[None], frozen=True, array_like=True, tag="attach"):
    """Agrees to take over an agent's socket, which comes next on the connection.

    Attributes:
        compression: "zstd", "lz4" or "".
        handshake: what the host sends first.
        early: what the agent sent with its request already.
    """

    compression: str
    handshake: bytes
    early: bytes


class DescribeSpaces(Request[dict[str, Any]], frozen=True, array_like=True, tag="spaces"):
    """Answers `Catalogue.spaces`; no instance is needed."""

    env_id: str
    kwargs: dict[str, Any]


HostRequest = (
    StepInstance
    | ResetInstance
    | CreateInstance
    | DescribeInstance
    | RenderInstance
    | CloseInstance
    | SampleAction
    | CheckAction
    | MonitorInstance
    | AttachStream
    | DescribeSpaces
)

# --- to the supervisor --------------------------------------------------------------------------------------------


class Placement(msgspec.Struct, frozen=True, array_like=True):
    """The token of a new instance; not `new` for a repeated `Idempotency-Key`."""

    token: str
    new: bool


class HostAddress(msgspec.Struct, frozen=True, array_like=True):
    """Where a host listens; or "", and the seconds after which to ask again."""

    path: str
    wait: float = 0.0


class Loss(msgspec.Struct, frozen=True, array_like=True):
    """Why a host ended.

    Attributes:
        culprit: whether it ended in a call of the instance that the question is about.
        ended_by_us: whether the supervisor ended it.
    """

    culprit: bool
    reason: str
    ended_by_us: bool


class Status(msgspec.Struct, frozen=True):
    """Numbers for `/health` and `/metrics`.

    Attributes:
        hosts: slot → process id.
    """

    hosts: dict[str, int]
    instances: int
    streams: int
    clients: int
    counters: dict[str, float]
    uptime_seconds: float


class PlaceInstance(Request[Placement], frozen=True, array_like=True, tag="place"):
    """Chooses the host of a new instance.

    Attributes:
        kind: how its environment is made; "": in no time, so that it may share a host.
        apart: it is to have a host of its own; else one is shared as soon as this kind was made quickly once.
        key: an `Idempotency-Key` of the account's, for a creation with this `body`.
        account: whose it is to be; 0: nobody's.
        alone: its token alone is to let a bearer in.
    """

    kind: str
    apart: bool
    key: str | None
    body: str
    account: int
    alone: bool


class ReleaseInstance(Request[None], frozen=True, array_like=True, tag="release"):
    """Frees the place of an instance that could not be made."""

    token: str


class EnsureHost(Request[HostAddress], frozen=True, array_like=True, tag="ensure"):
    """Starts a slot's host where there is none."""

    slot: str


class ExplainLoss(Request[Loss], frozen=True, array_like=True, tag="death"):
    """Asks why the slot's last host ended, and whether that was in a call of the instance."""

    slot: str
    token: str


class AdmitStream(Request[None], frozen=True, array_like=True, tag="admit_stream"):
    """Counts a stream that is about to be opened, or refuses it."""

    slot: str
    account: int


class AdmitStorage(Request[None], frozen=True, array_like=True, tag="admit_storage"):
    """Refuses an account that keeps too much on the disk."""

    account: int


class AddCounts(Request[None], frozen=True, array_like=True, tag="count"):
    """Adds to the counters."""

    increments: dict[str, float]


class GetStatus(Request[Status], frozen=True, array_like=True, tag="status"):
    """Asks for the supervisor's numbers."""


class Stop(Request[None], frozen=True, array_like=True, tag="stop"):
    """Drains and ends."""


SupervisorRequest = (
    EnsureHost
    | PlaceInstance
    | ReleaseInstance
    | ExplainLoss
    | AdmitStream
    | AdmitStorage
    | AddCounts
    | GetStatus
    | Stop
)

# --- from a host to the supervisor, unanswered --------------------------------------------------------------------


class ReportUse(msgspec.Struct, frozen=True, array_like=True, tag="report"):
    """What a host did lately.

    Attributes:
        streams: account → open streams.
        counts: to be added to the counters.
    """

    streams: dict[int, int]
    counts: dict[str, float]


class NoteMaking(msgspec.Struct, frozen=True, array_like=True, tag="made"):
    """How many seconds an environment of a kind took to be made."""

    kind: str
    seconds: float


class NoteClosed(msgspec.Struct, frozen=True, array_like=True, tag="closed"):
    """An instance was closed, or could not be made."""

    token: str


class NoteLeaving(msgspec.Struct, frozen=True, array_like=True, tag="leaving"):
    """The host is about to end by itself."""


HostNotice = ReportUse | NoteMaking | NoteClosed | NoteLeaving

host_request = decoder(HostRequest)
supervisor_request = decoder(SupervisorRequest)
host_notice = decoder(HostNotice)
