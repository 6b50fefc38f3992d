"""A progress line on standard error."""

import sys
import time

EVERY_SECONDS = 0.1
BAR_WIDTH = 30  # characters


class Progress:
    """A progress line.

    Args:
        name: the label at the beginning of the line.
        shown: whether to print it; None: only on a terminal.
    """

    def __init__(self, name: str, shown: bool | None = None) -> None:
        self.name = name
        self.shown = sys.stderr.isatty() if shown is None else shown
        self._next = 0.0

    def show(self, text: str) -> None:
        """Shows `text` after the label."""
        if self.shown:
            print(f"\r{self.name}: {text}", end="\033[K", file=sys.stderr, flush=True)

    def update(self, text: str) -> None:
        """Shows `text`, unless the line was updated within the last tenth of a second."""
        if self.shown and (now := time.monotonic()) >= self._next:
            self._next = now + EVERY_SECONDS
            self.show(text)

    def end(self) -> None:
        """Removes the line."""
        if self.shown:
            print("\r", end="\033[K", file=sys.stderr, flush=True)


def bar(done: float, total: float) -> str:
    """A bar that shows the fraction `done` / `total`."""
    filled = round(BAR_WIDTH * min(1.0, done / total)) if total else 0
    return "█" * filled + "·" * (BAR_WIDTH - filled)
