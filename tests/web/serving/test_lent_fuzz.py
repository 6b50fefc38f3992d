"""The same random requests on a lent and on an ordinary connection get the same answers."""

import contextlib
import os
import random
import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.servers import Server, wait_for
from tests.web.serving.lent_agents import Agent, Response, metric

CASES = int(os.environ.get("CASES", "3000"))
JSON_LINE = b"Content-Type: application/json\r\n"
BODIES = (
    b'{"action":1}', b'{"action": 0 }', b' {"action":0}', b'{"action":1,"render":true}', b'{"action":1,"action":0}', b"{}",
    b'{"action":2}', b'{"action":"1"}', b'{"action":null}', b'{"action":[1]}', b'{"action":1.0}', b'{"action":1e400}',
    b'{"action":99999999999999999999}', b'{"action":1,"more":"\\ud800"}', b'{"\\u0061ction":1}', b'{"action":1}}', b"[1]", b"1",
    b'\xef\xbb\xbf{"action":1}', b'{"action":1,"more":"\xc3\xa9"}', b'{"action":1,"more":"\xff"}', b"",
    b'{"action":' + b"[" * 150,
    b'{"action":1,"seq":-1}', b'{"action":1,"seq":"1"}', b'{"action":NaN}', b'{"action":true}', b'{"action":1,"more":":"}',
)  # fmt: skip
RESETS = (
    b'{"seed":7}', b"{}", b"", b'{"seed":null}', b'{"seed":-1}', b'{"seed":1,"seed":2}', b'{"seed":[1]}', b"[]", b"null",
    b'{"options":{"low":-0.01,"high":0.01}}', b'{"options":{"low":"x"}}', b'{"seed":1,"more":1}', b'{"seed":1.0}', b"{",
)  # fmt: skip


def rewritten(head: bytes, body: bytes) -> list[bytes]:
    """Requests that are odd, ambiguous or not HTTP."""
    length = b"Content-Length: %d\r\n" % len(body)
    whole = head + body
    return [
        whole.replace(length, length + length),
        whole.replace(length, length + b"Content-Length: 0\r\n"),
        whole.replace(length, length + b"Transfer-Encoding: chunked\r\n"),
        head.replace(length, b"Transfer-Encoding: chunked\r\n") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        head.replace(length, b"Transfer-Encoding: chunked\r\n")
        + b"%x;a=b\r\n%b\r\n0\r\nA: x\r\n\r\n" % (len(body), body),
        whole.replace(length, length + b"Transfer-Encoding : chunked\r\n"),
        whole.replace(length, length + b"Transfer-Encoding: xchunked\r\n"),
        whole.replace(length, b"Content-Length: +%d\r\n" % len(body)),
        whole.replace(length, b"Content-Length: 0%d\r\n" % len(body)),
        whole.replace(length, b"Content-Length: %d \r\n" % len(body)),
        whole.replace(length, b"Content-Length:\t%d\r\n" % len(body)),
        whole.replace(length, b"Content-Length : %d\r\n" % len(body)),
        whole.replace(length, b"Content-Length:\r\n %d\r\n" % len(body)),
        whole.replace(length, b"content-length: %d\r\n" % len(body)),
        whole.replace(length, b"X: y\nContent-Length: %d\r\n" % len(body)),
        whole.replace(length, b"Content-Length: %d, %d\r\n" % (len(body), len(body))),
        whole.replace(length, b""),
        whole.replace(length, b"Content-Length: -1\r\n"),
        whole.replace(length, length + b"Expect: 100-continue\r\n"),
        whole.replace(length, length + b"Connection: close\r\n"),
        whole.replace(length, length + b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
        whole.replace(length, length + b"Origin: http://elsewhere.example\r\n"),
        whole.replace(length, length + b"\0: x\r\n"),
        whole.replace(b"Host: 127.0.0.1", b"Host: elsewhere.example"),
        whole.replace(b"HTTP/1.1", b"HTTP/1.0"),
        whole.replace(b"HTTP/1.1", b"HTTP/2.0"),
        whole.replace(b"POST", b"post"),
        whole.replace(b"POST", b"PUT"),
        whole.replace(b"/ HTTP", b"/?x=1 HTTP"),
        whole.replace(b"/ HTTP", b"// HTTP"),
        whole.replace(b"/ HTTP", b"/  HTTP"),
        whole.replace(b"/v1/", b"/v1/../v1/"),
        whole.replace(b"/v1/", b"/%761/"),
        whole.replace(b"\r\n", b"\n"),
        b"\r\n" + whole,
        whole + b"\r\n",
        whole + b"GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        whole.replace(JSON_LINE, b"Content-Type: text/plain\r\n"),
        whole.replace(JSON_LINE, b""),
        whole.replace(length, b"Content-Length: %d\r\n" % (len(body) + 5)),
        whole.replace(length, b"Content-Length: %d\r\n" % (len(body) - 1)) if body else whole,
        whole.replace(length, b"Content-Length: 70000\r\n") + b" " * 70_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v1/envs/TOKEN/action_space/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"nonsense\r\n\r\n",
    ]


class Pair:
    """Two agents of equal instances, one of whose connections is lent, and the other's never."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.tokens = [server.create("CartPole-v1") for _ in range(2)]
        self.agents: list[Agent] = []
        self.number = 0
        self.eligible = self.by_host = 0  # of the ordinary requests of the first agent
        self.is_lent = False  # whether its connection should be
        self.connect()

    def connect(self) -> None:
        """Connects both agents anew, and has the first one's connection lent."""
        self.close()
        self.agents = [Agent(self.server, token) for token in self.tokens]
        self.compare([[self.head("reset", 10) + b'{"seed":3}']])
        for _ in range(2):
            self.compare([[self.head("step", 12) + b'{"action":1}']])
        assert self.agents[0].last is not None
        self.worker = self.agents[0].answerer
        self.is_lent = True

    def close(self) -> None:
        for agent in self.agents:
            agent.close()

    def head(self, call: str, length: int) -> bytes:
        path = f"/v1/envs/TOKEN/{call}/"
        return b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%bContent-Length: %d\r\n\r\n" % (
            path.encode(),
            JSON_LINE,
            length,
        )

    def _own(self, index: int, data: bytes) -> bytes:
        """The same request of one of the two: only the second one's heads all differ."""
        data = data.replace(b"TOKEN", self.tokens[index].encode())
        if index:
            self.number += 1
            data = data.replace(JSON_LINE, b"%bX-Request-Id: r%d\r\n" % (JSON_LINE, self.number))
        return data

    def compare(self, requests: list[list[bytes]], *, pause: float = 0.0, ends: bool = False) -> None:
        """Sends requests, each in pieces, to both, and compares the answers.

        Args:
            ends: whether the connections end with them; else each request has one answer.
        """
        answers = []
        for index, agent in enumerate(self.agents):
            for pieces in requests:
                for piece in pieces:
                    agent.send(self._own(index, piece))
                    time.sleep(pause)
            if ends:
                agent.socket.shutdown(socket.SHUT_WR)
            answers.append([self._plain(index, each) for each in self._read(agent, None if ends else len(requests))])
        assert answers[0] == answers[1], (requests, answers)

    def _read(self, agent: Agent, number: int | None) -> Iterator[Response]:
        while number is None or number > 0:
            try:
                agent.last = agent.read()
            except EOFError:
                assert number is None
                return
            yield agent.last
            number = None if number is None else number - 1

    def _plain(self, index: int, response: Response) -> tuple[int, bytes, list[str]]:
        names = sorted(set(response.headers) - {"x-request-id"})
        return response.status, response.body.replace(self.tokens[index].encode(), b"TOKEN"), names

    def count(self, *, is_step: bool) -> None:
        """Counts an ordinary request. The first step after a loan has ended is the worker's, and those before it."""
        last = self.agents[0].last
        assert last is not None
        self.eligible += self.is_lent
        self.by_host += self.is_lent and self.agents[0].answerer != self.worker
        self.is_lent = self.is_lent or (is_step and last.status == 200)


