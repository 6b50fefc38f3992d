"""The server's metrics in the Prometheus text format. The supervisor adds up the counts of all workers and hosts."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.utils import floatToGoString

from gymserve.hosts.messages import SupervisorStatus

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
GAUGES = {"instances": "Instances.", "streams": "Open streams.", "uptime_seconds": "Seconds since the server started."}
QUEUES = {
    "reports_waiting": "Reports waiting to be sent to another challenge server.",
    "media_orders": "Videos waiting to be made or stored.",
}
BITS = range(10, 37)  # times from 1 µs to 69 s, in nanoseconds


def text(status: SupervisorStatus, unfinished: dict[str, int], queues: dict[str, int]) -> bytes:
    """Return the metrics as text.

    Args:
        status: the supervisor's status.
        unfinished: the number of unfinished submissions by state.
        queues: the length of each of QUEUES.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(status, unfinished, queues))
    return generate_latest(registry)


class _Collector:
    def __init__(self, status: SupervisorStatus, unfinished: dict[str, int], queues: dict[str, int]) -> None:
        self.status, self.unfinished, self.queues = status, unfinished, queues
        self.counters: dict[str, dict[str, float]] = {}
        for key, value in status.counters.items():
            name, _, label = key.partition(":")
            self.counters.setdefault(name, {})[label] = value

    def collect(self) -> Iterable[Metric]:
        for name, meaning in GAUGES.items():
            yield GaugeMetricFamily(f"gymserve_{name}", meaning, value=getattr(self.status, name))
        yield GaugeMetricFamily("gymserve_hosts", "Host processes.", value=len(self.status.hosts))
        restarts = self.counters.get("host_restarts", {}).get("", 0.0)
        yield CounterMetricFamily("gymserve_host_restarts", "Hosts that died.", value=restarts)
        lent = self.counters.get("lent_requests", {}).get("", 0.0)
        yield CounterMetricFamily(
            "gymserve_lent_requests", "Steps and resets that hosts answered themselves.", value=lent
        )
        submissions = GaugeMetricFamily(
            "gymserve_submissions", "Submissions in progress, or waiting for their replay.", labels=["state"]
        )
        for state, number in self.unfinished.items():
            submissions.add_metric([state], number)
        yield submissions
        for name, number in self.queues.items():
            yield GaugeMetricFamily(f"gymserve_{name}", QUEUES[name], value=number)
        yield self._requests()
        yield self._steps()
        journal = CounterMetricFamily("gymserve_journal_bytes", "Bytes written to journals.", labels=["environment"])
        for environment, value in self.counters.get("journal_bytes", {}).items():
            journal.add_metric([environment], value)
        yield journal

    def _requests(self) -> Metric:
        requests = SummaryMetricFamily(
            "gymserve_request_seconds",
            "Requests, and the time that they took.",
            labels=["method", "endpoint", "status"],
        )
        seconds = self.counters.get("request_seconds", {})
        for label, number in self.counters.get("requests", {}).items():
            requests.add_metric(label.split(" "), count_value=int(number), sum_value=seconds.get(label, 0.0))
        return requests

    def _steps(self) -> Metric:
        steps = HistogramMetricFamily(
            "gymserve_step_seconds", "Steps, and the time that each part took.", labels=["environment", "part"]
        )
        for name, sums in self.counters.items():
            kind, _, part = name.partition("/")
            for environment, spent in sums.items() if kind == "step_ns" else ():
                steps.add_metric([environment, part], list(self._buckets(environment, part)), spent / 1e9)
        return steps

    def _buckets(self, environment: str, part: str) -> Iterator[tuple[str, float]]:
        """The number of steps whose `part` took at most so many seconds, as a text; see `hosts/instance/step_times.py`."""
        below = 0.0
        for bits in range(65):
            below += self.counters.get(f"step_bits/{part}/{bits}", {}).get(environment, 0.0)
            if bits in BITS:
                yield floatToGoString(2**bits / 1e9), below
        yield "+Inf", below
