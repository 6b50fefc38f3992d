"""A receipt: the server's signed statement of a submission's score, with its journal, challenge, seeds and account."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypedDict

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gymserve.grader.challenges.challenge import Challenge, canonical
from gymserve.grader.proofs import signing
from gymserve.grader.proofs.verification import Verdict
from gymserve.grader.scores.scoring import ScoringResult
from gymserve.hosts.versions import versions
from gymserve.journal.file import MAGIC, frames
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.wire import JSONObject, read_json

FORMAT = "gymserve receipt 1"
_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
LINK_BYTES = 32


class InvalidReceipt(InvalidRequest):
    """The receipt was changed after it was signed, or its signer is not trusted."""


class Unreadable(InvalidRequest):
    """The data is not a complete receipt or bundle of a known version, so its claims cannot be checked."""


class _Statement(TypedDict):
    """The fields of a statement that the checks need."""

    key: str
    submission: str
    account: str
    challenge: str
    challenge_sha256: _Digest
    phase: str
    commitment: _Digest
    journal: _Digest
    score: float | None
    secondary: float | None
    reason: str
    trials: list[JSONObject]


@dataclass(frozen=True)
class Receipt:
    """A signed statement, whose fields `docs/challenges/verification.md` lists."""

    statement: JSONObject
    signature: str

    def to_json(self) -> bytes:
        """The receipt as canonical JSON."""
        return canonical({"statement": self.statement, "signature": self.signature})

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key that signed it."""
        return signing.fingerprint(self.statement["key"])


def chain(journal: bytes) -> tuple[bytes, int]:
    """The hash chain of a journal: a link of 32 bytes for each complete record.

    A link is the SHA-256 of the previous link and the record's bytes, so the last link covers the whole journal.

    Returns:
        The links, and the position at which the last complete record ends.

    Raises:
        ValueError: the data is not a journal.
    """
    links = [hashlib.sha256(MAGIC).digest()]
    start = len(MAGIC)
    for _, end, _ in frames(journal):
        links.append(hashlib.sha256(links[-1] + journal[start:end]).digest())
        start = end
    return b"".join(links[1:]), start


def head(journal: bytes) -> str:
    """The chain's last link in hex."""
    return chain(journal)[0][-LINK_BYTES:].hex()


@dataclass(frozen=True)
class GradedSubmission:
    """What a receipt is about: a submission, and the phase in which it was made.

    Args:
        submission: its permanent name.
        account: the entrant's permanent name.
        commitment: the commitment to the phase's seeds, see `seeds.commitment`.
        generation: the generation of the phase's key, see `seeds.phase_key`.
        name: the entrant's present display name.
    """

    submission: str
    account: str
    challenge: Challenge
    phase: str
    commitment: str
    generation: int = 0
    name: str = ""


def issue(
    key: Ed25519PrivateKey,
    subject: GradedSubmission,
    *,
    journal: bytes,
    result: ScoringResult,
    verdict: Verdict | None,
    graded: float,
) -> Receipt:
    """Signs the receipt of a graded submission. It reveals no seeds, so its owner may have it while the phase is open.

    Args:
        verdict: None while the verification is pending.
        graded: when it was graded, in seconds since 1970.
    """
    links, _ = chain(journal)
    challenge = subject.challenge
    statement = {
        "format": FORMAT,
        "key": signing.public_text(key),
        "submission": subject.submission,
        "account": subject.account,
        "name": subject.name,
        "challenge": challenge.name,
        "challenge_sha256": challenge.digest,
        "phase": subject.phase,
        "commitment": subject.commitment,
        "generation": subject.generation,
        "records": len(links) // LINK_BYTES,
        "journal": links[-LINK_BYTES:].hex(),
        "score": result.score,
        "secondary": result.secondary,
        "reason": result.reason,
        "trials": result.to_dict()["trials"],
        "verdict": None if verdict is None else verdict.state,
        "tolerance": challenge.tolerance,
        "versions": versions(),
        "graded": graded,
    }
    return Receipt(statement, signing.signature(key, canonical(statement)))


def read(data: bytes, *, trusted: Iterable[str] = ()) -> Receipt:
    """Reads a receipt and checks its signature.

    Args:
        trusted: the public keys that may have signed it. If there are none, any key may, and the signer is unknown.

    Raises:
        InvalidReceipt: the signature does not fit, or its key is not trusted.
        Unreadable: the data is not a complete receipt.
    """
    try:
        content = read_json(data)
        receipt = Receipt(dict(content["statement"]), str(content["signature"]))
        if receipt.statement.get("format") != FORMAT:
            raise Unreadable(f"the receipt's format is {receipt.statement.get('format')!r:.50}, not {FORMAT!r}")
        msgspec.convert(receipt.statement, _Statement)
        public, statement = receipt.statement["key"], canonical(receipt.statement)
        same = receipt.to_json() == data
    except (InvalidRequest, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"the receipt cannot be read: {error}") from error
    if not same or not signing.fits(public, statement, receipt.signature):
        raise InvalidReceipt("the receipt's signature does not fit: it was changed after it was signed")
    keys = list(trusted)
    if keys and public not in keys:
        raise InvalidReceipt(
            f"the receipt was signed with the key {receipt.fingerprint}, which is not the one to trust"
        )
    return receipt