@pytest.fixture
def pair(server: Server) -> Iterator[Pair]:
    """Agents that have been reset with the same seed."""
    with contextlib.closing(Pair(server)) as both:
        yield both


def play(pair: Pair, draw: random.Random) -> None:
    """Makes one random case."""
    is_over = pair.agents[0].last is not None and pair.agents[0].last.status == 409
    is_step = draw.random() < 0.9 and not is_over
    call, body = (
        ("step", b'{"action":%d}' % draw.randrange(2)) if is_step else ("reset", b'{"seed":%d}' % draw.randrange(9))
    )
    kind = draw.choices(("plain", "body", "cut", "together", "slow", "odd"), (84, 3, 6, 1, 2, 4))[0]
    pair.is_lent = pair.is_lent and kind not in ("body", "together")
    if kind == "body":
        body = draw.choice(BODIES if is_step else RESETS)
    request = pair.head(call, len(body)) + body
    if kind == "odd":
        pair.compare([[draw.choice(rewritten(pair.head(call, len(body)), body))]], ends=True)
        pair.connect()
    elif kind == "together":
        reset = b'{"seed":1}'
        pair.compare([[request + request + pair.head("reset", len(reset)) + reset], [], [request]])
    elif kind in ("cut", "slow"):
        # A piece must not divide the token, which is replaced, or the line that tells the two apart.
        first = request.index(JSON_LINE) + len(JSON_LINE)
        places = sorted({first, *(draw.randrange(first, len(request) + 1) for _ in range(draw.randrange(1, 4)))})
        pieces = [request[a:b] for a, b in zip([0, *places], [*places, len(request)], strict=True)]
        pair.compare([pieces], pause=0.05 if kind == "slow" else 0.0)
    else:
        pair.compare([[request]])
        if kind == "plain":
            pair.count(is_step=is_step)


@pytest.mark.guarantee("requests are smuggled to a host past the web server")
@pytest.mark.parametrize("cases", [80, pytest.param(CASES, marks=pytest.mark.long)])
def test_a_lent_and_an_ordinary_connection_answer_the_same(server: Server, pair: Pair, cases: int) -> None:
    before = metric(server, "gymserve_lent_requests_total")
    draw = random.Random(cases)
    for _ in range(cases):
        play(pair, draw)
    assert pair.by_host >= 0.9 * pair.eligible > 0.4 * cases, (pair.by_host, pair.eligible)
    wait_for(lambda: metric(server, "gymserve_lent_requests_total") >= before + pair.by_host)


def test_each_odd_request_is_answered_the_same(pair: Pair) -> None:
    body = b'{"action":1}'
    for odd in rewritten(pair.head("step", len(body)), body):
        pair.compare([[odd]], ends=True)
        pair.connect()


def test_each_unusual_body_is_answered_the_same(pair: Pair) -> None:
    for call, bodies in (("step", BODIES), ("reset", RESETS)):
        for body in bodies:
            pair.compare([[pair.head(call, len(body)) + body]])
