"""The journal: the append-only record of one instance. `docs/journal.md` describes the file byte by byte."""

from gymserve.journal.file import Journal, read
from gymserve.journal.records import Closed, Created, Ended, Monitored, Record, Reset, Step
from gymserve.journal.replay import Playback

__all__ = ["Closed", "Created", "Ended", "Journal", "Monitored", "Playback", "Record", "Reset", "Step", "read"]
