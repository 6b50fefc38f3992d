"""The processes that environments start are killed with the instances that own them, and no others."""

import os
import subprocess
import sys
from pathlib import Path

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


def test_a_process_is_noticed_without_a_look_at_instances() -> None:
    code = """
import subprocess
from gymserve.hosts import child_processes
from gymserve.hosts.pulse import Pulse
child = child_processes.ChildProcesses(Pulse().page)
assert not child.any()
started = subprocess.Popen(["sleep", "600"])
assert child.any() and child_processes.has_children()
child.update(["a"], ["a"])
child.release("a")
started.wait()
child.update([], [])
assert not child.any()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


REPLAYING = """
import os, subprocess, time
from gymserve.hosts import child_processes
child_processes.become_subreaper()
subprocess.run(["sh", "-c", "sleep 600 & setsid sleep 600 &"])
subprocess.Popen(["sleep", "600"], env={**os.environ, child_processes.MARK: "/a/server's"})  # pretends to be spared
words = ["sh", "-c", "setsid sleep 600 & echo; wait"]
kept = child_processes.start_spared(lambda: subprocess.Popen(words, stdout=subprocess.PIPE))
kept.stdout.readline()
own = {kept.pid, *child_processes.descendants(kept.pid)}
assert len(own) == 2 and len(child_processes.descendants(os.getpid()) - own) >= 3
while child_processes.descendants(os.getpid()) != own:
    child_processes.kill_all()
    time.sleep(0.01)
assert kept.poll() is None
child_processes.kill(own)
kept.wait()
"""


def test_a_replaying_process_kills_its_descendants_except_supervisors_and_theirs() -> None:
    subprocess.run([sys.executable, "-c", REPLAYING], check=True, timeout=60)


STARTING = """
import os, signal, sys, threading
from gymserve.hosts import child_processes
from gymserve.hosts.pool.supervisor_connection import start_supervisor
from gymserve.settings import Settings
from gymserve.system.launcher import Launcher
ended = threading.Event()
def kill_all():
    while not ended.is_set():
        child_processes.kill_all()
threading.Thread(target=kill_all).start()
try:
    start_supervisor(Launcher.of(Settings(DATA=sys.argv[1], PRELOAD=False)))
finally:
    ended.set()
for pid in child_processes.children(os.getpid()):
    os.kill(pid, signal.SIGTERM)
"""


def test_a_replaying_process_does_not_kill_a_supervisor_that_is_just_starting(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", STARTING, str(tmp_path)], check=True, timeout=60)
