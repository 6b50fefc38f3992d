"""One line on standard error that says how far something is."""

import sys
import time

EVERY_SECONDS = 0.1


class Progress:
    """Args:
    name: what it is about.
    shown: None: on a terminal.
    """

    def __init__(self, name: str, shown: bool | None) -> None:
        self.name, self.shown, self._next = name, sys.stderr.isatty() if shown is None else shown, 0.0

    def tell(self, text: str) -> None:
        """Shows `text`, unless something was shown just now."""
        if self.shown and (now := time.monotonic()) >= self._next:
            self._next = now + EVERY_SECONDS
            self.note(text)

    def note(self, text: str) -> None:
        """Shows `text`."""
        if self.shown:
            print(f"\r{self.name}: {text}", end="\033[K", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.shown:
            print("\r", end="\033[K", file=sys.stderr, flush=True)
