"""The messages of the links: requests of workers to hosts and to the supervisor, and hosts' notices to the supervisor.

Each is a msgpack array of its tag and its fields. The receiver decodes it once, into the union of the types it handles.
"""

from typing import Any, Generic

import msgspec

from gymserve.hosts.link import Answer, LinkRequest, decoder


class InstanceCall(LinkRequest[Answer], Generic[Answer], frozen=True, array_like=True):
    """A request to the host of an instance."""

    token: str


# --- to a host ----------------------------------------------------------------------------------------------------


class CreateInstance(InstanceCall[str], frozen=True, array_like=True, tag="create"):
    """Creates an instance; answers its token.

    Attributes:
        recipe: see `Recipe.to_dict`.
    """

    recipe: dict[str, Any]


class DescribeInstance(InstanceCall[dict[str, Any]], frozen=True, array_like=True, tag="describe"):
    """Answers an instance's description, see `hosts.instance.answers.description`."""

    short: bool


class StepInstance(InstanceCall[bytes], frozen=True, array_like=True, tag="step"):
    """Acts once; answers the body of the HTTP response.

    Attributes:
        action: the action as plain data from JSON or, if it `is_packed`, from msgpack.
        at: the monotonic time when the request had arrived completely; None means now.
        call: identifies the request, so that it is carried out once.
        msgpack: whether the body is msgpack instead of JSON.
    """

    action: Any
    at: float | None
    call: int | None
    is_packed: bool = False
    msgpack: bool = False


class ResetInstance(InstanceCall[bytes], frozen=True, array_like=True, tag="reset"):
    """Starts an episode; answers the body of the HTTP response.

    Attributes:
        msgpack: whether it is msgpack instead of JSON.
    """

    seed: Any
    options: Any
    call: int | None
    msgpack: bool = False


class RenderInstance(InstanceCall[tuple[str, bytes]], frozen=True, array_like=True, tag="render"):
    """Renders an instance; answers (media type, body)."""


class CloseInstance(InstanceCall[None], frozen=True, array_like=True, tag="close"):
    """Ends an instance."""


class SampleAction(InstanceCall[Any], frozen=True, array_like=True, tag="sample"):
    """Samples the action space; answers the action as plain data for JSON."""


class CheckAction(InstanceCall[bool], frozen=True, array_like=True, tag="contains"):
    """Answers whether the JSON `text` is a valid action."""

    text: str


class MonitorInstance(InstanceCall[None], frozen=True, array_like=True, tag="monitor"):
    """Starts monitoring with `options`, or ends it (None)."""

    options: dict[str, Any] | None


class AttachStream(InstanceCall[None], frozen=True, array_like=True, tag="attach"):
    """Announces an agent's socket; once the host agrees, its descriptor is sent on the same connection.

    Attributes:
        compression: "zstd", "lz4" or "" for none.
        handshake: the bytes that the host sends to the agent first.
        early: bytes that the agent sent together with its HTTP request.
    """

    compression: str
    handshake: bytes
    early: bytes


class BorrowConnections(LinkRequest[None], frozen=True, array_like=True, tag="borrow"):
    """Makes the link one over which connections are lent (`hosts/lent`). It must be the first message, and is not answered.

    The descriptor of the lender's ledger comes with it.
    """


class DescribeSpaces(LinkRequest[dict[str, Any]], frozen=True, array_like=True, tag="spaces"):
    """Answers `Catalogue.spaces` without an instance."""

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
    | BorrowConnections
    | DescribeSpaces
)

# --- to the supervisor --------------------------------------------------------------------------------------------


class Placement(msgspec.Struct, frozen=True, array_like=True):
    """The token for an instance; `new` is False when the `Idempotency-Key` was used before."""

    token: str
    new: bool


class HostAddress(msgspec.Struct, frozen=True, array_like=True):
    """The socket path of a host, or "" and the seconds to wait before asking again."""

    path: str
    wait: float = 0.0


class Loss(msgspec.Struct, frozen=True, array_like=True):
    """Why a host ended.

    Attributes:
        culprit: whether it ended during a call of the instance in the request.
        ended_by_us: whether the supervisor killed it.
    """

    culprit: bool
    reason: str
    ended_by_us: bool


class SupervisorStatus(msgspec.Struct, frozen=True):
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


class PlaceInstance(LinkRequest[Placement], frozen=True, array_like=True, tag="place"):
    """Chooses the host of a new instance.

    Attributes:
        kind: how its environment is made; "" if that is known to be quick, so that it may share a host.
        apart: whether it must have its own host; if not, it shares one once this kind was made quickly.
        key: the account's `Idempotency-Key` for a request with this `body`.
        account: the instance's account, or 0 for none.
        alone: whether its token alone gives access.
    """

    kind: str
    apart: bool
    key: str | None
    body: str
    account: int
    alone: bool


class ReleaseInstance(LinkRequest[None], frozen=True, array_like=True, tag="release"):
    """Frees the place of an instance that could not be created."""

    token: str


class EnsureHost(LinkRequest[HostAddress], frozen=True, array_like=True, tag="ensure"):
    """Starts a slot's host if it does not run; answers its address."""

    slot: str


class ExplainLoss(LinkRequest[Loss], frozen=True, array_like=True, tag="death"):
    """Answers why the slot's last host ended, and whether that was during a call of the instance."""

    slot: str
    token: str


class AdmitStream(LinkRequest[None], frozen=True, array_like=True, tag="admit_stream"):
    """Counts a stream that is about to be opened, or refuses it because of a limit."""

    slot: str
    account: int


class AdmitStorage(LinkRequest[None], frozen=True, array_like=True, tag="admit_storage"):
    """Refuses an account that has used up its storage quota."""

    account: int


class AddCounts(LinkRequest[None], frozen=True, array_like=True, tag="count"):
    """Adds to the counters."""

    increments: dict[str, float]


class GetStatus(LinkRequest[SupervisorStatus], frozen=True, array_like=True, tag="status"):
    """Answers the supervisor's status."""


class Stop(LinkRequest[None], frozen=True, array_like=True, tag="stop"):
    """Drains the hosts and ends the supervisor."""


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
    """What a host did since its last report.

    Attributes:
        streams: account → open streams.
        counts: increments of the supervisor's counters.
    """

    streams: dict[int, int]
    counts: dict[str, float]


class NoteMaking(msgspec.Struct, frozen=True, array_like=True, tag="made"):
    """An instance with an environment of a kind was created; that took so many seconds, or None if it was made ahead."""

    kind: str
    seconds: float | None


class NoteClosed(msgspec.Struct, frozen=True, array_like=True, tag="closed"):
    """An instance was closed, or could not be created."""

    token: str


class NoteLeaving(msgspec.Struct, frozen=True, array_like=True, tag="leaving"):
    """The host is about to exit on its own."""


HostNotice = ReportUse | NoteMaking | NoteClosed | NoteLeaving

host_request = decoder(HostRequest)
supervisor_request = decoder(SupervisorRequest)
host_notice = decoder(HostNotice)
