"""The records' encoding: batches are compact and read back exactly, old versions stay readable, and damage is a ValueError."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gymserve.journal import Ended, Step, read, records
from gymserve.protocol import wire

FIXTURE = Path(__file__).parent / "version1.journal"


@given(
    num_envs=st.integers(1, 40),
    seed=st.integers(0, 1000),
    rewards=st.sampled_from([[1.0], [1.0, 0.0], [0.0, -0.0], [np.nan, 1.0], [np.nan], [0.5, 0.25, 0.125], None]),
    high=st.sampled_from([2, 300]),
    call=st.sampled_from([None, 3, -4]),
)
def test_a_batch_is_read_back(
    num_envs: int, seed: int, rewards: list[float] | None, high: int, call: int | None
) -> None:
    random = np.random.default_rng(seed)
    action = random.integers(0, high, num_envs).tobytes()
    reward = random.normal(size=num_envs) if rewards is None else random.choice(rewards, num_envs)
    ended = random.random((2, num_envs)) < 0.2
    record = records.decode(records.encode_batch(call, 9, action, reward, *ended), num_envs)
    assert isinstance(record, Step) and (record.call, record.digest, record.action) == (call, 9, action)
    for kept, given_as in zip(record[3:6], (reward, *ended), strict=True):
        assert kept.tobytes() == given_as.tobytes()


def test_an_unreadable_record_is_a_value_error() -> None:
    """This includes batches in a plain instance's journal, and plain steps in a vector instance's."""
    none = np.zeros(2, bool)
    batch = records.encode_batch(None, 1, b"", np.ones(2), none, none)
    objects = wire.pack(msgspec.msgpack.Ext(1, msgspec.msgpack.encode(("|O", (1,), bytes(8)))))
    nothing = wire.pack(msgspec.msgpack.Ext(1, msgspec.msgpack.encode(("|V0", (10**9,), b""))))
    step = records.encode_step(None, 1, 1, 1.0, False, False, None)[:-1]
    assert records.decode(batch, 2) and records.decode(step + wire.pack(np.ones(3)), 0)
    for body, copies in (
        (batch, 0), (step + b"\x01", 2), (step + objects, 0), (step + nothing, 0), (step, 1), (b"\x09", 0), (b"\x01", 0),
        (b"\x05" + wire.pack(("idle",)), 0), (b"\x06" + wire.pack(("1", "reset", None, 1.0)), 0), (b"\x02\x00", 0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="cannot be read"):
            records.decode(body, copies)


def test_a_step_of_a_thousand_copies_takes_about_a_kilobyte() -> None:
    actions = np.ones(1024, np.int64).tobytes()
    none = np.zeros(1024, bool)
    some = np.arange(1024) % 100 == 0
    assert len(records.encode_batch(1, 1, actions, np.ones(1024), none, none)) < 1100
    assert len(records.encode_batch(1, 1, actions, np.where(some, 0.0, 1.0), some, none)) < 1350


@pytest.mark.parametrize("two", [(0.0, -0.0), (1.0, np.nan), (np.nan, 1.0)])
def test_two_rewards_that_compare_oddly_are_stored_once_each(two: tuple[float, float]) -> None:
    none, reward = np.zeros(1024, bool), np.array(two * 512)
    body = records.encode_batch(None, 1, b"", reward, none, none)
    assert len(body) < 200
    assert records.decode(body, 1024)[3].tobytes() == reward.tobytes()


def test_version_1_stays_readable() -> None:
    kept = list(read(FIXTURE))
    assert [type(record).__name__ for record in kept] == ["Created", "Reset", "Step", "Step", "Monitored", "Closed"]
    assert kept[2] == Step(2, 16045690984503098046, 1, 1.0, False, False, None)


def test_a_graded_journal_stays_readable() -> None:
    kept = list(read(FIXTURE.with_name("graded1.journal")))
    names = [
        "Created",
        "Reset",
        "Step",
        "Step",
        "Ended",
        "Reset",
        "Step",
        "Step",
        "Step",
        "Reset",
        "Step",
        "Ended",
        "Closed",
    ]
    assert [type(record).__name__ for record in kept] == names
    assert isinstance(kept[4], Ended) and kept[4].reason.startswith("failed")
    assert isinstance(kept[11], Ended) and kept[11][:3] == (3, "reset", 8)
