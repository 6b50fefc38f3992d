"""Environments that misbehave in their constructor, or when they are closed, each in one way."""

import ctypes
import os
import sys
import time

import gymnasium

from tests.support.environments.faulty import Faulty


def hang() -> None:
    while True:
        time.sleep(1)


def hoard() -> None:
    kept = [bytearray(os.urandom(1024) * 1024) for _ in range(4096)]
    time.sleep(60 + len(kept))


def fail() -> None:
    raise RuntimeError("the muscles are tired")


TROUBLES = {
    "Hanging": hang,
    "Crashing": lambda: ctypes.string_at(0),
    "Leaving": lambda: os._exit(7),
    "Exiting": lambda: sys.exit("enough"),
    "Hoarding": hoard,
    "Failing": fail,
}


class Unmakable(Faulty):
    """Misbehaves in its constructor.

    Args:
        trouble: one of TROUBLES.
    """

    def __init__(self, trouble: str) -> None:
        TROUBLES[trouble]()


class Unclosable(Faulty):
    """Misbehaves when it is closed.

    Args:
        trouble: one of TROUBLES.
    """

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble

    def close(self) -> None:
        TROUBLES[self.trouble]()


for kind in (Unmakable, Unclosable):
    for name in TROUBLES:
        gymnasium.register(
            f"{kind.__name__}{name}-v0", entry_point=kind, kwargs={"trouble": name}, disable_env_checker=True
        )
