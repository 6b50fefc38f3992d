"""A bundle: a reproducible zip file with everything that anyone needs to verify a submission.

receipt.json    the statement that the server signed
challenge.json  the challenge as canonical JSON
seeds.json      the phase's revealed key
journal         the journal's complete records
chain           a hash of 32 bytes for each record, which shows which record was changed
"""

import hashlib
import io
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice

from gymserve.environments.catalogue import may_mean
from gymserve.grader.challenges import definition, seeds
from gymserve.grader.challenges.challenge import CLIP, Challenge, canonical
from gymserve.grader.challenges.fields import InvalidChallenge
from gymserve.grader.proofs import receipt
from gymserve.grader.proofs.receipt import LINK_BYTES, InvalidReceipt, Receipt, Unreadable
from gymserve.grader.scores import scoring
from gymserve.hosts.instance.trials import parse_trials
from gymserve.journal import Record, recipe_of
from gymserve.journal.file import frames, scan
from gymserve.journal.records import RESET
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.wire import read_json

MEMBERS = ("receipt.json", "challenge.json", "seeds.json", "journal", "chain")
_TIMES = {"step_seconds", "overage_seconds"}  # the challenge's limits; the others may be the server's own
_HEADER_BYTES = 30  # of a member's header in a zip file, before its name


class InvalidBundle(InvalidRequest):
    """The bundle was changed or its parts do not fit. The message names the part, and in a journal the record."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose parts belong together."""

    receipt: Receipt
    challenge: Challenge
    records: list[Record]
    journal: bytes


def build(*, journal: bytes, challenge: Challenge, phase_key: bytes, receipt: Receipt) -> bytes:
    """The bundle of a submission. It reveals the seeds, so publish it only after the phase is over."""
    links, end = _chain(journal)
    revealed = canonical({"key": phase_key.hex(), "phase": receipt.statement["phase"]})
    return _zip([receipt.to_json(), challenge.to_json(), revealed, journal[:end], links])


def _zip(contents: list[bytes]) -> bytes:
    """The members as a zip file without compression, dates or anything else that could vary."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in zip(MEMBERS, contents, strict=True):
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, content)
    return file.getvalue()


def is_bundle(data: bytes) -> bool:
    """Whether the data begins like a bundle."""
    return data[:2] == b"PK"


def read(data: bytes, *, trusted: Iterable[str] = (), functions: Collection[str] = ()) -> Bundle:
    """Reads a bundle and checks that the server's signature covers all of it. Replays nothing.

    Args:
        trusted: see `receipt.read`.
        functions: the organiser's scoring functions, as `module:function`, that may be imported here.

    Raises:
        InvalidBundle: a part was changed, or belongs to something else; the message names the part.
        Unreadable: the data is not a complete bundle.
        ScoringFailed: a scoring function cannot be found here, or failed.
    """
    contents = _members(data)
    try:
        signed = receipt.read(contents["receipt.json"], trusted=trusted)
    except InvalidReceipt as error:
        raise InvalidBundle(str(error)) from error
    statement = signed.statement
    challenge = _challenge(contents["challenge.json"], statement["challenge_sha256"], functions)
    journal = contents["journal"]
    _check_chain(journal, contents["chain"], bytes.fromhex(statement["journal"]))
    recipe = read_recipe(journal)  # before the other records, whose sizes depend on it
    _check_seeds(contents["seeds.json"], signed, challenge, recipe)
    _check_recipe(recipe, challenge)
    records = read_records(journal)
    _check_score(signed, challenge, records)
    if _zip([contents[name] for name in MEMBERS]) != data:
        raise InvalidBundle("the archive around the files was changed")
    return Bundle(signed, challenge, records, contents["journal"])


def _members(data: bytes) -> dict[str, bytes]:
    """The files by name, read from their places in the data, so that a changed byte affects one file only."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
    except Exception as error:  # zipfile raises many kinds of errors for damaged files
        raise Unreadable(f"the archive is damaged: {error}") from error
    if tuple(info.filename for info in infos) != MEMBERS:
        raise Unreadable(f"the archive must contain {', '.join(MEMBERS)}, in this order")
    contents = {}
    for info in infos:
        start = info.header_offset + _HEADER_BYTES + len(info.filename)
        contents[info.filename] = data[start : start + info.file_size]
        if len(contents[info.filename]) != info.file_size:
            raise Unreadable(f"the archive is damaged: {info.filename} is cut off")
    return contents


def _challenge(content: bytes, digest: str, functions: Collection[str]) -> Challenge:
    if hashlib.sha256(content).hexdigest() != digest:
        raise InvalidBundle("challenge.json is not the challenge that the receipt names")
    try:
        return definition.from_dict(read_json(content), "challenge.json", functions=functions)
    except (InvalidRequest, ValueError, TypeError, OverflowError) as error:
        raise Unreadable(f"challenge.json cannot be read: {error}") from error


