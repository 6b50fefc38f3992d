"""Histograms of the times of an instance's steps."""

from collections.abc import Iterator, Sequence

PARTS = ("environment", "journal", "total")
MOST_BITS = 64


class StepTimes:
    """The times of an instance's steps since this process loaded it, by part.

    A histogram counts times by their number of bits in nanoseconds, so its buckets double. Counting a time takes a tenth of
    a microsecond, without a clock of its own.

    Attributes:
        counts: for each of `PARTS` the number of steps whose time has as many bits as the index.
        sums: for each of `PARTS` the sum in nanoseconds.
    """

    __slots__ = ("counts", "sums")

    def __init__(self) -> None:
        self.counts = [[0] * (MOST_BITS + 1) for _ in PARTS]
        self.sums = [0] * len(PARTS)

    def add(self, environment: int, journal: int, total: int) -> None:
        """Counts the times of one step, in nanoseconds."""
        of_environment, of_journal, of_total = self.counts
        of_environment[environment.bit_length()] += 1
        of_journal[journal.bit_length()] += 1
        of_total[total.bit_length()] += 1
        sums = self.sums
        sums[0] += environment
        sums[1] += journal
        sums[2] += total

    @property
    def steps(self) -> int:
        """The number of steps."""
        return sum(self.counts[0])

    def means(self) -> dict[str, float]:
        """Part → the mean time in µs, or 0 before the first step."""
        steps = max(1, self.steps)
        return {part: round(spent / steps / 1000, 1) for part, spent in zip(PARTS, self.sums, strict=True)}

    def p99(self) -> dict[str, float]:
        """Part → the time in µs that 99 % of the steps do not exceed, rounded up to a power of two in ns."""
        return {part: _percentile(counts, 0.99) for part, counts in zip(PARTS, self.counts, strict=True)}

    def counters(self) -> Iterator[tuple[str, int]]:
        """(name, value) of all that is not zero: the sum of a part in ns, and the number of its times with so many bits."""
        for part, spent, counts in zip(PARTS, self.sums, self.counts, strict=True):
            if spent:
                yield f"step_ns/{part}", spent
                yield from ((f"step_bits/{part}/{bits}", count) for bits, count in enumerate(counts) if count)


def _percentile(counts: Sequence[int], share: float) -> float:
    left = share * sum(counts)
    if not left:
        return 0.0
    for bits, count in enumerate(counts):
        left -= count
        if left <= 0:
            return round(2**bits / 1000, 1)
    raise AssertionError("more than all")
