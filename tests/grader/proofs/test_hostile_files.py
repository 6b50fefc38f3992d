"""A hostile file can neither harm nor deceive its verifier, who gets a message and a status but no traceback."""

import contextlib
import hashlib
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from gymserve.grader import __main__
from gymserve.grader.challenges.challenge import canonical
from gymserve.grader.proofs import bundle, receipt, signing
from gymserve.grader.proofs.receipt import Receipt
from gymserve.journal import Created, Step, read, records
from gymserve.journal.file import scan
from gymserve.protocol import wire
from gymserve.protocol.errors import InvalidRequest
from tests.grader.journals import (
    CARTPOLE,
    PHASE_KEY,
    PUBLIC,
    SIGNING_KEY,
    bodies,
    from_bodies,
    issue,
    play,
    replace_record,
    step_like,
)
from tests.support.servers import Server

DAMAGED = int(os.environ.get("DAMAGED", "60"))  # files of each kind
VERIFIED, REFUTED, UNDECIDED, UNKNOWN_SIGNER = range(4)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play(tmp_path_factory.mktemp("journal"))


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Verifies a file's bytes and returns the exit status and the output."""
    file = tmp_path / "file"

    def run(data: bytes, *words: str) -> tuple[int, str]:
        file.write_bytes(data)
        status = __main__.main(["--modules", "tests.support.environments.faulty", "verify", str(file), *words])
        captured = capsys.readouterr()
        if status == UNDECIDED and not captured.out:
            assert captured.err.count("\n") == 1, captured.err
        assert "Traceback" not in captured.err
        return status, captured.out + captured.err

    return run


