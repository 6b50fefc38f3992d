"""A host's report to the supervisor, once a second: its open streams, and what its instances did since the last one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sized

from gymserve.hosts import folders
from gymserve.hosts.instance.live import LiveInstance
from gymserve.hosts.messages import ReportUse


class UsageReport:
    """Collects increments of counters by name. Those of an environment are named `name:environment`."""

    def __init__(self) -> None:
        self._counts: dict[str, float] = {}
        self._requests: dict[tuple[bool, int], list[float]] = {}  # (is a reset, status) → number, seconds
        self.had_streams = False  # since the last message

    def count_request(self, is_reset: bool, status: int, seconds: float) -> None:
        """Adds a request on a lent connection."""
        try:
            both = self._requests[is_reset, status]
        except KeyError:
            both = self._requests[is_reset, status] = [0.0, 0.0]
        both[0] += 1.0
        both[1] += seconds

    def add(self, instance: LiveInstance) -> None:
        """Adds what `instance` did since it was last added."""
        now = {"journal_bytes": instance.journal.size, **dict(instance.recorded.step_times.counters())}
        before, instance.counted = instance.counted, now
        for name, value in now.items():
            if value != (old := before.get(name, 0)):
                key = f"{name}:{instance.recipe.environment}"
                self._counts[key] = self._counts.get(key, 0.0) + value - old

    def message(self, streams: Mapping[str, Sized]) -> ReportUse | None:
        """Returns the report and starts a new one; None if there is nothing to report.

        Args:
            streams: token → the instance's open streams.
        """
        for (is_reset, status), (number, seconds) in self._requests.items():
            label = f"POST v1.{'reset' if is_reset else 'step'} {status}"
            for name, amount in ((f"requests:{label}", number), (f"request_seconds:{label}", seconds)):
                self._counts[name] = self._counts.get(name, 0.0) + amount
            self._counts["lent_requests"] = self._counts.get("lent_requests", 0.0) + number
        self._requests.clear()
        if not (self._counts or streams or self.had_streams):
            return None
        counts, self._counts, self.had_streams = self._counts, {}, bool(streams)
        return ReportUse(_by_account(streams.items()), counts)


def _by_account(streams: Iterable[tuple[str, Sized]]) -> Counter[int]:
    accounts: Counter[int] = Counter()
    for token, group in streams:
        accounts[folders.owner_of(token)] += len(group)
    return accounts
