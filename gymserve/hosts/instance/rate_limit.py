"""How fast an account may step, over all of its instances in all hosts."""

from pathlib import Path

from gymserve.hosts import folders
from gymserve.protocol.errors import TooFast
from gymserve.settings import Settings
from gymserve.system.rates import Rates

LEASES = 50  # a second: a host takes an account's steps by the batch, since asking costs as much as a step


class Pace:
    """One account's steps in one host."""

    def __init__(self, rates: Rates, account: int, rate: float) -> None:
        self._rates, self._account, self._rate = rates, account, rate
        self._left = 0.0

    def take(self, steps: int) -> None:
        """Raises: TooFast: these steps come too soon; nothing was taken."""
        if self._left < steps:
            self._left += self._leased(steps)
        self._left -= steps

    def _leased(self, steps: int) -> float:
        lacking = steps - self._left
        wait = 0.0
        for units in (max(self._rate / LEASES, lacking), lacking):
            wait = self._rates.acquire(
                "STEPS_PER_SECOND", self._account, rate=self._rate, burst=self._rate, units=units
            )
            if not wait:
                return units
        raise TooFast(f"the account may step STEPS_PER_SECOND = {self._rate:g} times: wait {wait:.3f} s", wait)


class Paces:
    """The accounts' paces in one host; none where the settings have no limit."""

    def __init__(self, settings: Settings) -> None:
        self._rate = float(settings.STEPS_PER_SECOND)
        self._rates = Rates(Path(settings.DATA) / "rates") if self._rate else None
        self._paces: dict[int, Pace] = {}

    def of(self, token: str) -> Pace | None:
        """The pace of the account that `token` names."""
        account = folders.owner_of(token)
        if self._rates is None or not account:
            return None
        if account not in self._paces:
            self._paces[account] = Pace(self._rates, account, self._rate)
        return self._paces[account]
