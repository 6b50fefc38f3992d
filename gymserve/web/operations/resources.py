"""Reads the machine's resources and their use."""

import os
from pathlib import Path
from typing import TypedDict

import psutil

DRIVER = Path("/proc/driver/nvidia")
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
    count = len(os.sched_getaffinity(0))
    return {"count": count, "percent": psutil.cpu_percent(LOOK_SECONDS), "load": [*os.getloadavg()]}


def memory() -> MemoryUse:
    """The memory: `total_bytes`, `available_bytes` to new processes without swapping, `used_bytes` (the rest) and `percent`."""
    now = psutil.virtual_memory()
    return {
        "total_bytes": now.total,
        "used_bytes": now.total - now.available,
        "available_bytes": now.available,
        "percent": now.percent,
    }


def gpus() -> list[GpuInformation]:
    """`id` and `name` of each NVIDIA GPU that the driver lists; an empty list without a driver."""
    rows: list[GpuInformation] = []
    for number, file in enumerate(sorted(DRIVER.glob("gpus/*/information"))):
        information = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
        rows.append({"id": number, "name": information.get("Model", "").strip()})
    return rows
