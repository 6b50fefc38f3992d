"""Slots: which instances live in which host, and how the host of a new one is chosen."""

import hashlib
import time
from collections.abc import Iterable, Iterator

from gymserve.hosts import folders
from gymserve.hosts.supervisor.settings import SlotSettings
from gymserve.hosts.supervisor.warm import WarmHosts
from gymserve.protocol.errors import LimitReached

OWN = ("d", folders.GRADED)  # the prefixes of slots that have one instance each
QUICK_SECONDS = 0.25  # an environment that is made within this time may be made in a shared host, whose instances wait
MOST_QUICK = 10_000  # how many quick kinds are remembered


class Slots:
    """The instances in each slot; a slot stays when its host is replaced.

    Args:
        warm_hosts: the hosts that have made an environment ahead of time.
        tokens: the tokens of the existing instances.
    """

    def __init__(self, settings: SlotSettings, warm_hosts: WarmHosts, tokens: Iterable[str]) -> None:
        self.settings = settings
        self.warm_hosts = warm_hosts
        self._placed: dict[str, set[str]] = {}
        self._doubtful: set[str] = set()  # tokens that had no live instance at the last comparison
        self._quick: dict[bytes, None] = {}  # fingerprints of kinds that were made within QUICK_SECONDS
        for token in tokens:
            self.add(token)
        self._next = 1 + max((int(slot[1:]) for slot in self._placed if slot[:1] in OWN), default=0)

    def __iter__(self) -> Iterator[str]:
        return iter(self._placed)

    @property
    def tokens(self) -> Iterator[str]:
        """The tokens of all instances."""
        return (token for tokens in self._placed.values() for token in tokens)

    @property
    def instances(self) -> int:
        """The number of instances."""
        return sum(map(len, self._placed.values()))

    def of(self, slot: str) -> set[str]:
        """The tokens of the instances in a slot."""
        return self._placed.get(slot, set())

    def add(self, token: str) -> None:
        """Adds an instance to the slot that its token names."""
        self._placed.setdefault(folders.slot_of(token) or "", set()).add(token)

    def release(self, token: str) -> str | None:
        """Frees an instance's place. Returns the slot if it was the instance's own, or None."""
        slot = folders.slot_of(token) or ""
        self.of(slot).discard(token)
        if slot[:1] not in OWN or self.of(slot):
            return None
        self._placed.pop(slot, None)
        return slot

    def choose(self, kind: str, apart: bool) -> str:
        """Chooses the slot of a new instance, see `PlaceInstance`.

        Raises:
            LimitReached: the settings allow no further instance.
        """
        if self.instances >= self.settings.max_instances:
            raise LimitReached(f"there are MAX_INSTANCES = {self.settings.max_instances} instances already")
        if not kind or (not apart and _fingerprint(kind) in self._quick):
            shared = [f"s{index}" for index in range(self.settings.shared_hosts)]
            return min(shared, key=lambda slot: len(self.of(slot)))
        if kind == folders.GRADED:
            most = self.settings.max_graded_hosts
            if self._count_occupied(folders.GRADED) >= most:
                raise LimitReached(f"there are MAX_GRADED_HOSTS = {most} submissions under way already")
            return self.new(folders.GRADED)
        most = self.settings.max_dedicated_hosts
        if self.dedicated >= most:
            raise LimitReached(f"there are MAX_DEDICATED_HOSTS = {most} instances with their own host already")
        return (self.warm_hosts.claim(kind, time.monotonic()) if apart else None) or self.new()

    def new(self, kind: str = "d") -> str:
        """Returns the name of a new slot."""
        self._next += 1
        return f"{kind}{self._next - 1}"

    @property
    def dedicated(self) -> int:
        """The number of dedicated hosts that have an instance."""
        return self._count_occupied("d")

    def _count_occupied(self, kind: str) -> int:
        return sum(slot[:1] == kind for slot, tokens in self._placed.items() if tokens)

    def note_making(self, kind: str, seconds: float | None) -> None:
        """Remembers a kind of environment that was made, and whether quickly; see `NoteMaking`."""
        self.warm_hosts.note_making(kind)
        if seconds is not None and seconds < QUICK_SECONDS:
            self._quick[_fingerprint(kind)] = None
            if len(self._quick) > MOST_QUICK:
                self._quick.pop(next(iter(self._quick)))

    def compare(self, tokens: Iterable[str]) -> None:
        """Frees the places of instances that are not live in two successive calls; in one, they may still be in creation."""
        missing = set(self.tokens) - set(tokens)
        gone = missing & self._doubtful
        self._doubtful = missing - gone
        self._placed = {slot: left for slot, placed in self._placed.items() if (left := placed - gone)}


def _fingerprint(kind: str) -> bytes:
    return hashlib.blake2b(kind.encode(), digest_size=16).digest()
