"""Slots: which instances live in which hosts, and in which a new one is to live."""

import hashlib
import time
from collections.abc import Iterable, Iterator

from gymserve.hosts import folders
from gymserve.hosts.supervisor.warm import Prepared
from gymserve.protocol.errors import LimitReached
from gymserve.settings import Settings

OWN = ("d", folders.GRADED)  # the kinds of slots that have one instance each
QUICK_SECONDS = 0.25  # in which an environment is made that may be made in a shared host, while its instances wait
MOST_QUICK = 10_000  # kinds that are remembered for that


class Slots:
    """The instances in each slot; a slot stays when its host is replaced.

    Args:
        prepared: the hosts that have made an environment ahead.
        tokens: of the instances that there are already.
    """

    def __init__(self, settings: Settings, prepared: Prepared, tokens: Iterable[str]) -> None:
        self.settings = settings
        self.prepared = prepared
        self._placed: dict[str, set[str]] = {}
        self._doubtful: set[str] = set()  # tokens without an instance, as of the last look
        self._quick: dict[bytes, None] = {}  # kinds of environments that were made in no time
        for token in tokens:
            self.add(token)
        self._next = 1 + max((int(slot[1:]) for slot in self._placed if slot[:1] in OWN), default=0)

    def __iter__(self) -> Iterator[str]:
        return iter(self._placed)

    @property
    def tokens(self) -> Iterator[str]:
        """All instances."""
        return (token for tokens in self._placed.values() for token in tokens)

    @property
    def instances(self) -> int:
        """How many instances there are."""
        return sum(map(len, self._placed.values()))

    def of(self, slot: str) -> set[str]:
        """The instances in a slot."""
        return self._placed.get(slot, set())

    def add(self, token: str) -> None:
        """Takes a place in the slot that a token names."""
        self._placed.setdefault(folders.slot_of(token) or "", set()).add(token)

    def release(self, token: str) -> str | None:
        """Frees an instance's place; the slot, where it was its own and nobody is left in it."""
        slot = folders.slot_of(token) or ""
        self.of(slot).discard(token)
        if slot[:1] not in OWN or self.of(slot):
            return None
        self._placed.pop(slot, None)
        return slot

    def choose(self, kind: str, apart: bool) -> str:
        """The slot of a new instance, see `PlaceInstance`.

        Raises:
            LimitReached: there are as many instances as the settings allow.
        """
        if self.instances >= self.settings.MAX_INSTANCES:
            raise LimitReached(f"there are MAX_INSTANCES = {self.settings.MAX_INSTANCES} instances already")
        if not kind or (not apart and _fingerprint(kind) in self._quick):
            shared = [f"s{index}" for index in range(self.settings.SHARED_HOSTS)]
            return min(shared, key=lambda slot: len(self.of(slot)))
        if kind == folders.GRADED:
            most = self.settings.MAX_GRADED_HOSTS
            if self._taken(folders.GRADED) >= most:
                raise LimitReached(f"there are MAX_GRADED_HOSTS = {most} submissions under way already")
            return self.new(folders.GRADED)
        most = self.settings.MAX_DEDICATED_HOSTS
        if self.dedicated >= most:
            raise LimitReached(f"there are MAX_DEDICATED_HOSTS = {most} instances with their own host already")
        return (self.prepared.take(kind, time.monotonic()) if apart else None) or self.new()

    def new(self, kind: str = "d") -> str:
        """A slot that none was before."""
        self._next += 1
        return f"{kind}{self._next - 1}"

    @property
    def dedicated(self) -> int:
        """How many dedicated hosts are taken."""
        return self._taken("d")

    def _taken(self, kind: str) -> int:
        return sum(slot[:1] == kind for slot, tokens in self._placed.items() if tokens)

    def note_making(self, kind: str, seconds: float) -> None:
        """How long an environment took to be made in a host of its own."""
        if seconds < QUICK_SECONDS:
            self._quick[_fingerprint(kind)] = None
            if len(self._quick) > MOST_QUICK:
                self._quick.pop(next(iter(self._quick)))

    def compare(self, tokens: Iterable[str]) -> None:
        """Frees the places of instances that are not among the live ones, at the second look: they may be in the making."""
        live = set(tokens)
        for slot in self._placed:
            self._placed[slot] &= live | self._doubtful
        self._doubtful = set(self.tokens) - live
        self._placed = {slot: tokens for slot, tokens in self._placed.items() if tokens}


def _fingerprint(kind: str) -> bytes:
    return hashlib.blake2b(kind.encode(), digest_size=16).digest()
