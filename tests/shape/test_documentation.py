"""The pages for organisers and participants are correct."""

import re
from pathlib import Path
from typing import Any

import pytest

from gymserve import client
from gymserve.grader.challenges import definition
from tests import ROOT
from tests.support.command_line import runner
from tests.support.servers import Server

DOCS = ROOT / "docs"


def test_the_organisers_page_can_be_followed(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (DOCS / "challenges" / "organisers.md").read_text(), re.S)
    (text,) = blocks
    challenge = definition.read("\n".join(line[3:] for line in text.splitlines()))
    assert [phase.name for phase in challenge.phases] == ["public", "final"] and challenge.limits.step_seconds == 1.0
    server: Server = start(AUTH="token")
    _, key = server.account("participant")
    undated = re.sub(r"   (opens|closes|hidden_until) = .*\n", "", text).replace("number = 20", "number = 2")
    undated = undated.replace("trials = 50", "trials = 3")
    (tmp_path / "pole.toml").write_text("\n".join(line[3:] for line in undated.splitlines()))
    commands = re.findall(
        r"gymserve ((?:account|challenge) (?!run)[^`\n]+)", (DOCS / "challenges" / "organisers.md").read_text()
    )
    assert [command.split()[:2] for command in commands] == [
        ["account", "create"], ["challenge", "examples"], ["challenge", "check"], ["challenge", "create"],
        ["challenge", "reports"],
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    operate = runner(monkeypatch, capsys, server.data)
    said = [operate(*command.split(), typed="long enough\n") for command in commands]
    assert "me@example.org, organiser" in said[0] and "verified" in said[2] and said[3] == "challenge pole: open\n"
    assert server.get("/challenges/pole/").json["phase"] == "final"  # the last one that is open

    code = re.findall(r"```python\n(.*?)```", (DOCS / "challenges" / "participants.md").read_text(), re.S)[0]
    code = (
        code.replace("https://gym.example.org", server.url)
        .replace("gs_…", key)
        .replace("from gymserve import client\n", "")
    )
    names: dict[str, Any] = {"client": client}
    exec(compile(code, "participants.md", "exec"), names)
    assert names["result"].state == "graded" and len(names["result"].trials) == 3
    assert server.get("/boards/pole").status == 200


def test_links_between_pages_work() -> None:
    for page in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
