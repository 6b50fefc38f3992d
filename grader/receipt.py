"""A receipt: what a submission got, bound to its journal, challenge, seeds and account, and signed by the server."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grader import signing
from grader.challenge import Challenge, canonical
from grader.scoring import Result
from grader.verification import Verdict
from gymserve.errors import InvalidRequest
from gymserve.hosts.versions import versions
from gymserve.journal.file import MAGIC, scan

FORMAT = "gymserve receipt 1"
LINK_BYTES = 32


class InvalidReceipt(InvalidRequest):
    """It is no receipt of ours, or was changed after it was signed."""


@dataclass(frozen=True)
class Receipt:
    """A signed statement, a map of plain data (see `docs/verification.md`)."""

    statement: dict[str, Any]
    signature: str

    def to_json(self) -> bytes:
        return canonical({"statement": self.statement, "signature": self.signature})

    @property
    def fingerprint(self) -> str:
        """Of the key that signed it."""
        return signing.fingerprint(self.statement["key"])


def chain(journal: bytes) -> tuple[bytes, int]:
    """(a link of 32 bytes for each whole record of a journal, where the last one ends).

    A link is the SHA-256 of the link before and the record's bytes, so the last one stands for the whole journal.

    Raises:
        ValueError: that is no journal.
    """
    links = [hashlib.sha256(MAGIC).digest()]
    start = len(MAGIC)
    try:
        for _, end, _ in scan(journal):
            links.append(hashlib.sha256(links[-1] + journal[start:end]).digest())
            start = end
    except (InvalidRequest, ArithmeticError, LookupError, TypeError):  # a record that was put together by hand
        pass
    return b"".join(links[1:]), start


def issue(
    key: Ed25519PrivateKey,
    *,
    journal: bytes,
    challenge: Challenge,
    phase: str,
    commitment: str,
    submission: str,
    account: str,
    result: Result,
    verdict: Verdict | None,
    graded: float,
) -> Receipt:
    """The receipt of a graded submission. It tells no seed, so its owner may have it while the phase runs.

    Args:
        commitment: to the phase's seeds, see `seeds.commitment`.
        verdict: None while the verification is pending.
        graded: seconds since 1970.
    """
    links, _ = chain(journal)
    statement = {
        "format": FORMAT,
        "key": signing.public_text(key),
        "submission": submission,
        "account": account,
        "challenge": challenge.name,
        "challenge_sha256": challenge.digest,
        "phase": phase,
        "commitment": commitment,
        "records": len(links) // LINK_BYTES,
        "journal": links[-LINK_BYTES:].hex(),
        "score": result.score,
        "secondary": result.secondary,
        "reason": result.reason,
        "trials": result.to_map()["trials"],
        "verdict": None if verdict is None else verdict.state,
        "tolerance": challenge.tolerance,
        "versions": versions(),
        "graded": graded,
    }
    return Receipt(statement, signing.signature(key, canonical(statement)))


def read(data: bytes, *, trusted: Iterable[str] = ()) -> Receipt:
    """The receipt in a file, whose signature fits.

    Args:
        trusted: public keys, one of which must have signed it; none: any key, whose fingerprint is to be compared.

    Raises:
        InvalidReceipt: the text says why it is not to be believed.
    """
    try:
        content = json.loads(data)
        receipt = Receipt(dict(content["statement"]), str(content["signature"]))
        public = str(receipt.statement["key"])
        statement = canonical(receipt.statement)
        same = receipt.to_json() == data
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidReceipt(f"the receipt cannot be read: {error}") from error
    if receipt.statement.get("format") != FORMAT:
        raise InvalidReceipt(f"the receipt's format is {receipt.statement.get('format')!r:.50}, not {FORMAT!r}")
    if not same or not signing.fits(public, statement, receipt.signature):
        raise InvalidReceipt("the receipt's signature does not fit: it was changed after it was signed")
    keys = list(trusted)
    if keys and public not in keys:
        raise InvalidReceipt(
            f"the receipt was signed with the key {receipt.fingerprint}, which is not the one to trust"
        )
    return receipt
