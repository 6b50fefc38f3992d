"""The journal: the append-only record of one instance. `docs/journal.md` describes the file byte by byte."""

from gymserve.system import extras

extras.require("grade")

from gymserve.journal.episodes import Episode, episodes_of, recipe_of
from gymserve.journal.file import Journal, read
from gymserve.journal.records import Closed, Created, Ended, Monitored, Record, Reset, Step
from gymserve.journal.replay import Playback

__all__ = [
    "Closed", "Created", "Ended", "Episode", "Journal", "Monitored", "Playback", "Record", "Reset", "Step", "episodes_of",
    "read", "recipe_of",
]  # fmt: skip
