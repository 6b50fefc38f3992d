"""`gymserve env play`: a person plays in the terminal, and sees text, pictures or numbers."""

import io
import os
import pty
import re
import select
import subprocess
import sys

import numpy as np
import pytest

from gymserve.cli.main import main
from gymserve.client import picture
from tests.support.servers import Server, wait_for

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_each_character_shows_two_pixels() -> None:
    pixels = np.array([[RED, RED], [BLUE, BLUE]], np.uint8)
    assert picture.draw(pixels, 80, 24) == "\x1b[38;2;255;0;0;48;2;0;0;255m▀▀\x1b[0m"
    assert (
        picture.draw(pixels[:1], 80, 24) == "\x1b[38;2;255;0;0;48;2;0;0;0m▀▀\x1b[0m"
    )  # the odd last row is black below


def test_a_larger_picture_is_shrunk_to_means() -> None:
    stripes = np.zeros((40, 60, 3), np.uint8)
    stripes[:, ::2] = 200
    assert picture.draw(stripes, 30, 100) == "\n".join(
        ["\x1b[38;2;100;100;100;48;2;100;100;100m" + "▀" * 30 + "\x1b[0m"] * 10
    )


@pytest.mark.parametrize("shape", [(400, 600), (600, 400), (3, 500), (500, 3), (1, 1), (7, 7)])
def test_it_fits_the_terminal(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    lines = [re.sub("\x1b[^m]*m", "", line) for line in picture.draw(pixels, 80, 21).split("\n")]
    assert len(lines) <= 21 and {len(line) for line in lines} <= set(range(1, 81)) and len({*map(len, lines)}) == 1
    assert len(lines) == 21 or shape[0] < 42 or max(map(len, lines)) == 80  # as large as it can be


def test_a_person_plays_in_the_terminal(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("left\n4\n\n2\nq\n"))
    assert main(["env", "play", "FrozenLake-v1", "--seed", "1", "--server", server.url]) == 0
    shown = capsys.readouterr().out
    assert "left cannot be read: an action is a number from 0 to 3" in shown and "4 is not in the action space" in shown
    assert "SFFF" in shown.replace("\x1b[41mS\x1b[0m", "S") and "step 2" in shown


def test_a_person_plays_by_keys_and_sees_pictures(server: Server) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gymserve.cli", "env", "play", "CartPole-v1", "--server", server.url]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, env={**os.environ, "COLORTERM": "truecolor", "TERM": "xterm"}
    ) as process:
        shown = ""

        def has_shown(text: str, key: str) -> bool:
            nonlocal shown
            os.write(ours, key.encode())  # until it is read: keys that are pressed before a prompt are lost
            while select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 65536).decode(errors="replace")
            return text in shown

        wait_for(lambda: has_shown("Press a key for each", ""))
        wait_for(lambda: has_shown("step 1, reward 1", "1"))
        wait_for(lambda: has_shown("x cannot be read", "x"))
        wait_for(lambda: process.poll() is not None or has_shown("\0", "q"))
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0 and shown.count("▀") > 2000 and ";48;2;255;255;255m" in shown
