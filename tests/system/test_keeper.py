"""The thread that keeps background processes running survives any exception while it checks them."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gymserve.system.keeper import BackgroundProcess, BackgroundThread, HourlyTask
from gymserve.system.launcher import Launcher
from tests.support.servers import Server, wait_for


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_failed_check_is_not_the_last(tmp_path: Path) -> None:
    looks: list[BaseException] = []
    raised = iter([RuntimeError("a bug"), OSError("no file"), SystemExit()])  # the last one ends a thread

    def has_work() -> bool:
        looks.append(next(raised))
        raise looks[-1]

    background = BackgroundThread(
        BackgroundProcess(
            "reporter", lease="testing", has_work=has_work, launcher=Launcher(data=tmp_path, variables={}, settings="")
        )
    )
    for number in range(1, 4):
        background.wake()
        wait_for(lambda number=number: len(looks) >= number)
    assert background._thread is not None
    background._thread.join(60)  # or pytest would report its SystemExit in a later test


def test_an_hourly_task_is_done_by_one_worker_and_not_at_each_check(tmp_path: Path) -> None:
    done: list[int] = []
    one, other = (HourlyTask("task", lambda n=n: done.append(n), lease=tmp_path / "lease") for n in (1, 2))
    for task in (one, other, one, other):
        task.check()
    assert done == [1]


@pytest.mark.long
def test_a_server_deletes_old_entries_and_journals(start: Any) -> None:
    server: Server = start(AUTH="token")
    server.account("old@example.org")
    with contextlib.closing(sqlite3.connect(server.data / "gymserve.db")) as database, database:
        assert database.execute("UPDATE audit SET at = '2020-01-01 00:00:00.000000'").rowcount
    journal = server.data / "submissions" / ("ab" * 12)
    journal.parent.mkdir(exist_ok=True)
    journal.touch()
    os.utime(journal, (0, 0))
    server.stop()
    server.start()
    with contextlib.closing(sqlite3.connect(server.data / "gymserve.db")) as database:
        wait_for(lambda: not database.execute("SELECT * FROM audit WHERE at < '2021'").fetchall())
    wait_for(lambda: not journal.exists())
