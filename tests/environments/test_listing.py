"""The list of the catalogue: what is asked for once, what is kept, and for how long."""

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


class Asked:
    """Stands for the host: tells an environment's spaces, counts how often, and fails as it is told to."""

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
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path / "catalogue.json")


def test_each_environment_is_asked_once_until_versions_change(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = asked.rows()
    assert rows["CartPole-v1"]["action_space"] == {"name": "CartPole-v1"}
    assert "action_space" not in rows["phys2d/CartPole-v1"] and "action_space" not in rows["Pong-v0"]
    asked.now += 1e9
    assert asked.rows() == rows and set(asked.times.values()) == {1}
    monkeypatch.setattr(asked.catalogue, "versions", lambda: ["others"])
    assert asked.rows() == rows and set(asked.times.values()) == {2}


def test_one_that_fails_is_told_with_its_reason_and_asked_again_later(asked: Asked) -> None:
    asked.failing["CartPole-v1"] = EnvironmentFailed("its host ended")
    for _ in range(2):
        rows = asked.rows()
        assert rows["CartPole-v1"]["missing"] == asked.listing().row("CartPole")["missing"] == "its host ended"
        assert rows["Acrobot-v1"]["action_space"] == {"name": "Acrobot-v1"}
    assert asked.times["CartPole-v1"] == 1
    asked.failing.clear()
    asked.now += RETRY_SECONDS
    assert asked.rows()["CartPole-v1"] == rows["CartPole-v1"] | {
        "missing": None,
        "action_space": {"name": "CartPole-v1"},
    }
    assert (asked.times["CartPole-v1"], asked.times["Acrobot-v1"]) == (2, 1)


def test_a_request_whose_time_is_up_leaves_the_rest_to_the_next(asked: Asked) -> None:
    assert "action_space" not in asked.rows(seconds=0)["CartPole-v1"] and not asked.times
    asked.failing["CartPole-v1"] = Unavailable("the supervisor does not answer")
    with pytest.raises(Unavailable):
        asked.rows()
    before = asked.times.copy()
    asked.failing.clear()
    asked.rows()
    assert before and set((asked.times - before).values()) == {1} and asked.times["CartPole-v1"] == 2


def test_requests_at_once_ask_once_and_none_waits_for_ever(asked: Asked) -> None:
    going, asking = threading.Event(), threading.Event()
    asked.meanwhile = lambda: asking.set() or going.wait()
    threads = [threading.Thread(target=asked.rows) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(asking.is_set)
    late = asked.rows(seconds=0.1)
    assert "action_space" not in late["CartPole-v1"] and late["CartPole-v1"]["missing"] is None
    going.set()
    for thread in threads:
        thread.join()
    assert set(asked.times.values()) == {1} and asked.rows()["CartPole-v1"]["action_space"]


@pytest.mark.parametrize("kept", ["", "{", "{}", "[]", "3", '{"key": 1, "rows": []}'])
def test_a_file_that_is_of_no_use_is_written_anew(asked: Asked, kept: str) -> None:
    asked.file.write_text(kept)
    assert asked.rows()["CartPole-v1"]["action_space"] and asked.rows() and asked.times["CartPole-v1"] == 1


def test_what_cannot_be_kept_is_told_all_the_same(asked: Asked) -> None:
    asked.file.mkdir()  # as on a full disk, no file can be written
    assert asked.rows()["CartPole-v1"]["action_space"] == {"name": "CartPole-v1"}


def test_one_row_tells_the_spaces_also_of_atari(asked: Asked) -> None:
    assert asked.listing().row("Pong-v0")["action_space"] == {"name": "Pong-v0"}
    with pytest.raises(UnknownEnvironment):
        asked.listing().row("Nowhere-v0")
