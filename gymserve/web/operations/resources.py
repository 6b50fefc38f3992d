"""Reads the machine's resources and their use from Linux's /proc."""

import os
import time
from pathlib import Path
from typing import TypedDict

PROC = Path("/proc")
LOOK_SECONDS = 0.1  # between two readings of the processors' time


class ProcessorUse(TypedDict):
    count: int
    percent: float
    load: list[float]


class MemoryUse(TypedDict):
    total_bytes: int
    used_bytes: int
    available_bytes: int
    percent: float


class GpuInformation(TypedDict):
    id: int
    name: str


def processors() -> ProcessorUse:
    """The processors: `count` that this process may use, `percent` of their time in use, and `load`.

    `load` has the mean numbers of processes that ran or waited in the last 1, 5 and 15 minutes.
    """
    idle, whole = _ticks()
    time.sleep(LOOK_SECONDS)
    later_idle, later_whole = _ticks()
    passed = max(1, later_whole - whole)
    percent = 100.0 * (1.0 - (later_idle - idle) / passed)
    count = len(os.sched_getaffinity(0))
    return {"count": count, "percent": round(min(100.0, max(0.0, percent)), 1), "load": [*os.getloadavg()]}


def memory() -> MemoryUse:
    """The memory: `total_bytes`, `available_bytes` to new processes without swapping, `used_bytes` (the rest) and `percent`."""
    lines = dict(line.split(":") for line in (PROC / "meminfo").read_text().splitlines())
    total, available = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    used = total - available
    return {
        "total_bytes": total,
        "used_bytes": used,
        "available_bytes": available,
        "percent": round(100.0 * used / total, 1),
    }


def gpus() -> list[GpuInformation]:
    """`id` and `name` of each NVIDIA GPU that the driver lists; an empty list without a driver."""
    rows: list[GpuInformation] = []
    for number, file in enumerate(sorted(PROC.glob("driver/nvidia/gpus/*/information"))):
        information = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
        rows.append({"id": number, "name": information.get("Model", "").strip()})
    return rows


def _ticks() -> tuple[int, int]:
    """(idle, total) time of the processors since the machine was started, in ticks."""
    times = [int(part) for part in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    return times[3] + times[4], sum(times)
