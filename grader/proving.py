"""Proves, or refutes, what a file says: a bundle, a receipt alone, or a journal."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader import bundle, receipt, scoring, tables, verification
from grader.definition import from_map
from grader.verification import Verdict
from gymserve.environments import Catalogue
from gymserve.errors import InvalidRequest
from gymserve.journal.file import MAGIC, scan


@dataclass(frozen=True)
class Proof:
    """`good`: nothing speaks against the file. `verdict`: of the replay; None: there was none."""

    good: bool
    text: str
    verdict: Verdict | None


def prove(
    path: Path,
    catalogue: Catalogue,
    *,
    trusted: Iterable[str] = (),
    functions: Collection[str] = (),
    tolerance: float = 0.0,
    replay: bool = True,
) -> Proof:
    """Checks a bundle, a receipt, a journal or an instance's folder, and replays what can be replayed.

    Args:
        trusted, functions: see `bundle.opened`.
        tolerance: for a journal alone; a bundle has its challenge's.

    Raises:
        InvalidRequest: the file is none of these.
        OSError: it cannot be read.
    """
    data = (path / "journal" if path.is_dir() else path).read_bytes()
    if bundle.is_bundle(data):
        return _of_bundle(data, catalogue, trusted, functions, replay)
    if data[:1] == b"{":
        return _of_receipt(data, trusted)
    if data[: len(MAGIC)] == MAGIC:
        return _of_journal(data, catalogue, tolerance, replay)
    raise InvalidRequest(f"{path} is no bundle, receipt or journal")


def _of_bundle(
    data: bytes, catalogue: Catalogue, trusted: Iterable[str], functions: Collection[str], replay: bool
) -> Proof:
    try:
        opened = bundle.opened(data, trusted=trusted, functions=functions)
    except bundle.InvalidBundle as error:
        return Proof(False, f"not to be believed: {error}", None)
    told = [*_statement(opened.receipt), "every file is what the receipt says"]
    verdict = None
    if replay:
        verdict = verification.verify(opened.records, catalogue, tolerance=opened.challenge.tolerance)
        told.append(tables.of_verdict(verdict))
    good = verdict is None or verdict.state == verification.VERIFIED
    return Proof(good, "\n".join(told), verdict)


def _of_receipt(data: bytes, trusted: Iterable[str]) -> Proof:
    try:
        found = receipt.read(data, trusted=trusted)
    except receipt.InvalidReceipt as error:
        return Proof(False, f"not to be believed: {error}", None)
    return Proof(True, "\n".join([*_statement(found), "the signature fits; the journal comes with the bundle"]), None)


def _of_journal(data: bytes, catalogue: Catalogue, tolerance: float, replay: bool) -> Proof:
    records = [record for record, _, _ in scan(data)]
    plain = from_map({"name": "journal", "environment": "unknown"}).scoring
    table = tables.of_result(scoring.of_journal(records, plain))
    if not replay:
        return Proof(True, table, None)
    verdict = verification.verify(records, catalogue, tolerance=tolerance)
    return Proof(verdict.state == verification.VERIFIED, f"{table}\n{tables.of_verdict(verdict)}", verdict)


def _statement(found: receipt.Receipt) -> list[str]:
    said: dict[str, Any] = found.statement
    return [
        f"submission {said['submission']} of {said['account']} in {said['challenge']}, phase {said['phase']}: "
        f"score {said['score']}" + (f" ({said['reason']})" if said["reason"] else ""),
        f"signed with the key {found.fingerprint}: compare it with the one that the server publishes",
    ]
