"""Imported modules cost a process little at its exit, and gunicorn's workers can share them."""

import subprocess
import sys
from pathlib import Path


def run(program: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_open_files_are_still_flushed_after_a_freeze(tmp_path: Path) -> None:
    program = """
import sys
from gymserve.system import imports
imports.freeze()
class Agent:
    def __init__(self):
        self.own, self.file = self, open(sys.argv[1], "w")  # a cycle, which only a collection frees
agent = Agent()
agent.file.write("its last line")
"""
    run(program, str(tmp_path / "log"))
    assert (tmp_path / "log").read_text() == "its last line"


def test_imported_modules_are_not_collected_at_exit() -> None:
    program = """
import gc
import gym_http_server
from gymserve.web.serving.server import import_application
before = len(gc.get_objects())
import_application()
print(before, len(gc.get_objects()))
"""
    before, after = map(int, run(program).split())
    assert after < before / 100


def test_importing_the_application_starts_no_threads_and_opens_no_files() -> None:
    program = """
import os, sys, threading
import gym_http_server
threads, files = len(os.listdir("/proc/self/task")), os.listdir("/proc/self/fd")
from gymserve.web.serving.server import import_application
import_application()
assert "gymserve.web.app" in sys.modules
print(len(os.listdir("/proc/self/task")) - threads, len(os.listdir("/proc/self/fd")) - len(files), threading.active_count())
"""
    assert run(program).split() == ["0", "0", "1"]
