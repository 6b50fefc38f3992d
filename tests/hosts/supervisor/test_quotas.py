"""Accounts' use is counted, and requests beyond a quota are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gymserve.hosts.folders import new_token
from gymserve.hosts.supervisor.quotas import Quotas
from gymserve.hosts.supervisor.settings import QuotaSettings
from gymserve.protocol.errors import LimitReached
from gymserve.settings import Settings

MEGABYTE = 2**20


def quotas_with(**settings: int) -> Quotas:
    return Quotas(Settings(**settings).pick(QuotaSettings))


def is_refused(ask: Callable[[], None], words: str) -> bool:
    try:
        ask()
    except LimitReached as error:
        assert words in str(error)
        return True
    return False


@pytest.mark.parametrize(
    ("own", "refused"), [(3 * MEGABYTE // 2, False), (2 * MEGABYTE, False), (2 * MEGABYTE + 4096, True)]
)
def test_instances_and_uploads_count_towards_the_storage_quota(tmp_path: Path, own: int, refused: bool) -> None:
    quotas = quotas_with(ACCOUNT_STORAGE_MB=2)
    for place, size in (("instances", own - MEGABYTE), ("closed", MEGABYTE // 2), ("uploads", MEGABYTE // 2)):
        for account in (7, 8):
            folder = tmp_path / place / (str(account) if place == "uploads" else new_token("s0", account))
            folder.mkdir(parents=True)
            (folder / "file").write_bytes(bytes(size if account == 7 else MEGABYTE))
    quotas.measure_storage(tmp_path)
    assert is_refused(lambda: quotas.admit_storage(7), "ACCOUNT_STORAGE_MB = 2") is refused
    assert is_refused(lambda: quotas.admit_instance(7, []), "ACCOUNT_STORAGE_MB = 2") is refused
    assert is_refused(lambda: quotas.admit_storage(8), "ACCOUNT_STORAGE_MB = 2")
    for nobody in (0, 9):
        quotas.admit_storage(nobody)


def test_instances_count_towards_the_accounts_quota(tmp_path: Path) -> None:
    quotas = quotas_with(ACCOUNT_INSTANCES=2)
    others = [new_token("s0", account) for account in (77, 17, 8, 0)] * 3
    quotas.admit_instance(7, [new_token("s1", 7), *others])
    with pytest.raises(LimitReached, match="ACCOUNT_INSTANCES = 2"):
        quotas.admit_instance(7, [new_token("s1", 7), new_token("d1", 7), *others])
    quotas.admit_instance(0, others)


def test_streams_are_counted_per_account_and_in_total() -> None:
    quotas = quotas_with(ACCOUNT_STREAMS=2, MAX_STREAMS=4)
    for slot in ("s0", "s1"):
        quotas.admit_stream(slot, 7)
    assert is_refused(lambda: quotas.admit_stream("s0", 7), "ACCOUNT_STREAMS = 2")
    for _ in range(2):
        quotas.admit_stream("s0", 0)
    assert quotas.streams == 4 and is_refused(lambda: quotas.admit_stream("s0", 0), "MAX_STREAMS = 4")
    quotas.report("s0", {7: 1}, {"steps": 2.0})
    quotas.report("s0", {7: 1}, {"steps": 3.0})
    assert quotas.streams == 2 and quotas.counters == {"steps": 5.0}
    quotas.forget("s1")
    quotas.forget("s1")
    assert quotas.streams == 1
    quotas.admit_stream("s1", 7)
