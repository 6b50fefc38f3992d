"""Seeds are secret until revealed, match the commitment afterwards, and differ from practice seeds."""

import stat
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gymserve.grader.challenges import definition, seeds

TEXT = """name = "cart"
environment = "CartPole-v1"
trials = { number = 50, variants = [{ options = { d = 1 } }, { options = { d = 2 }, kwargs = { k = 3 } }] }
phases = [{ name = "public" }, { name = "final", kind = "final", trials = 60 }]
"""
CHALLENGE = definition.read(TEXT)
FRESH = definition.read(TEXT.replace("number = 50", "number = 50, fresh = true"))


@given(st.binary(min_size=1, max_size=64))
def test_phases_challenges_and_practice_share_no_seed(secret: bytes) -> None:
    keys = [seeds.phase_key(secret, *names) for names in (("a", "b"), ("a", "c"), ("b", "b"))]
    drawn = [seeds.seed(key, trial) for key in keys for trial in range(1, 21)]
    drawn += [seeds.practice_seed("a", trial) for trial in range(1, 21)]
    assert len(set(drawn)) == len(drawn) and all(0 <= seed < 2**63 for seed in drawn)
    assert [seed % 2 for seed in drawn] == [1] * 60 + [0] * 20


def test_a_plan_is_reproducible_and_has_the_phases_trials_and_variants() -> None:
    key = seeds.phase_key(b"secret", "cart", "final")
    plan = seeds.plan(CHALLENGE, "final", key, "one")
    assert plan == seeds.plan(CHALLENGE, "final", key, "two") and len(plan) == 60
    assert [trial["options"] for trial in plan[:3]] == [{"d": 1}, {"d": 2}, {"d": 1}]
    assert plan[1]["kwargs"] == {"k": 3}


def test_a_practice_phase_uses_practice_seeds_whatever_its_key() -> None:
    practice = definition.read(TEXT.replace('name = "public"', 'name = "public", kind = "practice"'))
    plan = seeds.plan(practice, "public", seeds.phase_key(b"secret", "cart", "public"), "one")
    assert plan == seeds.practice_plan(practice, 50)
    assert [trial["seed"] for trial in plan] == [seeds.practice_seed("cart", trial) for trial in range(1, 51)]


def test_practice_seeds_and_keys_differ_by_challenge_and_phase() -> None:
    assert not {seeds.practice_seed("a", trial) for trial in range(1, 21)} & {
        seeds.practice_seed("b", trial) for trial in range(1, 21)
    }
    assert len({seeds.practice_key(*names) for names in (("a", "x"), ("a", "y"), ("b", "x"))}) == 3


def test_seeds_use_all_of_their_63_bits() -> None:
    """With fewer bits, an agent could find the seed of a first observation by trying all of them."""
    key = seeds.phase_key(b"secret", "cart", "public")
    drawn = [seeds.seed(key, trial) for trial in range(1, 201)] + [
        seeds.practice_seed("cart", k) | 1 for k in range(1, 201)
    ]
    for part in (drawn[:200], drawn[200:]):
        for bit in range(1, 63):
            assert 60 < sum(seed >> bit & 1 for seed in part) < 140, bit


def test_each_generation_has_another_key() -> None:
    keys = {seeds.phase_key(b"secret", "cart", "public", generation) for generation in range(5)}
    assert len(keys) == 5 and seeds.phase_key(b"secret", "cart", "public") in keys


def test_fresh_seeds_differ_from_submission_to_submission() -> None:
    key = seeds.phase_key(b"secret", "cart", "public")
    one, two = ({trial["seed"] for trial in seeds.plan(FRESH, "public", key, name)} for name in ("one", "two"))
    assert not one & two


@given(st.binary(min_size=32, max_size=32), st.integers(0, 255))
def test_no_other_key_fits_a_commitment(key: bytes, bit: int) -> None:
    published = seeds.commitment(key)
    assert seeds.is_revealed(published, key)
    other = (int.from_bytes(key, "big") ^ 1 << bit).to_bytes(32, "big")
    assert not seeds.is_revealed(published, other)


def test_the_servers_secret_is_created_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = seeds.server_secret(path)
    assert len(secret) == seeds.KEY_BYTES and seeds.server_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
