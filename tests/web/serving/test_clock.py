"""If a running server's clock jumps by a day, timeouts are not affected, and dates follow the clock."""

import datetime
import email.utils
import itertools
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import Server, wait_for

pytestmark = pytest.mark.needs("compiler")
DAY = datetime.timedelta(days=1)
CHALLENGE = {
    "name": "clock", "environment": "CartPole-v1", "max_episode_steps": 5, "trials": {"number": 3}, "scoring": {"worst": 0},
    "limits": {"idle_seconds": 60, "submission_seconds": 120, "step_seconds": 30, "concurrent": 2},
}  # fmt: skip


class Clock:
    """A server's time of day. libfaketime is not used, since it breaks `time.sleep` of Python 3.11."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        library, self.file = folder / "clock.so", folder / "offset"
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        self.jump(0)
        self.variables = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self.file)}
        for name, value in self.variables.items():
            patch.setenv(name, value)

    def jump(self, days: int) -> None:
        """Set the server's time to the true one plus `days`."""
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("=q", round(days * DAY.total_seconds())))


def shift(server: Server) -> int:
    """Return how many days the server's clock is off, from the `Date` of a response."""
    date = email.utils.parsedate_to_datetime(str(server.get("/health/live").headers["Date"]))
    return round((date - datetime.datetime.now(datetime.UTC)) / DAY)


def play(server: Server, token: str) -> None:
    while not server.post(f"/v1/envs/{token}/step/", {"action": 1}).json["done"]:
        pass


@pytest.mark.guarantee("the clock jumps by a day")
def test_no_submission_or_instance_ends_when_the_clock_jumps(start: Any, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(tmp_path, patch)
        server: Server = start(AUTH="token", IDLE_SECONDS=60, PRELOAD=False, ENVIRONMENT_VARIABLES=clock.variables)
    server.key = server.account("o", "organiser")[1]
    assert server.post("/challenges/", {"definition": CHALLENGE}).status == 200
    submission = server.post("/challenges/clock/submissions/").json
    plain = server.create("CartPole-v1")
    server.post(f"/v1/envs/{plain}/reset/")
    steps = itertools.count(1)
    for days in (1, -1, 0):
        assert server.post(f"/v1/envs/{submission['token']}/reset/").json["observation"] is not None
        clock.jump(days)
        wait_for(lambda days=days: shift(server) == days)
        assert server.get(f"/submissions/{submission['submission_id']}/").json["state"] in ("created", "running")
        assert server.post(f"/v1/envs/{plain}/step/", {"action": 1, "seq": next(steps)}).status == 200
        play(server, submission["token"])
    assert server.post(f"/v1/envs/{submission['token']}/reset/").json["observation"] is None
    assert server.post(f"/v1/envs/{submission['token']}/close/").status == 204

    def graded() -> Any:
        row = server.get(f"/submissions/{submission['submission_id']}/").json
        return row if row["state"] == "graded" else None

    row = wait_for(graded)
    assert row["verdict"] == "verified" and [trial["state"] for trial in row["trials"]] == ["played"] * 3
    assert all(trial["seconds"] >= 0 for trial in row["trials"])


@pytest.mark.long
@pytest.mark.guarantee("the clock jumps by a day")
def test_dates_follow_the_clock(start: Any, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(tmp_path, patch)
        server: Server = start(AUTH="token")
    server.key = server.account("o", "organiser")[1]
    closes = (datetime.datetime.now(datetime.UTC) + DAY / 2).isoformat()
    defined = server.post("/challenges/", {"definition": {**CHALLENGE, "phases": [{"name": "only", "closes": closes}]}})
    assert defined.json["phase"] == "only"
    clock.jump(1)
    wait_for(lambda: shift(server) == 1)
    assert server.get("/challenges/clock/").json["phase"] is None
    assert server.post("/challenges/clock/submissions/").status == 404
    clock.jump(0)
    wait_for(lambda: shift(server) == 0)
    assert server.post("/challenges/clock/submissions/").status == 200