def forge(journal: Path, data: bytes | None = None, *, statement: Any = None, **members: bytes) -> bytes:
    """A bundle as anyone with a key can forge it.

    Args:
        journal: the journal of an honest submission, which the other parts are taken from.
        data: the bytes to use instead of that journal.
        statement: the statement to sign instead of the one that fits.
        members: the bytes of other files by name.
    """
    data = journal.read_bytes() if data is None else data
    links, end = receipt.chain(data)
    if statement is None:
        statement = {**issue(journal).statement, "records": len(links) // 32, "journal": links[-32:].hex()}
        if "challenge" in members:
            statement["challenge_sha256"] = hashlib.sha256(members["challenge"]).hexdigest()
    receipted = Receipt(statement, signing.signature(SIGNING_KEY, canonical(statement)))
    revealed = canonical({"key": PHASE_KEY.hex(), "phase": "public"})
    parts = {"receipt": receipted.to_json(), "challenge": CARTPOLE.to_json(), "seeds": revealed}
    parts |= {"journal": data[:end], "chain": links, **members}
    return bundle._zip([parts[name.partition(".")[0]] for name in bundle.MEMBERS])


def whole(journal: Path) -> bytes:
    return bundle.build(journal=journal.read_bytes(), challenge=CARTPOLE, phase_key=PHASE_KEY, receipt=issue(journal))


@pytest.mark.guarantee("a bundle or journal is made to harm or deceive whoever verifies it")
def test_the_status_of_each_kind_of_file(journal: Path, verify: Callable[..., tuple[int, str]]) -> None:
    data = whole(journal)
    status, output = verify(data, "--key", PUBLIC)
    assert status == VERIFIED and "verified: 80 steps" in output
    status, output = verify(data)
    assert status == UNKNOWN_SIGNER and "internally consistent, signer unknown" in output
    status, output = verify(data, "--json")
    assert status == UNKNOWN_SIGNER and json.loads(output)["status"] == "signer unknown"
    stranger = signing.public_text(signing.Ed25519PrivateKey.generate())
    status, output = verify(data, "--key", stranger)
    assert status == REFUTED and "not the one to trust" in output
    assert verify(data, "--key", "nonsense")[0] == UNDECIDED
    assert verify(issue(journal).to_json())[0] == UNKNOWN_SIGNER
    assert verify(issue(journal).to_json(), "--key", PUBLIC)[0] == VERIFIED
    assert verify(journal.read_bytes())[0] == VERIFIED
    assert verify(data[:-1], "--key", PUBLIC)[0] == verify(b"PK", "--key", PUBLIC)[0] == UNDECIDED


def test_a_servers_address_makes_its_key_trusted(
    journal: Path, verify: Callable[..., tuple[int, str]], server: Server, tmp_path: Path
) -> None:
    address = f"http://127.0.0.1:{server.port}/"
    assert verify(forge(journal), "--server", address)[0] == REFUTED
    server.get("/signing-key")
    key = signing.signing_key(server.data / "signing-key")
    statement = {**issue(journal).statement, "key": signing.public_text(key)}
    receipted = Receipt(statement, signing.signature(key, canonical(statement))).to_json()
    assert verify(forge(journal, receipt=receipted), "--server", address)[0] == VERIFIED
    assert verify(whole(journal), "--server", "http://127.0.0.1:9/")[0] == UNDECIDED
    assert verify(whole(journal), "--server", "nowhere")[0] == UNDECIDED


def test_an_environment_that_cannot_be_created_is_undecided(
    journal: Path, verify: Callable[..., tuple[int, str]]
) -> None:
    recipe = bundle.read_recipe(journal.read_bytes())
    gone = replace_record(journal, 0, records.encode_created(recipe.replace(environment="Gone-v0")))
    status, output = verify(gone)
    assert status == UNDECIDED and "cannot be created" in output


def test_a_signature_does_not_help_if_the_replay_differs(journal: Path, verify: Callable[..., tuple[int, str]]) -> None:
    place, step = next((place, each) for place, each in enumerate(read(journal)) if isinstance(each, Step))
    data = replace_record(journal, place, step_like(step, digest=5))
    status, output = verify(forge(journal, data), "--key", PUBLIC)
    assert status == REFUTED and f"record {place} (trial 1): the observation differs" in output
    assert verify(forge(journal, data), "--key", PUBLIC, "--no-replay")[0] == VERIFIED


@pytest.mark.guarantee("a bundle or journal is made to harm or deceive whoever verifies it")
def test_ten_million_copies_are_refused_before_anything_is_allocated(
    journal: Path, verify: Callable[..., tuple[int, str]]
) -> None:
    recipe = bundle.read_recipe(journal.read_bytes())
    few, none = np.ones(2), np.zeros(2, bool)
    batch = records.encode_batch(None, 1, b"", few, none, none)
    for changes in ({"num_envs": 10**7}, {"num_envs": 10**7, "trials": ()}, {"num_envs": 4096, "trials": ()}):
        first = b"\x01" + wire.pack(recipe.replace(**changes).to_dict())
        data = from_bodies(journal, [first, *([batch] * 2000)])
        for file in (data, forge(journal, data)):
            tracemalloc.start()
            status, output = verify(file)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert status in (REFUTED, UNDECIDED) and peak < 4_000_000, (output, peak)


@pytest.mark.parametrize("member", ["receipt", "challenge", "seeds"])
def test_deeply_nested_json_is_refused(member: str, journal: Path, verify: Callable[..., tuple[int, str]]) -> None:
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    assert verify(forge(journal, **{member: deep}))[0] == UNDECIDED


ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 1e308, "", "\0\x1b[2J", "é" * 5000, [], [[[]]], {}, {"a": {"b": [1, "x"]}}, b"\xff" * 9,
    float("nan"), np.ones((2, 2)), msgspec.msgpack.Ext(1, b"\x93\xa1O\x91\xce\xff\xff\xff\xff\xc4\x00"),
    msgspec.msgpack.Ext(1, msgspec.msgpack.encode(("|V0", (10**9,), b""))), msgspec.msgpack.Ext(9, b"x"), "0" * 64,
)  # fmt: skip


def changed(value: Any, chance: random.Random, odd: tuple[Any, ...] = ODD) -> Any:
    """Plain data with one value replaced or removed."""
    if isinstance(value, (dict, list, tuple)) and value and chance.random() < 0.9:
        kept = dict(value) if isinstance(value, dict) else list(value)
        key: Any = chance.choice(sorted(kept) if isinstance(kept, dict) else range(len(kept)))
        if chance.random() < 0.15:
            del kept[key]
        else:
            kept[key] = changed(kept[key], chance, odd)
        return kept
    return chance.choice(odd)


def damaged_body(body: bytes, chance: random.Random) -> bytes:
    """A record's body with changed bytes or values."""
    heads = {records.CREATED: 1, records.RESET: 22, records.STEP: 18, records.CLOSED: 1, records.ENDED: 1}
    head = heads.get(body[0], 1)
    if chance.random() < 0.6:
        with contextlib.suppress(InvalidRequest):  # it may already be damaged
            return body[:head] + wire.pack(changed(wire.unpack(body[head:]), chance))
    place = chance.randrange(len(body))
    return [
        body[:place],
        body[:place] + chance.randbytes(chance.randrange(1, 9)) + body[place:],
        body[:place] + bytes([body[place] ^ 1 << chance.randrange(8)]) + body[place + 1 :],
        bytes([chance.randrange(256)]) + body[1:],
    ][chance.randrange(4)] or b"\x09"


