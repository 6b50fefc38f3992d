"""Places for what keeps one of a worker's threads for long, such as live curves: no account can take them all."""

import threading
from collections import Counter
from collections.abc import Callable

from gymserve.protocol.errors import LimitReached


class Places:
    """Args:
    most: of this worker.
    each: of those, how many one account may have at a time.
    """

    def __init__(self, most: int, *, each: int) -> None:
        self.most, self.each = most, each
        self._taken: Counter[int] = Counter()
        self._lock = threading.Lock()

    def enter(self, account: int) -> Callable[[], None]:
        """Takes a place; returns what gives it back.

        Args:
            account: whose; 0: nobody's, as on a server without accounts.

        Raises:
            LimitReached: there is none left, or the account has its share.
        """
        with self._lock:
            if self._taken.total() >= self.most or (account and self._taken[account] >= self.each):
                raise LimitReached("too many look at what goes on live: try again, or ask for it now and then")
            self._taken[account] += 1
        return lambda: self._leave(account)

    def _leave(self, account: int) -> None:
        with self._lock:
            self._taken[account] -= 1
            self._taken += Counter()  # forgets those who have none
