"""The processes that environments start are killed with the instances that own them, and no others."""

import os
import subprocess
import sys

import pytest

from gymserve.hosts import child_processes
from gymserve.hosts.pulse import Pulse, number, watched


def test_a_process_is_killed_with_the_last_instance_that_may_have_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(child_processes, "kill", ended.extend)
    below: dict[int, set[int]] = {os.getpid(): {3}, 3: {4}}
    monkeypatch.setattr(child_processes, "children", lambda pid: below.get(pid, set()))
    pulse = Pulse().page
    child = child_processes.ChildProcesses(pulse)
    child.update(["a", "b", "c"], ["a", "b"])
    with watched(pulse, number("b")):
        subprocess.run(["true"], check=True)
    below[os.getpid()] = {3, 5}
    child.update(["a", "b", "c"], ["a", "b", "c"])
    child.release("a")
    assert not ended
    child.release("b")
    assert set(ended) == {3, 4, 5}


REPLAYING = """
import os, subprocess, time
from gymserve.hosts import child_processes
child_processes.become_subreaper()
subprocess.run(["sh", "-c", "sleep 600 & setsid sleep 600 &"])
kept = subprocess.Popen(["sleep", "600"], env={**os.environ, child_processes.MARK: "/a/server's"})
assert len(child_processes.descendants(os.getpid())) >= 3
while not child_processes.belongs_to("/a/server's", kept.pid):
    time.sleep(0.01)  # its variables can be read a moment after it was started
while child_processes.descendants(os.getpid()) != {kept.pid}:
    child_processes.kill_all()
    time.sleep(0.01)
assert kept.poll() is None
kept.kill()
"""


def test_a_replaying_process_kills_its_descendants_except_supervisors() -> None:
    subprocess.run([sys.executable, "-c", REPLAYING], check=True, timeout=60)
