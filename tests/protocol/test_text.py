"""Text and JSON from outside: unfit text is refused, and parsing never costs much more than the size explains."""

import json
import resource
import subprocess
import sys

import pytest

from gymserve.protocol import text, wire
from gymserve.protocol.errors import InvalidRequest

UNFIT = ["\0", "\ud800", "\udfff", "\u202e", "\u2066"]
MEBI = 1 << 20


@pytest.mark.parametrize("unfit", UNFIT, ids=ascii)
@pytest.mark.parametrize("shape", ['"a{}"', '{{"{}": 1}}', '[0, [{{"a": ["b", "c{}"]}}]]'])
def test_unfit_characters_are_refused_and_named(unfit: str, shape: str) -> None:
    with pytest.raises(InvalidRequest, match=f"U\\+{ord(unfit):04X}"):
        wire.read_json(shape.format(json.dumps(unfit)[1:-1]).encode())
    if unfit > "\uf000" or "\ud800" > unfit > "\0":  # the others are not allowed in JSON without an escape
        with pytest.raises(InvalidRequest, match=f"U\\+{ord(unfit):04X}"):
            wire.read_json(shape.format(unfit))


@pytest.mark.parametrize("good", ["опыт", "שלום", "مرحبا", "😀", "\\u0000", "e\u0301", "\n\t", "𝔸"])
def test_text_of_every_language_is_accepted(good: str) -> None:
    for ensure_ascii in (True, False):
        assert wire.read_json(json.dumps([good, {good: 1}], ensure_ascii=ensure_ascii).encode()) == [good, {good: 1}]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a":' * 101 + b"1" + b"}" * 101, "too deeply"),
        (b"[" * 10**6 + b"]" * 10**6, "too deeply"),
        (b'["]' * 150 + b'", [' * 150, "not a valid json|too deeply"),
        (b'["]",' * 150 + b"1" + b"]" * 150, "too deeply"),  # brackets in strings do not count
        (b'["\\"]\\\\",' * 150 + b"1" + b"]" * 150, "too deeply"),
        (b"[" + b'{"":0},' * text.MAX_NAMES + b'{"": 0}]', "names"),
        (b"[" + b"[]," * text.MAX_LISTS + b"0]", "lists"),
    ],
    ids=range(7),
)
def test_json_that_needs_much_memory_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        wire.read_json(data)


@pytest.mark.parametrize("data", [[[1, 2, 3]] * 100_000, ["[{" * 200], {"a": ["]\\", '"["']}, [{"a": [[0] * 3]}] * 200])
def test_pictures_and_brackets_in_strings_are_accepted(data: object) -> None:
    assert wire.read_json(json.dumps(data).encode()) == data
    assert wire.read_json(b"[" * 100 + b"]" * 100)


COSTLY = {
    "one name of many twice": '"{" + ",".join(f"\\"{i}\\":0" for i in range(99_999)) + ",\\"99998\\":1}"',
    "a string of escaped quotes": '"[" * 200 + chr(34) + (chr(92) + chr(34)) * (1 << 23)',
    "small objects": '"[" + "{\\"\\":0}," * (1 << 21)',
    "lists in lists": '"[" * (1 << 24)',
}


@pytest.mark.guarantee("somebody sends what takes much time or memory to read")
@pytest.mark.parametrize("what", COSTLY)
def test_parsing_time_is_proportional_to_the_length(what: str) -> None:
    program = f"""
from gymserve.protocol import errors, wire
data = ({COSTLY[what]}).encode()
try: wire.read_json(data)
except errors.InvalidRequest as error: print(error)
"""

    def limit() -> None:  # limits CPU time and memory; a quadratic algorithm would take minutes for the first case
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        resource.setrlimit(resource.RLIMIT_AS, (1024 * MEBI, 1024 * MEBI))

    environment = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", program], preexec_fn=limit, capture_output=True, text=True, env=environment
    )
    assert ran.returncode == 0 and ran.stdout, ran.stderr
