"""What an environment tells of its trial's secrets never leaves, and everything else does, unchanged."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gymserve import wire
from gymserve.hosts.allowance import Allowance
from gymserve.hosts.trials import SHORT, Secrets

SEED = 2**62 + 987654321
TRIAL = {"seed": SEED, "options": {"level": 3, "word": "nightmare"}, "kwargs": {"wind": 1.5}}
LEAKS = st.sampled_from(
    [SEED, float(SEED), str(SEED), f"seed {SEED}", f"{SEED:x}", f"{SEED:X}", "a nightmare", np.int64(SEED), np.float64(SEED),
     np.array([1, SEED]), np.array(SEED, np.uint64), np.array([SEED], np.float64), SEED.to_bytes(8, "big"),
     SEED.to_bytes(8, "little")]
)  # fmt: skip
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31)
    | st.floats(allow_nan=False)
    | st.text("abcdf ", max_size=6)
    | st.binary(max_size=6)
)
NAMES = st.text("abcdf", min_size=1, max_size=4)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


def says_it(packed: bytes) -> bool:
    forms = [str(SEED).encode(), f"{SEED:x}".encode(), f"{SEED:X}".encode(), b"nightmare"]
    forms += [SEED.to_bytes(8, "big"), SEED.to_bytes(8, "little"), wire.pack(float(SEED))[1:]]
    forms.append(wire.pack(float(SEED))[:0:-1])
    return any(form in packed for form in forms)


@given(st.dictionaries(NAMES, nested(PLAIN | LEAKS), max_size=4))
def test_the_seed_is_found_in_any_place_and_form(info: dict[str, Any]) -> None:
    assert not says_it(Secrets(TRIAL).filtered(wire.pack(info)))


@given(st.dictionaries(NAMES, nested(PLAIN), max_size=4))
def test_what_is_no_secret_passes_unchanged(info: dict[str, Any]) -> None:
    packed = wire.pack(info)
    assert Secrets(TRIAL).filtered(packed) is packed


def test_what_is_called_a_seed_an_option_or_an_argument_is_left_out() -> None:
    info = {
        "seeds": [1],
        "Level_Seed": 2,
        "np_random": 3,
        "level": 3,
        "wind": 1.5,
        "lives": 3,
        "in": {"level": 4, "x": 5},
    }
    assert wire.unpack(Secrets(TRIAL).filtered(wire.pack(info))) == {"lives": 3, "in": {"x": 5}}


def test_a_seed_that_could_be_any_number_hides_no_other_number() -> None:
    packed = wire.pack({"lives": 3, "score": 3.0})
    assert Secrets({"seed": 3, "options": None, "kwargs": {}}).filtered(packed) == packed
    assert SHORT > 3


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_agent_has_its_time_a_step_and_a_bank_beside() -> None:
    clock = Clock()
    allowance = Allowance({"step_seconds": 1.0, "overage_seconds": 2.0}, age=0.0, clock=clock)
    for seconds, late in ((1.0, False), (0.1, False), (2.5, False), (1.5, False), (1.0, False), (1.1, True)):
        allowance.answered()
        clock.now += seconds
        assert allowance.is_late() is late


def test_the_whole_time_counts_from_when_the_instance_was_made() -> None:
    clock = Clock()
    assert Allowance({"submission_seconds": 60.0}, age=20.0, clock=clock).deadline == 140.0
    assert Allowance({}, age=20.0, clock=clock).deadline == float("inf")
    assert not Allowance({"overage_seconds": 5.0}, age=0.0).counts
