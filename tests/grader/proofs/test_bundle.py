"""A bundle reveals every changed byte, and in its journal the changed record."""

import json
import random
import string
from pathlib import Path
from typing import Any

import pytest

from gymserve.grader.challenges import seeds
from gymserve.grader.challenges.challenge import canonical
from gymserve.grader.proofs import bundle, offline_check, receipt, signing
from gymserve.grader.proofs.bundle import InvalidBundle
from gymserve.grader.proofs.receipt import InvalidReceipt, Receipt, Unreadable
from gymserve.journal import Step, read, records
from gymserve.journal.file import MAGIC, scan
from gymserve.protocol.errors import InvalidRequest
from tests.grader.journals import (
    CARTPOLE,
    CATALOGUE,
    PHASE_KEY,
    PUBLIC,
    SIGNING_KEY,
    issue,
    play,
    replace_record,
    step_like,
)


def build(folder: Path) -> bytes:
    journal = play(folder)
    return bundle.build(journal=journal.read_bytes(), challenge=CARTPOLE, phase_key=PHASE_KEY, receipt=issue(journal))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(tmp_path_factory.mktemp("bundle"))


def test_a_bundle_contains_what_was_put_in(whole: bytes) -> None:
    content = bundle.read(whole, trusted=[PUBLIC])
    assert content.challenge == CARTPOLE and content.receipt.statement["account"] == "ada"
    assert content.receipt.statement["generation"] == 0  # of the phase's first key
    assert sum(isinstance(record, Step) for record in content.records) == 80


@pytest.mark.guarantee("a bundle or receipt is changed")
@pytest.mark.parametrize("every", [60, pytest.param(3, marks=pytest.mark.long)])
def test_flipped_bytes_are_detected(whole: bytes, every: int) -> None:
    chance = random.Random(0)
    for place in range(chance.randrange(every), len(whole), every):
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        with pytest.raises((InvalidBundle, Unreadable)):
            bundle.read(bytes(changed))


def test_cut_and_extended_bundles_are_detected(whole: bytes) -> None:
    for size in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        with pytest.raises((InvalidBundle, Unreadable)):
            bundle.read(whole[:size])
    with pytest.raises(InvalidBundle):
        bundle.read(whole + b"\0")
    with pytest.raises(InvalidBundle):
        bundle.read(b"\0" + whole)


