"""The catalogue's listing: spaces are requested once, cached, and requested again when they are out of date."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gymserve.environments import Catalogue, Listing
from gymserve.environments.listing import RETRY_SECONDS
from gymserve.protocol.errors import EnvironmentFailed, Unavailable, UnknownEnvironment
from tests.support.servers import wait_for


class FakeHost:
    """A fake of the host: returns an environment's spaces, counts the calls, and fails on demand."""

    def __init__(self, file: Path) -> None:
        self.catalogue, self.file, self.now = Catalogue(), file, 1e9
        self.times: Counter[str] = Counter()
        self.failing: dict[str, Exception] = {}
        self.meanwhile: Callable[[], Any] = lambda: None

    def spaces(self, env_id: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        self.times[env_id] += 1
        self.meanwhile()
        if env_id in self.failing:
            raise self.failing[env_id]
        return {"action_space": {"name": env_id}}

    def rows(self, *, seconds: float = 60.0) -> dict[str, Any]:
        return {row["id"]: row for row in self.listing(seconds).rows()}

    def listing(self, seconds: float = 60.0) -> Listing:
        return Listing(self.catalogue, self.spaces, self.file, seconds=seconds, clock=lambda: self.now)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path / "catalogue.json")


def test_spaces_are_requested_once_until_versions_change(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = host.rows()
    assert rows["CartPole-v1"]["action_space"] == {"name": "CartPole-v1"}
    assert "action_space" not in rows["phys2d/CartPole-v1"] and "action_space" not in rows["Pong-v0"]
    host.now += 1e9
    assert host.rows() == rows and set(host.times.values()) == {1}
    monkeypatch.setattr(host.catalogue, "versions", lambda: ["others"])
    assert host.rows() == rows and set(host.times.values()) == {2}


def test_a_failure_is_listed_with_its_reason_and_retried_later(host: FakeHost) -> None:
    host.failing["CartPole-v1"] = EnvironmentFailed("its host ended")
    for _ in range(2):
        rows = host.rows()
        assert rows["CartPole-v1"]["missing"] == host.listing().row("CartPole")["missing"] == "its host ended"
        assert rows["Acrobot-v1"]["action_space"] == {"name": "Acrobot-v1"}
    assert host.times["CartPole-v1"] == 1
    host.failing.clear()
    host.now += RETRY_SECONDS
    assert host.rows()["CartPole-v1"] == rows["CartPole-v1"] | {
        "missing": None,
        "action_space": {"name": "CartPole-v1"},
    }
    assert (host.times["CartPole-v1"], host.times["Acrobot-v1"]) == (2, 1)


def test_a_request_out_of_time_leaves_the_rest_to_the_next(host: FakeHost) -> None:
    assert "action_space" not in host.rows(seconds=0)["CartPole-v1"] and not host.times
    host.failing["CartPole-v1"] = Unavailable("the supervisor does not answer")
    with pytest.raises(Unavailable):
        host.rows()
    before = host.times.copy()
    host.failing.clear()
    host.rows()
    assert before and set((host.times - before).values()) == {1} and host.times["CartPole-v1"] == 2


def test_simultaneous_requests_ask_once_and_do_not_wait_for_ever(host: FakeHost) -> None:
    going, asking = threading.Event(), threading.Event()

    def meanwhile() -> None:
        asking.set()
        going.wait()

    host.meanwhile = meanwhile
    threads = [threading.Thread(target=host.rows) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(asking.is_set)
    late = host.rows(seconds=0.1)
    assert "action_space" not in late["CartPole-v1"] and late["CartPole-v1"]["missing"] is None
    going.set()
    for thread in threads:
        thread.join()
    assert set(host.times.values()) == {1} and host.rows()["CartPole-v1"]["action_space"]


@pytest.mark.parametrize("kept", ["", "{", "{}", "[]", "3", '{"key": 1, "rows": []}'])
def test_a_damaged_cache_is_rewritten(host: FakeHost, kept: str) -> None:
    host.file.write_text(kept)
    assert host.rows()["CartPole-v1"]["action_space"] and host.rows() and host.times["CartPole-v1"] == 1


def test_rows_are_complete_even_if_the_cache_cannot_be_written(host: FakeHost) -> None:
    host.file.mkdir()  # no file can be written there, as on a full disk
    assert host.rows()["CartPole-v1"]["action_space"] == {"name": "CartPole-v1"}


def test_a_single_row_has_spaces_even_for_atari(host: FakeHost) -> None:
    assert host.listing().row("Pong-v0")["action_space"] == {"name": "Pong-v0"}
    with pytest.raises(UnknownEnvironment):
        host.listing().row("Nowhere-v0")
