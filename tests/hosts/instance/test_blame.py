"""Whether a call into an environment ended a host, or the system, an operator or the supervisor did."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gymserve.hosts.instance import blame
from gymserve.hosts.pulse import Pulse
from gymserve.hosts.supervisor.forking import HostProcess
from tests.support.servers import wait_for


@pytest.fixture
def host() -> Iterator[HostProcess]:
    """The supervisor's handle of a process that sleeps, and exits on its own after SIGUSR1."""
    ours, theirs = socket.socketpair()
    loop = "trap 'exit 7' USR1; while :; do sleep 0.05; done"
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", loop], os.environ)
    theirs.close()
    yield HostProcess("g1", pid, ours, Pulse())
    ours.close()


def send(number: int) -> Callable[[HostProcess], None]:
    return lambda host: os.kill(host.pid, number)


@pytest.mark.guarantee("a trial is lost with its host, and does not replay")
@pytest.mark.parametrize(
    ("end", "by_call"),
    [
        (lambda host: host.kill("a call took longer than STEP_SECONDS", by_call=True), True),
        (lambda host: host.kill("it did not stop in time"), False),
        (send(signal.SIGSEGV), True),
        (send(signal.SIGABRT), True),
        (send(signal.SIGKILL), False),
        (send(signal.SIGTERM), False),
        (send(signal.SIGBUS), False),
    ],
)
def test_ended_by_call_tells_calls_from_outside_causes(
    host: HostProcess, end: Callable[[HostProcess], None], by_call: bool
) -> None:
    end(host)
    wait_for(lambda: not host.alive())
    assert host.ended_by_call() is by_call


def test_a_process_that_exits_on_its_own_was_ended_by_a_call(host: HostProcess) -> None:
    status = Path(f"/proc/{host.pid}/status")
    wait_for(lambda: int(status.read_text().partition("SigCgt:")[2].split()[0], 16) >> signal.SIGUSR1 - 1 & 1)
    os.kill(host.pid, signal.SIGUSR1)
    wait_for(lambda: not host.alive())
    assert host.ended_by_call()


def test_waiting_tells_whether_a_process_has_ended(host: HostProcess) -> None:
    select.select([host.control], [], [], 60)  # until the process has closed its copy of the other end
    assert not host.wait(0.0)
    os.kill(host.pid, signal.SIGKILL)
    assert host.wait(60.0) and not host.alive()


def test_a_note_is_read_once_and_can_be_cleared(tmp_path: Path) -> None:
    assert blame.pop(tmp_path) is None
    before = time.monotonic()
    blame.note(tmp_path)
    noted = blame.pop(tmp_path)
    assert noted is not None and before <= noted <= time.monotonic() and blame.pop(tmp_path) is None
    blame.note(tmp_path)
    blame.clear(tmp_path)
    assert blame.pop(tmp_path) is None and list(tmp_path.iterdir()) == []
