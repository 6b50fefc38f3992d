"""What is packed or framed arrives unchanged."""

import numpy as np
import pytest

from gymserve.protocol import wire

ARRAYS = [
    np.arange(6, dtype=np.float32),
    np.arange(6, dtype=np.int64),
    np.arange(6, dtype=np.int64).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(600, dtype=np.uint8)[::2],
    np.arange(6, dtype=">i4"),
    np.array(1.5),
    np.zeros((0, 3)),
    np.zeros(70_000, bool),
    np.array(["a", "bc"]),
    np.array(["2026-01-01"], "datetime64[D]"),
]


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str}{array.shape}")
def test_an_array_arrives_as_it_was(array: np.ndarray, again: bool) -> None:
    arrived = wire.unpack(wire.pack({"array": array}))["array"]
    assert arrived.dtype == array.dtype and arrived.shape == array.shape and arrived.flags.writeable
    assert arrived.tobytes() == array.tobytes()


def test_object_arrays_arrive_as_lists() -> None:
    final = np.full(4, None, object)
    final[1], final[2] = np.ones(2, np.float32), (1, 2)
    none, array, pair, _ = wire.unpack(wire.pack_info({"final_obs": final}))["final_obs"]
    assert none is None and array.dtype == np.float32 and pair == (1, 2)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1024, 1025, 1031, 65_535, 65_536])
def test_a_masked_frame_arrives_however_it_is_cut(size: int) -> None:
    payload = (bytes(range(251)) * 300)[:size]
    frame = wire.frame(wire.BINARY, payload, mask=True)
    for cut in (0, 1, 3, 7, 8, len(frame) - 1):
        frames = wire.Frames(limit=1 << 20, expect_mask=True)
        assert frames.feed(frame[:cut]) + frames.feed(frame[cut:]) == [(wire.BINARY, payload)]


def test_a_frame_beyond_the_limit_breaks_the_protocol() -> None:
    with pytest.raises(wire.ProtocolError, match="1000 bytes"):
        wire.Frames(limit=1000, expect_mask=True).feed(wire.frame(wire.BINARY, bytes(1001), mask=True))
