"""The supervisor's counters of what hosts and workers did, and accounts' quotas."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from gymserve.hosts import folders
from gymserve.hosts.supervisor.settings import QuotaSettings
from gymserve.protocol.errors import LimitReached


class Quotas:
    """Counts events and use, and refuses what exceeds a quota. Counters start from zero with the supervisor."""

    def __init__(self, settings: QuotaSettings) -> None:
        self.settings = settings
        self.counters: dict[str, float] = {}
        self._streams: dict[str, Counter[int]] = {}  # slot → account → open streams
        self._storage: dict[int, int] = {}

    def add(self, increments: dict[str, float]) -> None:
        """Adds to the counters."""
        for name, amount in increments.items():
            self.counters[name] = self.counters.get(name, 0.0) + amount

    def report(self, slot: str, streams: dict[int, int], increments: dict[str, float]) -> None:
        """Stores a host's report, which comes every second."""
        self._streams[slot] = Counter(streams)
        self.add(increments)

    def forget(self, slot: str) -> None:
        """Forgets the streams of a slot whose host has ended."""
        self._streams.pop(slot, None)

    @property
    def streams(self) -> int:
        """The number of open streams."""
        return sum(counter.total() for counter in self._streams.values())

    def admit_stream(self, slot: str, account: int) -> None:
        """Counts a stream that is about to be opened; the host's next report corrects the count.

        Raises:
            LimitReached: the settings allow no further stream.
        """
        if self.streams >= self.settings.max_streams:
            raise LimitReached(f"there are MAX_STREAMS = {self.settings.max_streams} streams already")
        most = self.settings.account_streams
        if account and sum(counter[account] for counter in self._streams.values()) >= most:
            raise LimitReached(f"the account has ACCOUNT_STREAMS = {most} streams already: close one")
        self._streams.setdefault(slot, Counter())[account] += 1

    def admit_instance(self, account: int, tokens: Iterable[str]) -> None:
        """Checks that an account may have another instance besides those in `tokens`.

        Raises:
            LimitReached: the account has used up its quota of instances or storage.
        """
        most, marks = self.settings.account_instances, (f".{account}-", f"~{account}-")
        if sum(marks[0] in token or marks[1] in token for token in tokens) >= most:
            raise LimitReached(f"the account has ACCOUNT_INSTANCES = {most} instances already: close one")
        self.admit_storage(account)

    def admit_storage(self, account: int) -> None:
        """Checks that an account may store more data. Storage is measured once a minute.

        Raises:
            LimitReached: the account has used up its storage quota.
        """
        megabytes = self.settings.account_storage_mb
        if account and self._storage.get(account, 0) > megabytes * 2**20:
            raise LimitReached(
                f"the account's journals and uploads take more than ACCOUNT_STORAGE_MB = {megabytes}; "
                f"they are deleted after JOURNAL_DAYS = {self.settings.journal_days:g}"
            )

    def measure_storage(self, data: Path) -> None:
        """Measures the storage of each account's journals and uploads."""
        self._storage = folders.storage(data)