@pytest.mark.guarantee("a bundle or receipt is changed")
def test_a_flipped_byte_in_a_journal_names_its_record(whole: bytes) -> None:
    journal = bundle._members(whole)["journal"]
    at = whole.index(journal)
    start = len(MAGIC)
    for number, (_, end, _) in enumerate(scan(journal)):
        for place in (start, (start + end) // 2, end - 1):
            changed = bytearray(whole)
            changed[at + place] ^= 0x10
            with pytest.raises(InvalidBundle, match=rf"journal: record {number} was changed"):
                bundle.read(bytes(changed))
        start = end


def test_a_replaced_record_with_valid_checksums_is_named(tmp_path: Path) -> None:
    journal = play(tmp_path)
    index, step = next((index, each) for index, each in enumerate(read(journal)) if isinstance(each, Step))
    forged = replace_record(journal, index, step_like(step, reward=99.0))
    links, _ = receipt.chain(journal.read_bytes())
    parts = [issue(journal).to_json(), CARTPOLE.to_json(), _revealed(PHASE_KEY), forged, links]
    with pytest.raises(InvalidBundle, match=f"record {index} was changed"):
        bundle.read(bundle._zip(parts))
    parts[4] = receipt.chain(forged)[0]
    with pytest.raises(InvalidBundle, match="not those that the receipt names"):
        bundle.read(bundle._zip(parts))


def _revealed(key: bytes) -> bytes:
    return canonical({"key": key.hex(), "phase": "public"})


def test_other_seeds_challenges_or_scores_are_detected(tmp_path: Path) -> None:
    journal = play(tmp_path)
    links, end = receipt.chain(journal.read_bytes())
    receipted = issue(journal)
    parts = [receipted.to_json(), CARTPOLE.to_json(), _revealed(PHASE_KEY), journal.read_bytes()[:end], links]

    def refused(place: int, content: bytes, words: str) -> None:
        with pytest.raises(InvalidBundle, match=words):
            bundle.read(bundle._zip([*parts[:place], content, *parts[place + 1 :]]))

    refused(2, _revealed(seeds.phase_key(b"other", "cart", "public")), "not what was committed to")
    refused(1, CARTPOLE.to_json().replace(b'"title":"cart"', b'"title":"Cart"'), "not the challenge")
    for name, value in (("score", 20.5), ("account", "eve"), ("verdict", "verified")):
        changed = Receipt({**receipted.statement, name: value}, receipted.signature)
        refused(0, changed.to_json(), "signature does not fit")
    refused(2, canonical({"key": PHASE_KEY.hex(), "phase": "final"}), "not what was committed to")
    refused(2, _revealed(PHASE_KEY) + b" ", "not what was committed to")
    refused(4, b"x" * 32 + links[32:], "chain: link 0 was changed")
    refused(3, parts[3] + b"x", "something follows the last record")
    trials = [{**receipted.statement["trials"][0], "seconds": 0.5}, *receipted.statement["trials"][1:]]
    for changes, words in (
        ({"score": 99.0}, "the receipt's score is 99.0, the journal's 20.0"),
        ({"secondary": 99.0}, "the receipt's score"),
        ({"trials": trials}, "the receipt's trials are not the journal's"),
    ):
        statement = {**receipted.statement, **changes}
        refused(0, Receipt(statement, signing.signature(SIGNING_KEY, canonical(statement))).to_json(), words)


@pytest.mark.guarantee("a bundle or receipt is changed")
@pytest.mark.parametrize(
    "changes",
    [
        {"env_id": "Acrobot-v1"},
        {"environment": "Acrobot-v1"},
        {"environment": "CartPole-v0"},  # an older version than the challenge's
        {"allowance": {"step_seconds": 9.0}},
        {"kwargs": {"sutton_barto_reward": True}},
        {"max_episode_steps": 21},
        {"clip_actions": True},
        {"render_mode": "rgb_array"},
        {"seed": 3},
    ],
    ids=str,
)
def test_a_journal_of_another_environment_is_detected_even_if_signed(tmp_path: Path, changes: dict[str, Any]) -> None:
    journal = play(tmp_path)
    recipe = next(iter(read(journal))).recipe.replace(**changes)
    journal.write_bytes(replace_record(journal, 0, records.encode_created(recipe)))
    data = bundle.build(journal=journal.read_bytes(), challenge=CARTPOLE, phase_key=PHASE_KEY, receipt=issue(journal))
    with pytest.raises(InvalidBundle, match="another environment than the challenge's"):
        bundle.read(data)


@pytest.mark.guarantee("a bundle or receipt is changed")
def test_a_receipt_alone_can_be_checked(tmp_path: Path) -> None:
    data = issue(play(tmp_path)).to_json()
    assert receipt.read(data, trusted=[PUBLIC]).statement["score"] == 20.0
    assert not any(str(seeds.seed(PHASE_KEY, trial)).encode() in data for trial in range(1, 5))
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x01
        with pytest.raises((InvalidReceipt, Unreadable)):
            receipt.read(bytes(changed))
    stranger = signing.Ed25519PrivateKey.generate()
    statement = {**json.loads(data)["statement"], "key": signing.public_text(stranger), "score": 500.0}
    forged = Receipt(statement, signing.signature(stranger, canonical(statement))).to_json()
    assert receipt.read(forged).fingerprint != receipt.read(data).fingerprint
    with pytest.raises(InvalidReceipt, match="not the one to trust"):
        receipt.read(forged, trusted=[PUBLIC])


def test_a_receipt_with_another_format_is_unreadable(tmp_path: Path) -> None:
    statement = issue(play(tmp_path)).statement
    for other in ("", "gymserve", statement["format"] + "0", "~", 1, None):
        changed = {**statement, "format": other}
        with pytest.raises(Unreadable, match="format"):
            receipt.read(Receipt(changed, signing.signature(SIGNING_KEY, canonical(changed))).to_json())


def test_a_signature_has_one_spelling() -> None:
    """The last four bits of its base64 are unused, so the same bytes have several spellings; only one is valid."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    for number in range(30):
        statement = str(number).encode()
        right = signing.signature(SIGNING_KEY, statement)
        assert right[-2:] == "==" and signing.fits(PUBLIC, statement, right)
        for letter in letters.replace(right[-3], ""):
            assert not signing.fits(PUBLIC, statement, f"{right[:-3]}{letter}==")


def test_the_signing_key_is_stored(tmp_path: Path) -> None:
    key = signing.signing_key(tmp_path / "key")
    assert signing.public_text(key) == signing.public_text(signing.signing_key(tmp_path / "key"))
    assert len(signing.fingerprint(signing.public_text(key))) == 16
    with pytest.raises(InvalidRequest):
        signing.fingerprint("nonsense")


def test_a_bundles_challenge_imports_allowed_functions_only(tmp_path: Path) -> None:
    from dataclasses import replace

    own = "tests.grader.scores.test_scoring:worst_two"
    challenge = replace(CARTPOLE, scoring=replace(CARTPOLE.scoring, function=own))
    journal = play(tmp_path, challenge)
    data = bundle.build(
        journal=journal.read_bytes(), challenge=challenge, phase_key=PHASE_KEY, receipt=issue(journal, challenge)
    )
    with pytest.raises(Unreadable, match="not among the functions"):
        bundle.read(data)
    assert bundle.read(data, functions=[own]).receipt.statement["score"] == 40.0


def test_files_are_checked_by_their_kind(tmp_path: Path, whole: bytes) -> None:
    file, journal = tmp_path / "file", play(tmp_path)
    file.write_bytes(whole)
    result = offline_check.check(file, CATALOGUE)
    assert result.good and "verified: 80 steps" in result.text and "score 20.0" in result.text
    file.write_bytes(whole[:-1])
    with pytest.raises(Unreadable):
        offline_check.check(file, CATALOGUE)
    file.write_bytes(issue(journal).to_json())
    assert offline_check.check(file, CATALOGUE).good
    assert offline_check.check(journal, CATALOGUE).good and offline_check.check(journal.parent, CATALOGUE).good
    file.write_bytes(b"something else")
    with pytest.raises(InvalidRequest):
        offline_check.check(file, CATALOGUE)
