"""The messages between a lender and a borrower."""

import msgspec

from gymserve.hosts.link import decoder


class Lend(msgspec.Struct, frozen=True, array_like=True, tag="lend"):
    """Lends a connection, whose descriptor comes with this message.

    Attributes:
        number: the loan's number, which is its place in the ledger.
        idle_seconds: how long the client may be silent.
        terms: what the borrower may do with the connection; the hand-over does not look into it.
    """

    number: int
    idle_seconds: float
    terms: msgspec.Raw


class Back(msgspec.Struct, frozen=True, array_like=True, tag="back"):
    """Gives a connection back; what its client has sent since the last response is still unread.

    Attributes:
        at: the monotonic time when the first unread byte arrived, or that of the last response if there is none.
    """

    number: int
    at: float


lend = decoder(Lend)
back = decoder(Back)
