"""Rate limits are exact, in one process and across several."""

import multiprocessing
import os
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gymserve.accounts.revision import Revision
from gymserve.system import rates
from gymserve.system.rates import Rates


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(rates.time, "monotonic", lambda: now[0])
    return now


def test_a_burst_is_granted_and_then_the_rate(tmp_path: Path, clock: list[float]) -> None:
    limiter = Rates(tmp_path / "rates")
    assert [limiter.acquire("l", 1, rate=2, burst=3) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.5)]
    clock[0] += 0.5
    assert limiter.acquire("l", 1, rate=2, burst=3) == 0.0
    assert limiter.acquire("l", 1, rate=2, burst=3) == pytest.approx(0.5)
    assert limiter.acquire("l", 2, rate=2, burst=3) == 0.0 == limiter.acquire("m", 1, rate=2, burst=3)
    limiter.close()


def test_refunded_units_can_be_acquired_again(tmp_path: Path, clock: list[float]) -> None:
    limiter = Rates(tmp_path / "rates")
    limiter.acquire("l", 1, rate=1, burst=1)
    limiter.refund("l", 1, rate=1)
    assert limiter.acquire("l", 1, rate=1, burst=1) == 0.0
    limiter.close()


def test_more_units_than_a_burst_are_granted_after_a_pause(tmp_path: Path, clock: list[float]) -> None:
    limiter = Rates(tmp_path / "rates")
    assert limiter.acquire("l", 1, rate=10, burst=10, units=25) == 0.0
    assert limiter.acquire("l", 1, rate=10, burst=10, units=1) == pytest.approx(1.6)
    limiter.close()


def test_times_from_before_a_reboot_are_ignored(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = Rates(tmp_path / "rates")
    clock[0] = 1e6
    limiter.acquire("l", 1, rate=1, burst=1)
    limiter.close()
    clock[0] = 10.0
    (tmp_path / "boot").write_text("another run of the machine")
    monkeypatch.setattr(rates, "_BOOT", tmp_path / "boot")
    limiter = Rates(tmp_path / "rates")
    assert limiter.acquire("l", 1, rate=1, burst=1) == 0.0
    limiter.close()


@given(st.lists(st.tuples(st.floats(0, 0.3), st.integers(1, 3)), max_size=60))
def test_no_window_exceeds_burst_and_rate(calls: list[tuple[float, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        now = [50.0]
        patch.setattr(rates.time, "monotonic", lambda: now[0])
        limiter = Rates(Path(folder) / "rates")
        taken = []
        for pause, units in calls:
            now[0] += pause
            if not limiter.acquire("l", 1, rate=5, burst=4, units=units):
                taken.append((now[0], units))
        for start, _ in taken:
            inside = [(moment, units) for moment, units in taken if moment >= start]
            for end, _ in inside:
                total = sum(units for moment, units in inside if moment <= end)
                assert total <= 4 + 5 * (end - start) + 1e-6
        limiter.close()


def _acquire_for_a_second(
    file: Path, together: Barrier, taken: "multiprocessing.Queue[tuple[float, float, int]]"
) -> None:
    limiter = Rates(file)
    together.wait(300)
    began, count = time.monotonic(), 0
    while time.monotonic() < began + 1.0:
        count += not limiter.acquire("l", "all", rate=100, burst=50)
    taken.put((began, time.monotonic(), count))
    taken.close()
    taken.join_thread()


def test_processes_count_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    taken, together = context.Queue(), context.Barrier(4)
    processes = [
        context.Process(target=_acquire_for_a_second, args=(tmp_path / "rates", together, taken)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    results = [taken.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    elapsed = max(ended for _, ended, _ in results) - min(began for began, _, _ in results)
    assert 50 < sum(count for _, _, count in results) <= 50 + 100 * elapsed + 1


def test_holes_in_a_file_of_an_older_version_are_filled(tmp_path: Path) -> None:
    """A write into a hole ends the process with SIGBUS if the disk is full."""
    file = tmp_path / "rates"
    Rates(file).close()
    boot = file.read_bytes()[: rates._HEAD]
    file.write_bytes(boot)
    os.truncate(file, rates._ALL)
    Rates(file).close()
    assert file.stat().st_blocks * 512 >= file.stat().st_size == rates._ALL
    Revision(tmp_path / "watch")
    assert (tmp_path / "watch").stat().st_blocks > 0
