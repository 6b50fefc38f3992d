"""The settings that a host reads."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """The settings that a host reads, see `docs/settings.md`."""

    data: str
    steps_per_second: int
    idle_seconds: float
    revive_seconds: float
    max_frame_bytes: int
    journal_bytes: int
    stream_ping_seconds: float