def _chain(journal: bytes) -> tuple[bytes, int]:
    try:
        return receipt.chain(journal)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def read_recipe(journal: bytes) -> Recipe:
    """The recipe in a journal's first record, which is the only one that is read.

    Raises:
        Unreadable: the journal has no recipe.
    """
    try:
        return recipe_of([record for record, _, _ in islice(scan(journal), 1)])
    except ValueError as error:
        raise Unreadable(f"journal: {error}") from error


def read_records(journal: bytes) -> list[Record]:
    """All records of a journal.

    Raises:
        Unreadable: a record cannot be read.
    """
    try:
        return [record for record, _, _ in scan(journal)]
    except ValueError as error:
        raise Unreadable(f"journal: {error}") from error


def _check_chain(journal: bytes, links: bytes, head: bytes) -> None:
    """Checks a journal and its chain against `head`, the signed last link of the chain.

    Raises:
        InvalidBundle: the journal or the chain is another one.
    """
    own, end = _chain(journal)
    if own[-LINK_BYTES:] == head and end == len(journal):
        if own != links:
            raise InvalidBundle(f"chain: link {_first_difference(own, links)} was changed")
        return
    if links[-LINK_BYTES:] != head:
        raise InvalidBundle("the journal and its chain are not those that the receipt names")
    if own == links:
        raise InvalidBundle("journal: something follows the last record")
    place = _first_difference(own, links)
    trial = sum(body[0] == RESET for body, _, _ in islice(frames(journal), place))
    raise InvalidBundle(f"journal: record {place} was changed ({f'in trial {trial}' if trial else 'before any trial'})")


def _first_difference(own: bytes, other: bytes) -> int:
    size = min(len(own), len(other)) // LINK_BYTES
    for index in range(size):
        at = index * LINK_BYTES
        if own[at : at + LINK_BYTES] != other[at : at + LINK_BYTES]:
            return index
    return size


def _check_seeds(content: bytes, signed: Receipt, challenge: Challenge, recipe: Recipe) -> None:
    """Checks that the seeds are those that the server committed to, and that the journal was played with them.

    Raises:
        InvalidBundle: they are not.
        Unreadable: the content cannot be read.
    """
    statement = signed.statement
    try:
        key = bytes.fromhex(read_json(content)["key"])
        same = canonical({"key": key.hex(), "phase": statement["phase"]}) == content
    except (InvalidRequest, ValueError, LookupError, TypeError) as error:
        raise Unreadable(f"seeds.json cannot be read: {error}") from error
    if not same or not seeds.is_revealed(statement["commitment"], key):
        raise InvalidBundle("seeds.json is not what was committed to when the phase opened")
    try:
        plan = seeds.plan(challenge, statement["phase"], key, statement["submission"])
    except InvalidChallenge as error:
        raise InvalidBundle(str(error)) from error
    if recipe.trials != parse_trials(plan):
        raise InvalidBundle("journal: record 0 has other trials than the seeds give")


def _check_recipe(recipe: Recipe, challenge: Challenge) -> None:
    """Checks that the journal's instance was created as the challenge says.

    Raises:
        InvalidBundle: it was not.
    """
    limits = vars(challenge.limits)
    expected = Recipe(
        env_id=challenge.environment,
        environment=recipe.environment,
        kwargs=challenge.kwargs,
        max_episode_steps=challenge.max_episode_steps,
        global_seed=None if recipe.global_seed is None else recipe.trials[0].seed,
        clip_actions=challenge.actions == CLIP,
        trials=recipe.trials,
        allowance={**recipe.allowance, **{name: limits[name] for name in recipe.allowance.keys() & _TIMES}},
        created=recipe.created,
        versions=recipe.versions,
    )
    # The challenge's name may mean a newer version in the server's catalogue, and yet another one on this machine.
    if recipe != expected or not may_mean(challenge.environment, recipe.environment):
        raise InvalidBundle("journal: record 0 makes another environment than the challenge's")


def _check_score(signed: Receipt, challenge: Challenge, records: list[Record]) -> None:
    result = scoring.score_journal(records, challenge.scoring)
    statement = signed.statement
    if (result.score, result.secondary) != (statement["score"], statement["secondary"]):
        raise InvalidBundle(f"the receipt's score is {statement['score']}, the journal's {result.score}")
    try:
        same = canonical(result.to_dict()["trials"]) == canonical(statement["trials"])
    except ValueError:  # a time is not a number
        same = False
    if not same:
        raise InvalidBundle("the receipt's trials are not the journal's")
