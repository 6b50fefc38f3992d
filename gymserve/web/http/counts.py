"""What a worker counts of its requests; the supervisor adds up all workers'."""

import threading
from collections import deque

from gymserve.hosts.messages import AddCounts
from gymserve.hosts.pool.connections import Pool
from gymserve.protocol.errors import GymserveError

FLUSH_SECONDS = 1.0


class Counts:
    """Requests, which the supervisor hears of within a second."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._requests: deque[tuple[str, str, int, float]] = deque()  # which threads may append to without a lock
        self._untold: dict[str, float] = {}
        self._telling = threading.Lock()
        self._waiting = False  # until the next flush

    def add(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Counts one request; on the way of every step."""
        self._requests.append((method, endpoint, status, seconds))
        if not self._waiting:
            self._waiting = True
            timer = threading.Timer(FLUSH_SECONDS, self.flush)
            timer.daemon = True
            timer.start()

    def flush(self) -> None:
        """Tells the supervisor; what it does not hear now is told the next time."""
        with self._telling:
            self._waiting = False
            for _ in range(len(self._requests)):
                method, endpoint, status, seconds = self._requests.popleft()
                label = f"{method} {endpoint} {status}"
                for name, amount in ((f"requests:{label}", 1.0), (f"request_seconds:{label}", seconds)):
                    self._untold[name] = self._untold.get(name, 0.0) + amount
            if not self._untold:
                return
            try:
                self._pool.supervisor.ask(AddCounts(self._untold))
                self._untold = {}
            except GymserveError:
                pass
