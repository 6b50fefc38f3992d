"""The seeds of trials: secret while a phase runs, committed to at its opening, revealed at its end.

server's secret ─HMAC(challenge, phase[, generation])─▶ phase key ─HMAC(trial[, submission])─▶ seed
                                              └─SHA-256─▶ commitment, which is published when the phase opens

Revealing the phase key shows every seed of that phase, and nothing of any other.
"""

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Any

from grader.challenges.challenge import PRACTICE, Challenge
from gymserve.system import secret_file

KEY_BYTES = 32


def server_secret(path: Path) -> bytes:
    """The secret that is kept in `path`; made when there is none. Keep a copy: without it no phase can be revealed."""
    return bytes.fromhex(secret_file.kept(path, lambda: secrets.token_bytes(KEY_BYTES).hex()))


def phase_key(secret: bytes, challenge: str, phase: str, generation: int = 0) -> bytes:
    """The key of one phase of a challenge; `generation` counts those that it had before, and that were shown."""
    again = f"\0{generation}" if generation else ""
    return hmac.digest(secret, f"gymserve phase\0{challenge}\0{phase}{again}".encode(), "sha256")


def commitment(key: bytes) -> str:
    """What is published of a phase key before it may be known."""
    return hashlib.sha256(b"gymserve seeds\0" + key).hexdigest()


def is_revealed(published: str, key: bytes) -> bool:
    """Whether `key` is what was committed to."""
    return hmac.compare_digest(published, commitment(key))


def seed(key: bytes, trial: int, submission: str = "") -> int:
    """The seed of a trial (from 1), an odd number of 63 bits; `submission` where each has seeds of its own.

    63 bits, so that nobody finds a seed by trying what observation each one gives.
    """
    drawn = hmac.digest(key, f"trial\0{trial}\0{submission}".encode(), "sha256")
    return int.from_bytes(drawn[:8], "big") >> 1 | 1


def practice_key(challenge: str, phase: str) -> bytes:
    """What stands for the key of a practice phase: anyone may know it, and it tells nothing of other phases."""
    return hashlib.sha256(f"gymserve practice phase\0{challenge}\0{phase}".encode()).digest()


def practice_seed(challenge: str, trial: int) -> int:
    """A seed that anyone may know; even, so that it is never a secret one."""
    drawn = hashlib.sha256(f"gymserve practice\0{challenge}\0{trial}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") >> 1 & ~1


def plan(challenge: Challenge, phase: str, key: bytes, submission: str = "") -> list[dict[str, Any]]:
    """The trials of a submission, as `Instances.create` takes them.

    Args:
        submission: what names it for good; it counts where the challenge says `trials.fresh`.
    """
    number = challenge.phase(phase).trials
    if challenge.phase(phase).kind == PRACTICE:
        return practice_plan(challenge, number)
    own = submission if challenge.trials.fresh else ""
    return [_trial(challenge, index, seed(key, index, own)) for index in range(1, number + 1)]


def practice_plan(challenge: Challenge, number: int) -> list[dict[str, Any]]:
    """Trials to practise with: those of `python -m grader run`, and of a practice phase."""
    return [_trial(challenge, index, practice_seed(challenge.name, index)) for index in range(1, number + 1)]


def _trial(challenge: Challenge, index: int, seed: int) -> dict[str, Any]:
    variants = challenge.trials.variants
    variant = variants[(index - 1) % len(variants)]
    return {"seed": seed, "options": variant.options, "kwargs": variant.kwargs}
