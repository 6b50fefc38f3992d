"""The seeds of trials: the server commits to them when a phase opens, and reveals them when it is over.

server's secret ─HMAC(challenge, phase[, generation])─▶ phase key ─HMAC(trial[, submission])─▶ seed
                                              └─SHA-256─▶ commitment, which is published when the phase opens

The phase key reveals every seed of its phase, and no seed of any other phase.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from gymserve.grader.challenges.challenge import PRACTICE, Challenge
from gymserve.protocol.wire import JSONObject
from gymserve.system import secret_file

KEY_BYTES = 32


def server_secret(path: Path) -> bytes:
    """The secret in the file `path`, which is created on first use. Back it up: without it, no seeds can be revealed."""
    return bytes.fromhex(secret_file.read_or_create(path, lambda: secrets.token_bytes(KEY_BYTES).hex()))


def phase_key(secret: bytes, challenge: str, phase: str, generation: int = 0) -> bytes:
    """The key of a phase. `generation` is the number of earlier keys of the phase that were revealed."""
    again = f"\0{generation}" if generation else ""
    return hmac.digest(secret, f"gymserve phase\0{challenge}\0{phase}{again}".encode(), "sha256")


def commitment(key: bytes) -> str:
    """The commitment to a phase key, which is public from the beginning."""
    return hashlib.sha256(b"gymserve seeds\0" + key).hexdigest()


def is_revealed(published: str, key: bytes) -> bool:
    """Whether `published` is the commitment to `key`."""
    return hmac.compare_digest(published, commitment(key))


def seed(key: bytes, trial: int, submission: str = "") -> int:
    """The seed of a trial, whose numbers start at 1. With fresh seeds, it depends on the submission.

    A seed is an odd number of 63 bits: too many to find one by comparing first observations.
    """
    drawn = hmac.digest(key, f"trial\0{trial}\0{submission}".encode(), "sha256")
    return int.from_bytes(drawn[:8], "big") >> 1 | 1


def practice_key(challenge: str, phase: str) -> bytes:
    """The key of a practice phase. It is public, and reveals nothing about other phases."""
    return hashlib.sha256(f"gymserve practice phase\0{challenge}\0{phase}".encode()).digest()


def practice_seed(challenge: str, trial: int) -> int:
    """A public seed. It is even, so that it is never a secret one."""
    drawn = hashlib.sha256(f"gymserve practice\0{challenge}\0{trial}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") >> 1 & ~1


def plan(challenge: Challenge, phase: str, key: bytes, submission: str = "") -> list[JSONObject]:
    """The trials of a submission, in the form that `Instances.create` takes.

    Args:
        submission: its permanent name, which the seeds depend on if the challenge has `trials.fresh`.
    """
    number = challenge.phase(phase).trials
    if challenge.phase(phase).kind == PRACTICE:
        return practice_plan(challenge, number)
    own = submission if challenge.trials.fresh else ""
    return [_trial(challenge, index, seed(key, index, own)) for index in range(1, number + 1)]


def practice_plan(challenge: Challenge, number: int) -> list[dict[str, object]]:
    """The public trials of `gymserve challenge run` and of practice phases."""
    return [_trial(challenge, index, practice_seed(challenge.name, index)) for index in range(1, number + 1)]


def _trial(challenge: Challenge, index: int, seed: int) -> dict[str, object]:
    variants = challenge.trials.variants
    variant = variants[(index - 1) % len(variants)]
    return {"seed": seed, "options": variant.options, "kwargs": variant.kwargs}
