"""The offline check of a file: a bundle, a receipt or a journal is verified or refuted without its server."""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from gymserve.environments import Catalogue
from gymserve.environments.foreign import one_line
from gymserve.grader.challenges.definition import from_dict
from gymserve.grader.challenges.states import VerdictState
from gymserve.grader.proofs import bundle, receipt, replays, signing, tables
from gymserve.grader.proofs.verification import Verdict
from gymserve.grader.scores import scoring
from gymserve.journal.file import MAGIC
from gymserve.outside.server import RemoteServer
from gymserve.protocol.errors import InvalidRequest, Unavailable


class CheckStatus(IntEnum):
    """The result of a check, and the exit status of `verify`.

    VERIFIED: the file is consistent, its signer is trusted, and its journal replayed identically.
    REFUTED: the file is not genuine.
    UNDECIDED: this machine cannot tell.
    UNKNOWN_SIGNER: the file is consistent, but anybody may have signed it.
    """

    VERIFIED = 0
    REFUTED = 1
    UNDECIDED = 2
    UNKNOWN_SIGNER = 3

    @property
    def words(self) -> str:
        """The status as words."""
        return self.name.lower().replace("_", " ").replace("unknown signer", "signer unknown")


@dataclass(frozen=True)
class CheckResult:
    """The result of a check. `verdict` is the replay's, or None without a replay."""

    status: CheckStatus
    text: str
    verdict: Verdict | None

    @property
    def good(self) -> bool:
        """Whether the file is consistent."""
        return self.status in (CheckStatus.VERIFIED, CheckStatus.UNKNOWN_SIGNER)


_STATUS_OF_VERDICT = {
    VerdictState.VERIFIED: CheckStatus.VERIFIED,
    VerdictState.MISMATCH: CheckStatus.REFUTED,
    VerdictState.NOT_REPLAYABLE: CheckStatus.UNDECIDED,
}


def check(
    path: Path,
    catalogue: Catalogue,
    *,
    trusted: Collection[str] = (),
    functions: Collection[str] = (),
    tolerance: float = 0.0,
    replay: bool = True,
) -> CheckResult:
    """Checks a bundle, a receipt, a journal or an instance's folder, and replays its journal if it has one.

    Args:
        trusted: see `bundle.read`. Without it, the signer of a bundle or receipt is unknown.
        functions: see `bundle.read`.
        tolerance: for a journal alone; a bundle has its challenge's.

    Raises:
        Unreadable: the file is none of these, or is incomplete.
        ScoringFailed: see `bundle.read`.
        OSError: the file cannot be read.
    """
    for key in trusted:
        signing.fingerprint(key)  # raises an error for a malformed key
    data = (path / "journal" if path.is_dir() else path).read_bytes()
    if bundle.is_bundle(data):
        return _check_bundle(data, catalogue, trusted, functions, replay)
    if data[:1] == b"{":
        return _check_receipt(data, trusted)
    if data[: len(MAGIC)] == MAGIC:
        return _check_journal(data, catalogue, tolerance, replay)
    raise receipt.Unreadable(f"{path} is not a bundle, receipt or journal")


def _check_bundle(
    data: bytes, catalogue: Catalogue, trusted: Collection[str], functions: Collection[str], replay: bool
) -> CheckResult:
    try:
        content = bundle.read(data, trusted=trusted, functions=functions)
    except bundle.InvalidBundle as error:
        return _refuted(error)
    lines = [*_describe(content.receipt, trusted), "every file matches the receipt"]
    verdict = None
    status = CheckStatus.VERIFIED if trusted else CheckStatus.UNKNOWN_SIGNER
    if replay:
        verdict = _replay(content.journal, catalogue, content.challenge.tolerance)
        lines.append(tables.verdict_text(verdict))
        status = _STATUS_OF_VERDICT[verdict.state] or status
    return CheckResult(status, "\n".join(lines), verdict)


def _check_receipt(data: bytes, trusted: Collection[str]) -> CheckResult:
    try:
        signed = receipt.read(data, trusted=trusted)
    except receipt.InvalidReceipt as error:
        return _refuted(error)
    lines = [*_describe(signed, trusted), "the signature fits; the journal comes with the bundle"]
    return CheckResult(CheckStatus.VERIFIED if trusted else CheckStatus.UNKNOWN_SIGNER, "\n".join(lines), None)


def _refuted(error: InvalidRequest) -> CheckResult:
    return CheckResult(CheckStatus.REFUTED, f"not genuine: {one_line(str(error))}", None)


def _check_journal(data: bytes, catalogue: Catalogue, tolerance: float, replay: bool) -> CheckResult:
    """Checks a journal alone, which has no signature."""
    if not bundle.read_recipe(data).is_graded:
        return CheckResult(CheckStatus.REFUTED, "not genuine: record 0 does not create a graded instance", None)
    _, end = receipt.chain(data)
    if data[end:].strip(b"\0"):
        raise receipt.Unreadable(f"the journal is damaged: byte {end} is not followed by a complete record")
    records = bundle.read_records(data)
    plain = from_dict({"name": "journal", "environment": "unknown"}).scoring
    table = tables.result_table(scoring.score_journal(records, plain))
    if not replay:
        return CheckResult(CheckStatus.VERIFIED, table, None)
    verdict = _replay(data, catalogue, tolerance)
    return CheckResult(_STATUS_OF_VERDICT[verdict.state], f"{table}\n{tables.verdict_text(verdict)}", verdict)


def _replay(journal: bytes, catalogue: Catalogue, tolerance: float) -> Verdict:
    with tempfile.NamedTemporaryFile() as file:
        file.write(journal)
        file.flush()
        return replays.verify(Path(file.name), catalogue.modules, tolerance=tolerance)


def _describe(signed: receipt.Receipt, trusted: Collection[str]) -> list[str]:
    """The lines on a receipt's statement and signer."""
    statement = signed.statement
    if trusted:
        signer = f"signed with the trusted key {signed.fingerprint}"
    else:
        signer = f"internally consistent, signer unknown: pass --server or --key to trust the key {signed.fingerprint}"
    reason = f" ({statement['reason']})" if statement["reason"] else ""
    claim = (
        f"submission {statement['submission']} of {statement['account']} in {statement['challenge']}, "
        f"phase {statement['phase']}: score {statement['score']}{reason}"
    )
    return [one_line(claim), signer]


def published_key(url: str) -> str:
    """The public key of the server at `url`.

    Raises:
        SettingsError: the URL is not the address of a server.
        Unavailable: the server does not answer, or publishes no key.
    """
    answer = RemoteServer(url, headers={}, seconds=10).call("GET", "signing-key", {})
    key = answer.body.get("key") if isinstance(answer.body, dict) else None
    if answer.status != 200 or not isinstance(key, str):
        raise Unavailable(f"{url} publishes no signing key (it answers {answer.status})")
    return key
