"""What the machine is said to have is what it has."""

import os
from pathlib import Path

import pytest

from gymserve.system import machine
from tests.conftest import Secured


def test_processors_and_memory_are_the_machines() -> None:
    found, memory = machine.processors(), machine.memory()
    assert found["count"] == len(os.sched_getaffinity(0)) and 0 <= found["percent"] <= 100
    assert len(found["load"]) == 3 and min(found["load"]) >= 0
    assert memory["total_bytes"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory["used_bytes"] + memory["available_bytes"] == memory["total_bytes"]
    assert 0 < memory["percent"] < 100


def test_gpus_are_those_that_the_driver_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(set(gpu) == {"id", "name"} for gpu in machine.gpus())
    for address in ("0000:01:00.0", "0000:02:00.0"):
        folder = tmp_path / "driver/nvidia/gpus" / address
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t NVIDIA A100\nIRQ:   \t\t 93\nBus Location: \t {address}\n")
    monkeypatch.setattr(machine, "PROC", tmp_path)
    assert machine.gpus() == [{"id": 0, "name": "NVIDIA A100"}, {"id": 1, "name": "NVIDIA A100"}]


def test_the_tju_platforms_request(secured: Secured) -> None:
    told = secured.ask("admin", "GET", "/sys_info/").json
    assert told["cpu_count"] == f"{told['cpu']['count']} 个核" and told["cpu_percent"].startswith("cpu利用率: ")
    assert told["mem_total"] == f"{told['memory']['total_bytes'] / 2**30} G"
    assert told["gpus"] == machine.gpus() and len(told["gpu_id_list"]) == len(told["gpus"])
    assert secured.ask("participant", "GET", "/sys_info/").status == 403
