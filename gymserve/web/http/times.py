"""Times in a person's words."""

from datetime import UTC, datetime

UNITS = (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0))


def relative(moment: datetime, now: datetime) -> str:
    """A moment as seen from another: "in 6 days", "3 hours ago", "now"."""
    seconds = (_aware(moment) - _aware(now)).total_seconds()
    for name, size in UNITS:
        if (count := int(abs(seconds) / size)) > 0:
            text = f"{count} {name}{'' if count == 1 else 's'}"
            return f"in {text}" if seconds > 0 else f"{text} ago"
    return "now"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
