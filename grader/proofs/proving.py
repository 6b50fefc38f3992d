"""Proves, or refutes, what a file says: a bundle, a receipt alone, or a journal."""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from grader.challenges.definition import from_map
from grader.challenges.states import VerdictState
from grader.proofs import bundle, receipt, replays, signing, tables
from grader.proofs.verification import Verdict
from grader.scores import scoring
from gymserve.environments import Catalogue
from gymserve.environments.foreign import one_line
from gymserve.journal.file import MAGIC
from gymserve.outside.server import Server
from gymserve.protocol.errors import InvalidRequest, Unavailable


class Status(IntEnum):
    """What is known of a file; `verify`'s exit status.

    VERIFIED: nothing speaks against it; whoever signed it is trusted, and a journal came out again.
    REFUTED: something does.
    UNDECIDED: it cannot be told here.
    UNKNOWN_SIGNER: nothing speaks against it, and anybody may have signed it.
    """

    VERIFIED = 0
    REFUTED = 1
    UNDECIDED = 2
    UNKNOWN_SIGNER = 3

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ").replace("unknown signer", "signer unknown")


@dataclass(frozen=True)
class Proof:
    """`verdict`: of the replay; None: there was none."""

    status: Status
    text: str
    verdict: Verdict | None

    @property
    def good(self) -> bool:
        """Whether nothing speaks against the file."""
        return self.status in (Status.VERIFIED, Status.UNKNOWN_SIGNER)


_OF_VERDICT = {
    VerdictState.VERIFIED: Status.VERIFIED,
    VerdictState.MISMATCH: Status.REFUTED,
    VerdictState.NOT_REPLAYABLE: Status.UNDECIDED,
}


def prove(
    path: Path,
    catalogue: Catalogue,
    *,
    trusted: Collection[str] = (),
    functions: Collection[str] = (),
    tolerance: float = 0.0,
    replay: bool = True,
) -> Proof:
    """Checks a bundle, a receipt, a journal or an instance's folder, and replays what can be replayed.

    Args:
        trusted, functions: see `bundle.opened`; without `trusted` the signer of a bundle or receipt is unknown.
        tolerance: for a journal alone; a bundle has its challenge's.

    Raises:
        Unreadable: the file is none of these, or not whole.
        ScoringFailed: see `bundle.opened`.
        OSError: it cannot be read.
    """
    for key in trusted:
        signing.fingerprint(key)  # says what a key must be
    data = (path / "journal" if path.is_dir() else path).read_bytes()
    if bundle.is_bundle(data):
        return _of_bundle(data, catalogue, trusted, functions, replay)
    if data[:1] == b"{":
        return _of_receipt(data, trusted)
    if data[: len(MAGIC)] == MAGIC:
        return _of_journal(data, catalogue, tolerance, replay)
    raise receipt.Unreadable(f"{path} is no bundle, receipt or journal")


def _of_bundle(
    data: bytes, catalogue: Catalogue, trusted: Collection[str], functions: Collection[str], replay: bool
) -> Proof:
    try:
        opened = bundle.opened(data, trusted=trusted, functions=functions)
    except bundle.InvalidBundle as error:
        return _refuted(error)
    told = [*_statement(opened.receipt, trusted), "every file is what the receipt says"]
    verdict = None
    status = Status.VERIFIED if trusted else Status.UNKNOWN_SIGNER
    if replay:
        verdict = _replayed(opened.journal, catalogue, opened.challenge.tolerance)
        told.append(tables.of_verdict(verdict))
        status = _OF_VERDICT[verdict.state] or status
    return Proof(status, "\n".join(told), verdict)


def _of_receipt(data: bytes, trusted: Collection[str]) -> Proof:
    try:
        found = receipt.read(data, trusted=trusted)
    except receipt.InvalidReceipt as error:
        return _refuted(error)
    told = [*_statement(found, trusted), "the signature fits; the journal comes with the bundle"]
    return Proof(Status.VERIFIED if trusted else Status.UNKNOWN_SIGNER, "\n".join(told), None)


def _refuted(error: InvalidRequest) -> Proof:
    return Proof(Status.REFUTED, f"not to be believed: {one_line(str(error))}", None)


def _of_journal(data: bytes, catalogue: Catalogue, tolerance: float, replay: bool) -> Proof:
    """Of a journal alone, which nobody has signed."""
    if not bundle.recipe_in(data).is_graded:
        return Proof(Status.REFUTED, "not to be believed: record 0 does not make a graded instance", None)
    _, end = receipt.chain(data)
    if data[end:].strip(b"\0"):
        raise receipt.Unreadable(f"the journal is damaged: no whole record follows byte {end}")
    records = bundle.records_in(data)
    plain = from_map({"name": "journal", "environment": "unknown"}).scoring
    table = tables.of_result(scoring.of_journal(records, plain))
    if not replay:
        return Proof(Status.VERIFIED, table, None)
    verdict = _replayed(data, catalogue, tolerance)
    return Proof(_OF_VERDICT[verdict.state], f"{table}\n{tables.of_verdict(verdict)}", verdict)


def _replayed(journal: bytes, catalogue: Catalogue, tolerance: float) -> Verdict:
    with tempfile.NamedTemporaryFile() as file:
        file.write(journal)
        file.flush()
        return replays.verify(Path(file.name), catalogue.modules, tolerance=tolerance)


def _statement(found: receipt.Receipt, trusted: Collection[str]) -> list[str]:
    said: dict[str, Any] = found.statement
    if trusted:
        signer = f"signed with the trusted key {found.fingerprint}"
    else:
        signer = f"internally consistent, signer unknown: give --server or --key to trust the key {found.fingerprint}"
    reason = f" ({said['reason']})" if said["reason"] else ""
    claim = (
        f"submission {said['submission']} of {said['account']} in {said['challenge']}, phase {said['phase']}: "
        f"score {said['score']}{reason}"
    )
    return [one_line(claim), signer]


def published_key(url: str) -> str:
    """The key that the server at `url` publishes.

    Raises:
        SettingsError: it is no address of a server.
        Unavailable: it does not answer, or publishes none.
    """
    answer = Server(url, headers={}, seconds=10).ask("GET", "signing-key", {})
    key = answer.body.get("key") if isinstance(answer.body, dict) else None
    if answer.status != 200 or not isinstance(key, str):
        raise Unavailable(f"{url} publishes no signing key (it answers {answer.status})")
    return key
