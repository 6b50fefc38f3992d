"""The grader's own processes do all due work and exit when there has been none for a while."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gymserve.settings import SECRET, Settings
from tests.grader.server.challenge_server import ChallengeServer
from tests.grader.server.test_outbox import SENT, Post, local

SHORT = """
import functools, sys
import {module} as process
process.work = functools.partial(process.work, idle_seconds=0.5, pause=0.1)
sys.exit(process.main())
"""


def exit_code(module: str, settings: Settings) -> int:
    """The exit code of a process that reads these settings and whose standard input stays open."""
    process = subprocess.Popen([sys.executable, "-c", SHORT.format(module=module)], stdin=subprocess.PIPE, text=True)
    with process:
        assert process.stdin is not None
        process.stdin.write(settings.to_json(secrets=SECRET) + "\n")
        process.stdin.flush()
        return process.wait(60)


@pytest.fixture
def server() -> Iterator[ChallengeServer]:
    started = ChallengeServer()
    yield started
    started.stop()


def test_the_reporter_sends_due_reports_and_exits(tmp_path: Path, server: ChallengeServer) -> None:
    post = Post(local(tmp_path), tmp_path, server)
    row = post.begin(1)
    post.end(row)
    post.outbox.hurry()
    settings = Settings(DATA=str(tmp_path), CHALLENGE_SERVER_URL=server.url, CHALLENGE_SERVER_TOKEN="secret-token")
    assert exit_code("gymserve.grader.server.reports.reporter", settings) == 0
    assert post.reports(row) == [(0, SENT), (1, SENT)]


def test_the_worker_exits_if_no_submission_is_active(tmp_path: Path) -> None:
    local(tmp_path)
    assert exit_code("gymserve.grader.server.submissions.worker", Settings(DATA=str(tmp_path))) == 0
