"""A bundle: all that anyone needs to verify a submission elsewhere, in one zip that is the same bytes each time.

receipt.json    what the server signed
challenge.json  the challenge, canonical JSON
seeds.json      the phase's revealed key
journal         what happened, whole records only
chain           a link of 32 bytes for each record, so that a changed one is named
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from grader import definition, receipt, scoring, seeds
from grader.challenge import CLIP, Challenge, canonical
from grader.fields import InvalidChallenge
from grader.receipt import LINK_BYTES, InvalidReceipt, Receipt
from gymserve.errors import InvalidRequest
from gymserve.journal import Created, Record, Reset
from gymserve.journal.file import scan

MEMBERS = ("receipt.json", "challenge.json", "seeds.json", "journal", "chain")
_HEAD_BYTES = 30  # of a member in a zip, before its name


class InvalidBundle(InvalidRequest):
    """It is no bundle, or was changed; the text says which part, and in a journal which record."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose parts were found to belong together."""

    receipt: Receipt
    challenge: Challenge
    records: list[Record]


def build(*, journal: bytes, challenge: Challenge, phase_key: bytes, receipt: Receipt) -> bytes:
    """The bundle of a submission; to be given out once the phase is over, since it tells the seeds."""
    links, end = _chain(journal)
    revealed = canonical({"key": phase_key.hex(), "phase": receipt.statement["phase"]})
    return _zipped([receipt.to_json(), challenge.to_json(), revealed, journal[:end], links])


def _zipped(contents: list[bytes]) -> bytes:
    """The members as a zip without compression, dates or anything else that could differ."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in zip(MEMBERS, contents, strict=True):
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, content)
    return file.getvalue()


def is_bundle(data: bytes) -> bool:
    return data[:2] == b"PK"


def opened(data: bytes, *, trusted: Iterable[str] = (), functions: Collection[str] = ()) -> Bundle:
    """The bundle in `data`, all of whose bytes are what the server signed, or follow from it. Nothing is replayed.

    Args:
        trusted: see `receipt.read`.
        functions: the organiser's scoring functions, `module:function`, that may be imported here.

    Raises:
        InvalidBundle: something was changed; the text names the part.
    """
    contents = _members(data)
    try:
        signed = receipt.read(contents["receipt.json"], trusted=trusted)
    except InvalidReceipt as error:
        raise InvalidBundle(str(error)) from error
    statement = signed.statement
    challenge = _challenge(contents["challenge.json"], statement["challenge_sha256"], functions)
    records = _records(contents["journal"], contents["chain"], bytes.fromhex(statement["journal"]))
    _check_seeds(contents["seeds.json"], signed, challenge, records)
    _check_score(signed, challenge, records)
    if _zipped([contents[name] for name in MEMBERS]) != data:
        raise InvalidBundle("the archive around the files was changed")
    return Bundle(signed, challenge, records)


def _members(data: bytes) -> dict[str, bytes]:
    """The files, read where they stand, so that a changed byte in one can be told from the others."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise InvalidBundle(f"the archive is damaged: {error}") from error
    if tuple(info.filename for info in infos) != MEMBERS:
        raise InvalidBundle(f"the archive must hold {', '.join(MEMBERS)}, in this order")
    contents = {}
    for info in infos:
        start = info.header_offset + _HEAD_BYTES + len(info.filename)
        contents[info.filename] = data[start : start + info.file_size]
        if len(contents[info.filename]) != info.file_size:
            raise InvalidBundle(f"the archive is damaged: {info.filename} is cut off")
    return contents


def _challenge(content: bytes, digest: str, functions: Collection[str]) -> Challenge:
    if hashlib.sha256(content).hexdigest() != digest:
        raise InvalidBundle("challenge.json is not the challenge that the receipt names")
    try:
        return definition.from_map(json.loads(content), "challenge.json", functions=functions)
    except (ValueError, TypeError, InvalidChallenge) as error:
        raise InvalidBundle(f"challenge.json cannot be read: {error}") from error


def _chain(journal: bytes) -> tuple[bytes, int]:
    try:
        return receipt.chain(journal)
    except ValueError as error:
        raise InvalidBundle(str(error)) from error


def _records(journal: bytes, links: bytes, head: bytes) -> list[Record]:
    """The journal's records, if they are those that `head`, the chain's signed last link, stands for."""
    own, end = _chain(journal)
    if own[-LINK_BYTES:] == head and end == len(journal):
        if own != links:
            raise InvalidBundle(f"chain: link {_first_difference(own, links)} was changed")
        return [record for record, _, _ in scan(journal)]
    if links[-LINK_BYTES:] != head:
        raise InvalidBundle("the journal and its chain are not those that the receipt names")
    if own == links:
        raise InvalidBundle("journal: something follows the last record")
    place = _first_difference(own, links)
    whole = [record for index, (record, _, _) in zip(range(place), scan(journal), strict=False)]
    trial = sum(isinstance(record, Reset) for record in whole)
    raise InvalidBundle(f"journal: record {place} was changed ({f'in trial {trial}' if trial else 'before any trial'})")


def _first_difference(own: bytes, other: bytes) -> int:
    size = min(len(own), len(other)) // LINK_BYTES
    for index in range(size):
        at = index * LINK_BYTES
        if own[at : at + LINK_BYTES] != other[at : at + LINK_BYTES]:
            return index
    return size


def _check_seeds(content: bytes, signed: Receipt, challenge: Challenge, records: list[Record]) -> None:
    """Refuses other seeds than those that were committed to, and a journal that was played with others."""
    statement = signed.statement
    try:
        told = json.loads(content)
        key = bytes.fromhex(told["key"])
        same = canonical({"key": key.hex(), "phase": statement["phase"]}) == content
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidBundle(f"seeds.json cannot be read: {error}") from error
    if not same or not seeds.is_revealed(statement["commitment"], key):
        raise InvalidBundle("seeds.json is not what was committed to when the phase opened")
    first = records[0] if records else None
    plan = seeds.plan(challenge, statement["phase"], key, statement["submission"])
    if not isinstance(first, Created) or first.meta.get("trials") != plan:
        raise InvalidBundle("journal: record 0 has other trials than the seeds give")
    asked = (challenge.environment, challenge.kwargs, challenge.max_episode_steps, challenge.actions == CLIP or None)
    if tuple(first.meta.get(name) for name in ("env_id", "kwargs", "max_episode_steps", "clip_actions")) != asked:
        raise InvalidBundle("journal: record 0 makes another environment than the challenge's")


def _check_score(signed: Receipt, challenge: Challenge, records: list[Record]) -> None:
    result = scoring.of_journal(records, challenge.scoring)
    statement = signed.statement
    if (result.score, result.secondary) != (statement["score"], statement["secondary"]):
        raise InvalidBundle(f"the receipt's score is {statement['score']}, the journal's {result.score}")
    if json.loads(canonical(result.to_map()["trials"])) != statement["trials"]:
        raise InvalidBundle("the receipt's trials are not the journal's")
