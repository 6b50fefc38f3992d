"""Process groups are found and measured."""

import os
import signal
import subprocess
import sys

from gymserve.training.runners import processes
from gymserve.training.runners.folder import ProcessIdentity
from tests.support.servers import wait_for

PAIR = """
import os, time
data = os.urandom(60 << 20)
if child := os.fork():
    print(child, flush=True)
time.sleep(60)
"""


def test_shared_memory_counts_once_and_zombies_not_at_all() -> None:
    with subprocess.Popen([sys.executable, "-c", PAIR], stdout=subprocess.PIPE, start_new_session=True) as parent:
        try:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            assert {each.pid for each in processes.members(parent.pid)} == {parent.pid, child}
            both = processes.usage(parent.pid)
            assert 60 << 20 < both.memory < 100 << 20 and 0 < both.cpu_seconds < 10
            os.kill(child, signal.SIGKILL)  # nobody waits for it
            wait_for(lambda: len(list(processes.members(parent.pid))) == 1, 5)
            assert 60 << 20 < processes.usage(parent.pid).memory < 100 << 20
            assert not processes.sweep(ProcessIdentity.of(parent.pid))
            assert parent.wait(30) == -signal.SIGKILL and processes.usage(parent.pid) == (0, 0.0)
        finally:
            if parent.poll() is None:
                os.killpg(parent.pid, signal.SIGKILL)
