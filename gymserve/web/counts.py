"""What a worker counts of its requests; the supervisor adds up all workers'."""

import threading

from gymserve.errors import GymserveError
from gymserve.hosts.pool import Pool

FLUSH_SECONDS = 1.0


class Counts:
    """Counters that reach the supervisor about once a second, with the next request."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str, int], list[float]] = {}
        self._timer: threading.Timer | None = None

    def add(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Counts one request."""
        key = (method, endpoint, status)
        with self._lock:
            counted = self._requests.get(key)
            if counted is None:
                counted = self._requests[key] = [0.0, 0.0]
            counted[0] += 1
            counted[1] += seconds
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Tells the supervisor. What it does not hear now is told the next time."""
        with self._lock:
            requests, self._requests, self._timer = self._requests, {}, None
        increments = {}
        for (method, endpoint, status), (number, seconds) in requests.items():
            increments[f"requests:{method} {endpoint} {status}"] = number
            increments[f"request_seconds:{method} {endpoint} {status}"] = seconds
        if increments:
            try:
                self._pool.ask("count", increments)
            except GymserveError:
                with self._lock:
                    for key, (number, seconds) in requests.items():
                        counted = self._requests.setdefault(key, [0.0, 0.0])
                        counted[0] += number
                        counted[1] += seconds
