"""What a host takes for a request like those that the web server has parsed."""

import re

import msgspec
import pytest

from gymserve.hosts.lent.terms import INCOMPLETE, Head, Request, Terms, match

PATH = "/v1/envs/s0.1-abc"
HEAD = b"POST /v1/envs/s0.1-abc/step/ HTTP/1.1\r\nHost: here\r\nContent-Length: %s\r\nAccept: */*\r\n\r\n"
STEP = HEAD % b"12" + b'{"action":1}'
RESET = STEP.replace(b"/step/", b"/reset/")


@pytest.fixture(scope="module")
def learnt() -> Terms:
    learned = Head.learn(HEAD % b"12", PATH)
    assert learned is not None
    return Terms("s0.1-abc", *learned, False, False, 500, 0, 0.0, "", 0, None, None, b"", None, "")


def test_steps_and_resets_are_recognised(learnt: Terms) -> None:
    assert match(learnt, STEP) == Request(False, len(STEP) - 12, len(STEP))
    assert match(learnt, RESET) == Request(True, len(RESET) - 12, len(RESET))
    assert match(learnt, HEAD % b"0") == Request(False, len(HEAD % b"0"), len(HEAD % b"0"))
    assert match(learnt, HEAD % b"5" + b"12345") == Request(False, len(HEAD % b"5"), len(HEAD % b"5") + 5)


def test_every_beginning_of_a_request_may_become_one(learnt: Terms) -> None:
    for request in (STEP, RESET, HEAD % b"5" + b"12345"):
        assert all(match(learnt, request[:end]) is INCOMPLETE for end in range(1, len(request)))


def test_a_request_with_any_other_byte_is_not_recognised(learnt: Terms) -> None:
    digits = STEP.index(b"12\r\n")
    for index in range(STEP.index(b"\r\n\r\n") + 4):
        for byte in (b"x", b"\n", b"\0", b" "):
            changed = STEP[:index] + byte + STEP[index + 1 :]
            request = match(learnt, changed)
            assert changed == STEP or request is None, (index, changed)
    assert STEP[digits : digits + 2] == b"12"


@pytest.mark.parametrize(
    "digits",
    [b"", b"+12", b"-1", b"012", b"1_2", b"12 ", b" 12", b"0x1", b"\xb2", b"12,12", b"120000", b"501", b"1" * 90],
)
def test_other_lengths_are_not_recognised(learnt: Terms, digits: bytes) -> None:
    assert match(learnt, HEAD % digits + b'{"action":1}') is None


def test_more_than_one_request_is_not_recognised(learnt: Terms) -> None:
    assert match(learnt, STEP + b"P") is None and match(learnt, STEP + STEP) is None


def test_resets_are_not_recognised_where_the_worker_answers_them(learnt: Terms) -> None:
    only_steps = msgspec.structs.replace(learnt, reset=b"")
    assert match(only_steps, RESET) is None and match(only_steps, STEP) is not None


def test_only_heads_of_the_usual_form_are_learnt() -> None:
    assert Head.learn((HEAD % b"12").replace(b"/step/", b"/step"), PATH) is not None
    assert Head.learn(re.sub(rb"Content-Length", b"content-length", HEAD % b"12"), PATH) is not None
    for old, new in (
        (b"/step/", b"/step//"), (b"/step/", b"/step/?a"), (b"POST", b"PUT"), (b"1.1", b"1.0"), (b"\r\n", b"\n"),
        (b"/v1", b"http://here/v1"), (b"abc", b"ab%63"), (b": 12", b":12"), (b": 12", b": 012"), (b"*/*", b"*" * 5000),
    ):  # fmt: skip
        assert Head.learn((HEAD % b"12").replace(old, new), PATH) is None, new
