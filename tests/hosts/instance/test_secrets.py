"""Secrets of a trial are removed from `info`, and everything else stays unchanged; agents' time is counted fairly."""

import base64
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gymserve.hosts.instance.allowance import Allowance
from gymserve.hosts.instance.trials import MIN_SECRET, Secrets
from gymserve.protocol import wire
from gymserve.protocol.recipe import Trial

SEED = 2**62 + 2**31 + 98765432123456789  # its lower half has all 32 bits
TRIAL = Trial(
    SEED, {"level": 3, "word": "nightmare", "map": {"rows": ["BURIED"], "start": [1, 0.13579]}}, {"wind": 1.5}
)
LEAKS = st.sampled_from(
    [SEED, float(SEED), str(SEED), f"seed {SEED}", f"{SEED:x}", f"{SEED:X}", "a nightmare", np.int64(SEED), np.float64(SEED),
     np.array([1, SEED]), np.array(SEED, np.uint64), np.array([SEED], np.float64), SEED.to_bytes(8, "big"),
     SEED.to_bytes(8, "little"), f"{SEED:o}", f"{SEED:b}", [SEED >> 32, SEED % 2**32], f"{SEED % 2**32}", {"of": "BURIED"},
     np.array([SEED >> 32, SEED % 2**32], np.uint32), base64.b64encode(SEED.to_bytes(8, "little")).decode(),
     base64.urlsafe_b64encode(SEED.to_bytes(8, "big")).decode(), [[0.13579]], np.array([0.13579])]
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


def contains_secret(packed: bytes) -> bool:
    forms = [str(SEED).encode(), f"{SEED:x}".encode(), f"{SEED:X}".encode(), b"nightmare"]
    forms += [SEED.to_bytes(8, "big"), SEED.to_bytes(8, "little"), wire.pack(float(SEED))[1:]]
    forms.append(wire.pack(float(SEED))[:0:-1])
    forms += [f"{SEED:o}".encode(), f"{SEED:b}".encode(), f"{SEED % 2**32}".encode(), b"BURIED", wire.pack(0.13579)[1:]]
    forms += [(SEED % 2**32).to_bytes(4, order) for order in ("big", "little")]
    forms += [base64.b64encode(SEED.to_bytes(8, "little"))[:-1], base64.urlsafe_b64encode(SEED.to_bytes(8, "big"))[:-1]]
    return any(form in packed for form in forms)


@given(st.dictionaries(NAMES, nested(PLAIN | LEAKS), max_size=4))
def test_secrets_are_removed_in_any_place_and_encoding(info: dict[str, Any]) -> None:
    assert not contains_secret(Secrets(TRIAL).redact(wire.pack(info)))


@given(st.dictionaries(NAMES, nested(PLAIN), max_size=4))
def test_info_without_secrets_is_returned_unchanged(info: dict[str, Any]) -> None:
    packed = wire.pack(info)
    assert Secrets(TRIAL).redact(packed) is packed


def test_keys_named_like_a_seed_an_option_or_an_argument_are_removed() -> None:
    info = {
        "seeds": [1],
        "Level_Seed": 2,
        "np_random": 3,
        "level": 3,
        "wind": 1.5,
        "lives": 3,
        "in": {"level": 4, "x": 5},
    }
    assert wire.unpack(Secrets(TRIAL).redact(wire.pack(info))) == {"lives": 3, "in": {"x": 5}}


def test_a_key_that_contains_a_secret_text_is_removed() -> None:
    info = {f"begun with {SEED}": 1, "a nightmare!": {"x": 2}, "in": {f"{SEED:x}": 3, "y": 4}}
    assert wire.unpack(Secrets(TRIAL).redact(wire.pack(info))) == {"in": {"y": 4}}


def test_a_small_seed_hides_no_other_numbers() -> None:
    packed = wire.pack({"lives": 3, "score": 3.0})
    assert Secrets(Trial(3)).redact(packed) == packed
    assert MIN_SECRET > 3


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_slow_step_is_charged_to_the_bank() -> None:
    clock = Clock()
    allowance = Allowance({"step_seconds": 1.0, "overage_seconds": 2.0}, age=0.0, clock=clock)
    for seconds, bank in ((1.0, 2.0), (0.125, 2.0), (2.5, 0.5), (1.5, 0.0), (1.0, 0.0), (1.125, -0.125)):
        allowance.answered()
        clock.now += seconds
        assert allowance.overdraws(None) is (seconds > 1.0) and allowance.bank == bank


def test_delays_in_the_server_are_not_charged_to_the_agent() -> None:
    clock = Clock()
    allowance = Allowance({"step_seconds": 1.0, "overage_seconds": 2.0}, age=0.0, clock=clock)
    whole = clock.now + 0.5
    clock.now += 60.0  # spent in a worker, and in a host that was restarted
    assert not allowance.overdraws(whole) and allowance.bank == 2.0
    assert not Allowance({"step_seconds": 1.0}, age=0.0, answered=whole, clock=clock).overdraws(whole + 1.0)
    assert Allowance({"step_seconds": 1.0}, age=0.0, answered=whole, clock=clock).overdraws(None)


def test_the_total_time_counts_from_the_creation_of_the_instance() -> None:
    clock = Clock()
    assert Allowance({"submission_seconds": 60.0}, age=20.0, clock=clock).deadline == 140.0
    assert Allowance({}, age=20.0, clock=clock).deadline == float("inf")
    assert not Allowance({"overage_seconds": 5.0}, age=0.0).counts
