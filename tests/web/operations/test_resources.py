"""The machine's resources are reported correctly."""

import os
from pathlib import Path

import pytest

from gymserve.web.operations import resources
from tests.conftest import Secured


def test_processors_and_memory_are_the_machines() -> None:
    processors, memory = resources.processors(), resources.memory()
    assert processors["count"] == len(os.sched_getaffinity(0)) and 0 <= processors["percent"] <= 100
    assert len(processors["load"]) == 3 and min(processors["load"]) >= 0
    assert memory["total_bytes"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory["used_bytes"] + memory["available_bytes"] == memory["total_bytes"]
    assert 0 < memory["percent"] < 100


def test_gpus_are_read_from_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(set(gpu) == {"id", "name"} for gpu in resources.gpus())
    for address in ("0000:01:00.0", "0000:02:00.0"):
        folder = tmp_path / "gpus" / address
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t NVIDIA A100\nIRQ:   \t\t 93\nBus Location: \t {address}\n")
    monkeypatch.setattr(resources, "DRIVER", tmp_path)
    assert resources.gpus() == [{"id": 0, "name": "NVIDIA A100"}, {"id": 1, "name": "NVIDIA A100"}]


def test_the_tju_platforms_request(secured: Secured) -> None:
    info = secured.ask("admin", "GET", "/sys_info/").json
    assert info["cpu_count"] == f"{info['cpu']['count']} 个核" and info["cpu_percent"].startswith("cpu利用率: ")
    assert info["mem_total"] == f"{info['memory']['total_bytes'] / 2**30} G"
    assert info["gpus"] == resources.gpus() and len(info["gpu_id_list"]) == len(info["gpus"])
    assert secured.ask("participant", "GET", "/sys_info/").status == 403
