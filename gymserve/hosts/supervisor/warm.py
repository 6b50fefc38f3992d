"""Hosts of their own that have made an environment before it is asked for: which there are, and which are to be made.

What was asked for lately is made once more, in the background, for whoever asks for the same next.
"""

from collections import OrderedDict

QUIET_SECONDS = 0.5  # after a creation, which is not to be slowed down
KEPT_SECONDS = 600.0  # after the last creation of its kind
FAILED_SECONDS = 60.0


class Prepared:
    """Args:
    most: how many hosts are kept ready, each for another kind of environment.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._ready: OrderedDict[str, str] = OrderedDict()  # kind → slot, the oldest first
        self._asked: OrderedDict[str, float] = OrderedDict()  # kind → when, the latest last
        self._failed: dict[str, float] = {}  # kind → when

    def __len__(self) -> int:
        return len(self._ready)

    def __contains__(self, slot: str) -> bool:
        return slot in self._ready.values()

    def take(self, kind: str, now: float) -> str | None:
        """The slot of a host that is ready for this kind, which is no longer prepared; None: there is none."""
        if self.most:
            self._asked[kind] = now
            self._asked.move_to_end(kind)
            while len(self._asked) > self.most:
                self._asked.popitem(last=False)
        return self._ready.pop(kind, None)

    def missing(self, now: float) -> str | None:
        """A kind for which a host is to be made ready now."""
        for kind, asked in reversed(self._asked.items()):
            waits = now < asked + QUIET_SECONDS or now < self._failed.get(kind, -FAILED_SECONDS) + FAILED_SECONDS
            if kind not in self._ready and not waits and now < asked + KEPT_SECONDS:
                return kind
        return None

    def add(self, kind: str, slot: str) -> None:
        self._ready[kind] = slot

    def surplus(self, now: float) -> list[str]:
        """Takes out the slots of hosts that nobody will want."""
        old = [kind for kind in self._ready if now > self._asked.get(kind, -KEPT_SECONDS) + KEPT_SECONDS]
        return [self._ready.pop(kind) for kind in old]

    def lost(self, slot: str, now: float) -> None:
        """The host of a slot has ended; if it was prepared, its kind is left alone for a while."""
        for kind, own in list(self._ready.items()):
            if own == slot:
                del self._ready[kind]
                self._failed = {other: when for other, when in self._failed.items() if now < when + FAILED_SECONDS}
                self._failed[kind] = now
