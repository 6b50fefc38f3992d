"""Schemas of responses about the server and its machine, for the API description."""

from typing import Annotated

from msgspec import Meta, Struct


class Health(Struct):
    status: str
    timestamp: str
    version: str
    uptime_seconds: float
    instances: int
    hosts: int
    active_experiments: Annotated[int | None, Meta(description="null if the database does not respond")] = None


class Check(Struct):
    ok: bool
    reason: str | None


class Readiness(Struct):
    status: Annotated[str, Meta(description="ready or not ready")]
    checks: Annotated[dict[str, Check], Meta(description="database, hosts, disk")]


class Liveness(Struct):
    status: str


class Processors(Struct):
    count: int
    percent: float
    load: Annotated[list[float], Meta(description="the load averages of the last 1, 5 and 15 minutes")]


class Memory(Struct):
    total_bytes: int
    used_bytes: int
    available_bytes: int
    percent: float


class Gpu(Struct):
    id: int
    name: str


class Machine(Struct):
    """The machine's figures, as numbers and as the texts of the TJU platform."""

    cpu: Processors
    memory: Memory
    gpus: list[Gpu]
    cpu_count: str
    cpu_percent: str
    mem_total: str
    mem_used: str
    mem_available: str
    mem_percent: str
    gpu_id_list: list[int]
    gpu_name_dict: dict[str, str]
