"""A limit on long requests, such as live curves, each of which occupies one of a worker's threads."""

import threading
from collections import Counter
from collections.abc import Callable

from gymserve.protocol.errors import LimitReached


class ConcurrencyLimit:
    """Limits the long requests of a worker, and those of each account, so that no account occupies all threads.

    Args:
        most: the requests of this worker at a time.
        each: the requests of one account at a time.
    """

    def __init__(self, most: int, *, each: int) -> None:
        self.most, self.each = most, each
        self._requests: Counter[int] = Counter()  # account → requests
        self._lock = threading.Lock()

    def enter(self, account: int) -> Callable[[], None]:
        """Count a request, and return the function that its end has to call.

        Args:
            account: the request's account; 0 on a server without accounts.

        Raises:
            LimitReached: the worker or the account has too many such requests.
        """
        with self._lock:
            if self._requests.total() >= self.most or (account and self._requests[account] >= self.each):
                raise LimitReached("too many live requests: try again later, or poll instead")
            self._requests[account] += 1
        return lambda: self._leave(account)

    def _leave(self, account: int) -> None:
        with self._lock:
            self._requests[account] -= 1
            self._requests += Counter()  # drops accounts whose count is 0
