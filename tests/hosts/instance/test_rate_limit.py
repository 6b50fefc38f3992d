"""An account's steps are limited over all of its instances in all hosts."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from gymserve.hosts.folders import new_token
from gymserve.hosts.instance.rate_limit import RateLimit, RateLimits
from gymserve.protocol.errors import TooFast
from gymserve.system import rates


def limit_of(limits: RateLimits, account: int) -> RateLimit:
    limit = limits.of(new_token("s0", account))
    assert limit is not None and limits.of(new_token("d1", account)) is limit
    return limit


def test_the_steps_of_all_hosts_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: now[0]))
    hosts = [RateLimits(tmp_path / "rates", 100) for _ in range(2)]
    one, other = (limit_of(host, 7) for host in hosts)
    for _ in range(50):
        one.consume(1)
        other.consume(1)
    for limit in (one, other):
        with pytest.raises(TooFast, match=r"STEPS_PER_SECOND = 100 times: wait 0\.010 s"):
            limit.consume(1)
    now[0] += 0.011  # less than a batch of steps takes
    one.consume(1)
    for limit in (one, other):
        with pytest.raises(TooFast):
            limit.consume(1)
    limit_of(hosts[0], 8).consume(150)  # a step of a vector instance, with more copies than may step in a second


def test_without_a_limit_or_an_account_nothing_is_counted(tmp_path: Path) -> None:
    assert RateLimits(tmp_path / "rates", 0).of(new_token("s0", 7)) is None
    assert RateLimits(tmp_path / "rates", 100).of(new_token("s0")) is None
