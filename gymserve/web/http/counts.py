"""A worker's request counts; the supervisor adds up those of all workers."""

import threading
from collections import deque

from gymserve.hosts.messages import AddCounts
from gymserve.hosts.pool.connections import Pool
from gymserve.protocol.errors import GymserveError

FLUSH_SECONDS = 1.0


class Counts:
    """Counts of requests and their time, sent to the supervisor within a second."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._requests: deque[tuple[str, str, int, float]] = deque()  # which threads may append to without a lock
        self._unsent: dict[str, float] = {}
        self._flush_lock = threading.Lock()
        self._flush_is_scheduled = False

    def add(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count one request. Every step calls this."""
        self._requests.append((method, endpoint, status, seconds))
        if not self._flush_is_scheduled:
            self._flush_is_scheduled = True
            timer = threading.Timer(FLUSH_SECONDS, self.flush)
            timer.daemon = True
            timer.start()

    def flush(self) -> None:
        """Send the counts to the supervisor; after a failure they are kept for the next flush."""
        with self._flush_lock:
            self._flush_is_scheduled = False
            for _ in range(len(self._requests)):
                method, endpoint, status, seconds = self._requests.popleft()
                label = f"{method} {endpoint} {status}"
                for name, amount in ((f"requests:{label}", 1.0), (f"request_seconds:{label}", seconds)):
                    self._unsent[name] = self._unsent.get(name, 0.0) + amount
            if not self._unsent:
                return
            try:
                self._pool.supervisor.ask(AddCounts(self._unsent))
                self._unsent = {}
            except GymserveError:
                pass
