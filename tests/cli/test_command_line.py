"""Every command: its help, its options, its exit status, and what it prints if something is wrong."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gymserve.cli.main import COMMANDS, main
from gymserve.client.__main__ import COMMANDS as CLIENT
from gymserve.grader.__main__ import COMMANDS as GRADER
from gymserve.system.terminal import tables
from gymserve.system.terminal.commands import Group, LazyCommand
from tests import ROOT
from tests.support.servers import Server, wait_for


def commands(group: Group, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands below a group, each with its words."""
    for name, entry in group.entries.items():
        command = entry.load() if isinstance(entry, LazyCommand) else entry
        if isinstance(command, Group):
            yield from commands(command, *words, name)
        else:
            yield (*words, name), command


EVERY = [*commands(COMMANDS), *commands(CLIENT), *commands(GRADER)]


@pytest.mark.parametrize(
    ("words", "command"), EVERY, ids=lambda each: "-".join(each) if isinstance(each, tuple) else ""
)
def test_help_has_an_example_and_defaults(words: tuple[str, ...], command: click.Command) -> None:
    assert command.help is not None and "Example: " in command.help, words
    example = command.help.partition("Example: ")[2]
    assert " ".join(words[-1:]) in example and "python gym_http_server.py" not in example
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{words}: {option.name} has no help"


def test_the_documentation_has_every_command() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    for words, _ in commands(COMMANDS):
        assert re.search(rf"gymserve {words[0]}\b[^`\n]*\b{words[-1]}\b|`gymserve {words[-1]}\b", page), words


def test_a_group_lists_its_commands_without_importing_them() -> None:
    code = "import sys; from gymserve.cli.main import main; main(['-h']); print([n for n in sys.modules if n in HEAVY])"
    heavy = "HEAVY = ('flask', 'sqlalchemy', 'gymnasium', 'torch'); "
    shown = subprocess.run([sys.executable, "-c", heavy + code], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("[]\n") and all(f"  {name} " in shown for name in COMMANDS.entries)


@pytest.mark.parametrize(
    "words",
    [
        ("--data", "DATA", "account", "list", "--json"),
        ("account", "--json", "list", "--data", "DATA"),
        ("--json", "--data=DATA", "account", "list"),
    ],
)
def test_options_may_precede_or_follow_the_command(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.replace("DATA", str(tmp_path)) for word in words]) == 0
    assert json.loads(capsys.readouterr().out) == [] and (tmp_path / "gymserve.db").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("acount",), "Did you mean 'account'?"),
        (("account", "lits"), "Did you mean 'list'?"),
        (("serve", "--prot", "1"), "'--port'?"),
        (("account", "create"), "Missing argument 'EMAIL'"),
        (("--server", "http://x", "account", "list"), "No such option '--server'"),
        (("db", "restore", "no-such-file"), "'no-such-file' does not exist"),
        (("challenge", "run", "cartpole", "--agent", "random", "--trials", "0"), "0 is not in the range"),
        (("video", "no-such-file", "-o", "x.gif"), "'no-such-file' does not exist"),
    ],
)
def test_a_wrong_command_has_status_2(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("Usage: gymserve") and error.splitlines()[-1].startswith("Error: ") and said in error


def test_a_mistyped_data_directory_is_refused_and_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("account", "list"), ("db", "current"), ("challenge", "list"), ("audit",)):
        assert main([*words, "--data", str(tmp_path / "dta")]) == 2
        assert "does not exist. Check --data" in capsys.readouterr().err
    assert not (tmp_path / "dta").exists()


def test_a_missing_library_is_named_with_the_extra_that_brings_it() -> None:
    code = "import sys; sys.modules['sqlalchemy'] = None; from gymserve.cli.main import main; sys.exit(main(['audit']))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == "Error: needs gymserve[server]: pip install 'gymserve[server]' (sqlalchemy is missing)\n"


def test_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GYMSERVE_CHALLENGE_SERVER_TOKEN", "a-hidden-token")
    monkeypatch.setenv("GYMSERVE_THREADS", "7")
    assert main(["--version"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    for words in (("--version", "--verbose"), ("--verbose", "--version")):
        assert main(words) == 0
        shown = capsys.readouterr().out
        assert "\ngymnasium " in shown and "THREADS = 7" in shown
        assert "CHALLENGE_SERVER_TOKEN = (a secret)" in shown and "a-hidden-token" not in shown


def test_tables_fit_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("1", "a" * 200, True, None), ("12", "b", False, 0.25)]
    with click.Context(click.Command("x")):
        tables.print_rows(("id", "long_text", "done", "score"), rows)
        assert "a" * 200 in capsys.readouterr().out  # of a pipe, nothing is cut off
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", "60")
        tables.print_rows(("id", "long_text", "done", "score"), rows)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60 and lines[0].split() == ["ID", "LONG", "TEXT", "DONE", "SCORE"]
    assert "…  yes" in lines[1] and lines[1].endswith("-") and lines[2].split() == ["12", "b", "no", "0.25"]


def test_a_shell_completes_commands() -> None:
    environment = {
        **os.environ,
        "_GYMSERVE_COMPLETE": "bash_complete",
        "COMP_WORDS": "gymserve account re",
        "COMP_CWORD": "2",
    }
    done = subprocess.run([sys.executable, "-m", "gymserve.cli"], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["plain,reset-password"]


def interrupted(*words: str, after: str) -> str:
    """What a command prints to standard error when Ctrl-C ends it, once it has printed `after`."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:
        assert process.stdout is not None
        try:
            wait_for(lambda: after in process.stdout.readline())
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, error
    return error.strip()


def test_ctrl_c_ends_a_command_in_one_line(server: Server) -> None:
    words = ("gymserve.client", "CartPole-v1", "--episodes", "1000000", "--server", server.url)
    assert interrupted(*words, after="episode 1:") == "python -m gymserve.client: interrupted"


def test_environments_are_listed_and_shown(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "list", "lake", "--server", server.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[0] == "ID" and any(line.startswith("FrozenLake-v1 ") for line in lines[1:])
    assert main(["--server", server.url, "env", "show", "FrozenLake-v1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["action_space"] == {"name": "Discrete", "n": 4}
    assert main(["env", "show", "FrozenLaek-v1", "--server", server.url]) == 1
    error = capsys.readouterr().err
    assert error.startswith("gymserve: ") and error.count("\n") == 1


def test_models_are_listed(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "list", "--json", "--server", server.url]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["model", "show", "99", "--server", server.url]) == 1
    assert "gymserve: " in capsys.readouterr().err
