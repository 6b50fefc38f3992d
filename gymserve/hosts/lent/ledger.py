"""The ledger: memory that a lender and a borrower share, from which the lender learns how far a loan had come."""

import mmap
import os
from typing import NamedTuple

MOST = 8192  # loans of one ledger
IDLE, BEGUN, CONSUMED = range(3)  # the phases of a request
_BYTES = 8 * MOST


class LoanState(NamedTuple):
    """What the ledger says about a loan.

    Attributes:
        answered: how many of its requests were answered.
        phase: of the next request. BEGUN: it is still unread, but was perhaps carried out. CONSUMED: it was read from the
            connection, and its response may have been sent in part.
    """

    answered: int
    phase: int


class Ledger:
    """A number per loan: 4 × `answered` + `phase`. Only the borrower writes, apart from the start.

    Args:
        descriptor: of the memory that the lender made; None makes it.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("loans", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, _BYTES)
        self._memory = mmap.mmap(descriptor, _BYTES)
        self.descriptor = descriptor
        self.states = memoryview(self._memory).cast("Q")

    def clear(self, number: int) -> None:
        """Prepares an entry for a new loan."""
        self.states[number] = 0

    def read(self, number: int) -> LoanState:
        """Returns the entry of a loan."""
        return LoanState(*divmod(self.states[number], 4))

    def close(self) -> None:
        """Closes the descriptor; the memory is freed with this object."""
        os.close(self.descriptor)
