"""The times of an instance's steps."""

from gymserve.hosts.instance.step_times import StepTimes


def test_percentiles_are_rounded_up_to_a_power_of_two() -> None:
    times = StepTimes()
    assert times.means() == times.p99() == {"environment": 0, "journal": 0, "total": 0}
    for _ in range(99):
        times.add(1000, 500, 2000)
    assert times.means() == {"environment": 1.0, "journal": 0.5, "total": 2.0}
    assert times.p99() == {"environment": 1.0, "journal": 0.5, "total": 2.0}
    times.add(1 << 30, 500, 1 << 31)
    assert times.p99()["total"] == 2.0
    times.add(1 << 30, 500, 1 << 31)
    assert times.p99() == {"environment": 2147483.6, "journal": 0.5, "total": 4294967.3}
    assert times.steps == 101


def test_counters_are_the_sums_and_the_buckets_that_are_not_empty() -> None:
    times = StepTimes()
    assert not dict(times.counters())
    times.add(1000, 1, 1023)
    times.add(1024, 0, 1100)
    assert dict(times.counters()) == {
        "step_ns/environment": 2024, "step_bits/environment/10": 1, "step_bits/environment/11": 1,
        "step_ns/journal": 1, "step_bits/journal/0": 1, "step_bits/journal/1": 1,
        "step_ns/total": 2123, "step_bits/total/10": 1, "step_bits/total/11": 1,
    }  # fmt: skip
