"""The pages for organisers and participants say what is so."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import client
from grader import definition
from tests.servers import ROOT, Server

DOCS = Path(__file__).parent.parent / "docs"


def test_the_organisers_challenge_is_played_as_the_page_says(start: Any, tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (DOCS / "organisers.md").read_text(), re.S)
    (text,) = blocks
    challenge = definition.read("\n".join(line[3:] for line in text.splitlines()))
    assert [phase.name for phase in challenge.phases] == ["public", "final"] and challenge.limits.step_seconds == 1.0
    server: Server = start(AUTH="token")
    _, key = server.account("participant")
    undated = re.sub(r"   (opens|closes|hidden_until) = .*\n", "", text).replace("number = 20", "number = 2")
    undated = undated.replace("trials = 50", "trials = 3")
    (tmp_path / "pole.toml").write_text("\n".join(line[3:] for line in undated.splitlines()))
    commands = re.findall(r"gym_http_server\.py ([a-z][^`\n]+)", (DOCS / "organisers.md").read_text())
    assert [command.split()[:2] for command in commands] == [
        ["account", "create"], ["challenge", "examples"], ["challenge", "check"], ["challenge", "create"],
        ["challenge", "reports"],
    ]  # fmt: skip
    said = [operate(server, tmp_path, *command.split()) for command in commands]
    assert "me@example.org, organiser" in said[0] and "verified" in said[2] and said[3] == "challenge pole: open\n"
    assert server.get("/challenges/pole/").json["phase"] == "final"  # the last one that is open

    code = re.findall(r"```python\n(.*?)```", (DOCS / "participants.md").read_text(), re.S)[0]
    code = code.replace("https://gym.example.org", server.url).replace("gs_…", key).replace("import client\n", "")
    names: dict[str, Any] = {"client": client}
    exec(compile(code, "participants.md", "exec"), names)
    assert names["result"].state == "graded" and len(names["result"].trials) == 3
    assert server.get("/boards/pole").status == 200


def operate(server: Server, folder: Path, *words: str) -> str:
    """What a sub-command prints, beside the running server."""
    command = [sys.executable, str(ROOT / "gym_http_server.py"), "--data", str(server.data), *words]
    done = subprocess.run(
        command, input="long enough\n", capture_output=True, text=True, timeout=120, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_test_that_a_guarantee_names_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", (DOCS / "guarantees.md").read_text()))
    assert len(named) > 8 and all((DOCS.parent / name).exists() for name in named)


def test_pages_lead_somewhere() -> None:
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} leads to {target}"