NUMBERS = [pytest.param(DAMAGED, id="few"), pytest.param(1000, id="many", marks=pytest.mark.long)]


@pytest.mark.guarantee("a bundle or journal is made to harm or deceive whoever verifies it")
@pytest.mark.parametrize("number", NUMBERS)
def test_damaged_journals_give_one_line(journal: Path, verify: Callable[..., tuple[int, str]], number: int) -> None:
    original, chance = bodies(journal.read_bytes()), random.Random(number)
    for _ in range(number):
        parts = list(original)
        for _ in range(chance.choice((1, 1, 3))):
            place = chance.choice((0, 0, 1, len(parts) - 1, chance.randrange(len(parts))))
            parts[place] = damaged_body(parts[place], chance)
        data = from_bodies(journal, parts)
        words = () if chance.random() < 0.3 else ("--no-replay",)
        verify(data, *words)
        verify(forge(journal, data), *words)


@pytest.mark.parametrize("number", NUMBERS)
def test_damaged_bytes_give_one_line(journal: Path, verify: Callable[..., tuple[int, str]], number: int) -> None:
    chance = random.Random(number)
    files = [journal.read_bytes(), whole(journal), issue(journal).to_json()]
    for _ in range(number):
        data = bytearray(chance.choice(files))
        for _ in range(chance.choice((1, 1, 4))):
            place = chance.randrange(max(1, len(data)))
            if chance.random() < 0.5:
                data[place : place + 1] = bytes([chance.randrange(256)])
            elif chance.random() < 0.5:
                del data[place : place + chance.randrange(1, 2000)]
            else:
                data[place:place] = chance.randbytes(chance.randrange(1, 40))
        status, _ = verify(bytes(data), "--no-replay", "--key", PUBLIC)
        # A journal that is cut after a record is one of a shorter run.
        assert status in (REFUTED, UNDECIDED) or any(file.startswith(data) for file in files)


@pytest.mark.parametrize("number", NUMBERS)
def test_changed_statements_and_challenges_give_one_line(
    journal: Path, verify: Callable[..., tuple[int, str]], number: int
) -> None:
    chance = random.Random(number)
    plain = tuple(
        value for value in ODD if not isinstance(value, (bytes, np.ndarray, msgspec.msgpack.Ext)) and value == value
    )
    for _ in range(number):
        what = chance.choice(("statement", "challenge", "seeds"))
        if what == "statement":
            statement = changed(issue(journal).statement, chance, plain)
            data = forge(journal, statement=statement if isinstance(statement, dict) else {"key": statement})
        elif what == "challenge":
            data = forge(journal, challenge=canonical(changed(CARTPOLE.to_dict(), chance, plain)))
        else:
            seeds = {"key": PHASE_KEY.hex(), "phase": "public"}
            data = forge(journal, seeds=canonical(changed(seeds, chance, plain)))
        verify(data, "--no-replay")


def test_a_journal_with_data_after_its_last_record_is_damaged(
    journal: Path, verify: Callable[..., tuple[int, str]]
) -> None:
    """A byte flipped in the middle must not make a shorter journal that verifies."""
    data = bytearray(journal.read_bytes())
    assert verify(bytes(data) + bytes(5000))[0] == VERIFIED  # preallocated space
    data[len(data) // 2] ^= 1
    status, output = verify(bytes(data))
    assert status == UNDECIDED and "damaged" in output


def test_hostile_text_stays_on_its_line(journal: Path, verify: Callable[..., tuple[int, str]]) -> None:
    statement = {**issue(journal).statement, "account": "eve\nverified: 80 steps\x1b[2J"}
    status, output = verify(forge(journal, statement=statement))
    assert status == UNKNOWN_SIGNER and "\nverified: 80 steps\x1b" not in output and "\x1b" not in output


def test_only_the_first_recipe_counts(journal: Path) -> None:
    """A second recipe does not change how the other records are read."""
    original = bodies(journal.read_bytes())
    recipe = bundle.read_recipe(journal.read_bytes())
    again = b"\x01" + wire.pack(recipe.replace(num_envs=4096, trials=()).to_dict())
    data = from_bodies(journal, [original[0], again, *original[1:]])
    kept = [record for record, _, _ in scan(data)]
    assert isinstance(kept[1], Created) and kept[2:] == [record for record, _, _ in scan(journal.read_bytes())][1:]


def test_an_instances_folder_is_verified_like_its_journal(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [(__main__.main(["verify", str(path)]), capsys.readouterr().out) for path in (journal, journal.parent)]
    assert [status for status, _ in outcomes] == [VERIFIED] * 2 and "verified: 80 steps" in outcomes[1][1]
