"""Rate limits on accounts' steps, over all of their instances in all hosts."""

from functools import cached_property
from pathlib import Path

from gymserve.hosts import folders
from gymserve.protocol.errors import TooFast
from gymserve.system.rates import Rates

LEASES = 50  # per second: a host reserves steps in batches, because one access to `Rates` costs as much as a step


class RateLimit:
    """The rate limit of one account's steps in one host."""

    def __init__(self, rates: Rates, account: int, rate: float) -> None:
        self._rates, self._account, self._rate = rates, account, rate
        self._left = 0.0

    def consume(self, steps: int) -> None:
        """Counts steps against the limit.

        Raises:
            TooFast: the steps exceed the rate; none is counted.
        """
        if self._left < steps:
            self._left += self._lease(steps)
        self._left -= steps

    def _lease(self, steps: int) -> float:
        """Reserves a batch of steps, or at least as many as are needed now."""
        lacking = steps - self._left
        wait = 0.0
        for units in (max(self._rate / LEASES, lacking), lacking):
            wait = self._rates.acquire(
                "STEPS_PER_SECOND", self._account, rate=self._rate, burst=self._rate, units=units
            )
            if not wait:
                return units
        raise TooFast(f"the account may step STEPS_PER_SECOND = {self._rate:g} times: wait {wait:.3f} s", wait)


class RateLimits:
    """The rate limits of all accounts in one host.

    Args:
        file: the file of the rates, which all processes of the server share.
        rate: an account's steps per second, or 0 for no limit.
    """

    def __init__(self, file: Path, rate: float) -> None:
        self._file, self._rate = file, rate
        self._by_account: dict[int, RateLimit] = {}

    @cached_property
    def rates(self) -> Rates:
        """The rates of all subjects, which all processes of the server share."""
        return Rates(self._file)

    def of(self, token: str) -> RateLimit | None:
        """The rate limit of the account that `token` names, or None if it has none."""
        account = folders.owner_of(token)
        if not self._rate or not account:
            return None
        if account not in self._by_account:
            self._by_account[account] = RateLimit(self.rates, account, self._rate)
        return self._by_account[account]
