"""Warm hosts: dedicated hosts that have made an environment ahead of the request for it.

A kind of environment that was requested and made lately is made once more in the background, for the next request for it.
"""

from collections import OrderedDict

QUIET_SECONDS = 0.5  # pause after a request, so that its own creation is not slowed down
KEPT_SECONDS = 600.0  # how long a warm host is kept after the last request for its kind
FAILED_SECONDS = 60.0  # pause after a warm host of the kind has died


class WarmHosts:
    """Decides which kinds of environments have a warm host.

    Args:
        most: the maximum number of warm hosts, each for another kind of environment.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._ready: OrderedDict[str, str] = OrderedDict()  # kind → slot, the oldest first
        self._requested: OrderedDict[str, float] = OrderedDict()  # kind → when, the latest last
        self._unmade: set[str] = set()  # requested kinds of which none was made since the last request
        self._failed: dict[str, float] = {}  # kind → when

    def __len__(self) -> int:
        return len(self._ready)

    def __contains__(self, slot: str) -> bool:
        """Whether the slot's host is a warm one without an instance."""
        return slot in self._ready.values()

    def claim(self, kind: str, now: float) -> str | None:
        """Notes a request for a kind, and returns the slot of its warm host, which is now in use, or None."""
        if self.most:
            self._requested[kind] = now
            self._requested.move_to_end(kind)
            while len(self._requested) > self.most:
                self._requested.popitem(last=False)
            self._unmade = {kind} | (self._unmade & self._requested.keys())
        return self._ready.pop(kind, None)

    def note_making(self, kind: str) -> None:
        """Notes that a requested environment was made, so that one more can be."""
        self._unmade.discard(kind)

    def missing(self, now: float) -> str | None:
        """A kind for which a warm host should be started now, or None."""
        for kind, moment in reversed(self._requested.items()):
            waits = now < moment + QUIET_SECONDS or now < self._failed.get(kind, -FAILED_SECONDS) + FAILED_SECONDS
            if kind not in self._ready and kind not in self._unmade and not waits and now < moment + KEPT_SECONDS:
                return kind
        return None

    def add(self, kind: str, slot: str) -> None:
        """Adds a warm host."""
        self._ready[kind] = slot

    def pop_unused(self, now: float) -> list[str]:
        """Removes the warm hosts whose kinds were not requested for long, and returns their slots."""
        old = [kind for kind in self._ready if now > self._requested.get(kind, -KEPT_SECONDS) + KEPT_SECONDS]
        return [self._ready.pop(kind) for kind in old]

    def note_end(self, slot: str, now: float) -> None:
        """Notes that the host of a slot has ended. If it was a warm one, its kind is not made again for a while."""
        for kind, own in list(self._ready.items()):
            if own == slot:
                del self._ready[kind]
                self._failed = {other: when for other, when in self._failed.items() if now < when + FAILED_SECONDS}
                self._failed[kind] = now
