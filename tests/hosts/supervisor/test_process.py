"""The supervisor's decisions, made without its process: delays in crash loops, quotas, causes of losses, warm hosts."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gymserve.environments import Catalogue
from gymserve.hosts import folders
from gymserve.hosts.messages import HostAddress, Loss, PlaceInstance
from gymserve.hosts.pulse import Pulse, number
from gymserve.hosts.supervisor import process
from gymserve.hosts.supervisor.__main__ import _remove_stale
from gymserve.hosts.supervisor.forking import HostProcess
from gymserve.hosts.supervisor.process import Death, Supervisor
from gymserve.hosts.supervisor.settings import SupervisorSettings
from gymserve.hosts.supervisor.warm import KEPT_SECONDS
from gymserve.protocol.errors import LimitReached
from gymserve.settings import Settings
from gymserve.system import sockets

NOW = 1000.0


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A supervisor without hosts at a moment that stands still."""
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: NOW))
    settings = Settings(DATA=str(tmp_path), ACCOUNT_INSTANCES=1, RESTART_SECONDS=1.0)
    made = Supervisor(settings.pick(SupervisorSettings), Catalogue(), tmp_path, lock=-1)
    yield made
    for each in made.clients.sockets:
        each.close()
    made.selector.close()


@pytest.mark.parametrize(("crashes", "seconds"), [(5, 0.1), (6, 0.2), (8, 0.8), (9, 1.0)])
def test_each_crash_in_a_loop_doubles_the_delay_up_to_the_setting(
    supervisor: Supervisor, crashes: int, seconds: float
) -> None:
    supervisor.restarts["s0"] = [NOW] * crashes
    assert supervisor.ensure("s0") == HostAddress("", pytest.approx(seconds))


def test_few_or_old_crashes_and_those_of_the_catalogue_delay_no_host(supervisor: Supervisor) -> None:
    supervisor.restarts |= {"s0": [NOW] * 4, "s1": [NOW - 10.0] * 9, folders.CATALOGUE: [NOW] * 9}
    assert [supervisor._back_off(slot) for slot in ("s0", "s1", folders.CATALOGUE, "s2")] == [0.0] * 4


def test_only_the_instance_whose_call_was_under_way_is_the_culprit(supervisor: Supervisor) -> None:
    tokens = sorted((folders.new_token("s0") for _ in range(3)), key=number)
    supervisor.deaths["s0"] = Death("its host ended", number(tokens[1]), ended_by_us=True)
    losses = [supervisor.explain("s0", token) for token in tokens]
    assert losses == [Loss(culprit, "its host ended", True) for culprit in (False, True, False)]
    assert supervisor.explain("s1", tokens[1]) == Loss(False, "its host ended", False)


def test_an_accounts_quota_is_checked_before_an_instance_is_placed(supervisor: Supervisor) -> None:
    for account in (0, 0, 7, 8):
        assert supervisor.place(PlaceInstance("", False, None, "", account, False)).new
    with pytest.raises(LimitReached, match="ACCOUNT_INSTANCES = 1"):
        supervisor.place(PlaceInstance("", False, None, "", 7, False))


def test_the_files_of_idempotency_keys_are_private(supervisor: Supervisor) -> None:
    first = supervisor.place(PlaceInstance("", False, "key", "body", 7, False))
    assert supervisor.place(PlaceInstance("", False, "key", "body", 7, False)).token == first.token
    assert (supervisor.data / "idempotency").stat().st_mode & 0o777 == 0o700


def test_a_warm_host_is_dismissed_when_its_kind_was_not_requested_for_long(supervisor: Supervisor) -> None:
    control, other = socket.socketpair()
    supervisor.warm_hosts.claim("kind", NOW)
    supervisor.warm_hosts.add("kind", "d1")
    host = supervisor.hosts["d1"] = HostProcess("d1", os.getpid(), control, Pulse())
    supervisor._keep_hosts_warm(NOW + KEPT_SECONDS)
    assert not host.dismissed
    supervisor._keep_hosts_warm(NOW + KEPT_SECONDS + 1)
    assert host.dismissed and other.recv(1) == b""
    for each in (control, other):
        each.close()


def test_only_a_runtime_directory_of_a_killed_supervisor_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "directory", lambda: str(tmp_path / "sockets"))
    runtime, *others = [tmp_path / name for name in ("sockets/gymserve-x", "sockets/other", "other/gymserve-x")]
    file = tmp_path / "supervisor"
    for path in (runtime, *others):
        path.mkdir(parents=True)
        file.write_text(str(path))
        _remove_stale(file)
    assert not runtime.exists() and all(path.exists() for path in others)
