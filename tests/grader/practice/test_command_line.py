"""`python -m gymserve.grader`: the commands run, check and verify."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import gym_http_server
from gymserve.grader import __main__
from gymserve.grader.challenges import definition, examples
from gymserve.grader.practice import checking
from gymserve.grader.proofs import bundle
from tests import ROOT
from tests.grader.journals import CARTPOLE, CATALOGUE, PHASE_KEY, PUBLIC, issue, make_challenge, play

EXAMPLES = sorted((ROOT / "examples" / "challenges").glob("*.toml"))


class Output(NamedTuple):
    """The exit status and output of a command."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def grader(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Output]:
    """Runs `python -m gymserve.grader` in this process, since a new one would spend most of its time on imports."""
    monkeypatch.setattr(sys, "path", sys.path[:])

    def run(*arguments: str | Path) -> Output:
        return Output(__main__.main([str(argument) for argument in arguments]), *capsys.readouterr())

    return run


def run_process(*arguments: str | Path) -> Output:
    done = subprocess.run(
        [sys.executable, "-m", "gymserve.grader", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    return Output(done.returncode, done.stdout, done.stderr)


def test_practice_prints_a_table_and_is_reproducible(grader: Callable[..., Output]) -> None:
    words = ("run", EXAMPLES[1], "--agent", "tests.grader.journals:lean", "--trials", "3")
    output = [run(*words) for run in (run_process, grader)]
    assert output[0].returncode == 0, output[0].stderr
    lines = output[0].stdout.splitlines()
    assert lines[0].split() == ["trial", "return", "counts", "steps", "seconds", "state"]
    assert [line.split()[-1] for line in lines[1:4]] == ["played"] * 3
    assert [line.split()[:4] for line in lines] == [line.split()[:4] for line in output[1].stdout.splitlines()]
    assert "standard error" in output[0].stdout and lines[-1].startswith("score ")


def test_wrong_files_and_agents_are_reported_without_a_traceback(grader: Callable[..., Output], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('name = "x"\nenvironment = "CartPole-v1"\n[trials]\nnumber = "ten"\n')
    for arguments, status, words in (
        (("run", wrong, "--agent", "random"), 1, "line 4"),
        (("run", EXAMPLES[0], "--agent", "no:where"), 1, "cannot be found"),
        (("check", tmp_path / "none.toml"), 1, "none.toml is neither a file nor an example; the examples are "),
        (("verify", tmp_path / "none"), 2, "does not exist"),
    ):
        output = grader(*arguments)
        assert output.returncode == status and words in output.stderr and "Traceback" not in output.stderr


def test_the_exit_status_of_verify(grader: Callable[..., Output], tmp_path: Path) -> None:
    journal = play(tmp_path)
    data = bundle.build(journal=journal.read_bytes(), challenge=CARTPOLE, phase_key=PHASE_KEY, receipt=issue(journal))
    file = tmp_path / "bundle.zip"
    file.write_bytes(data)
    output = grader("verify", file, "--key", PUBLIC)
    assert output.returncode == 0 and "verified: 80 steps" in output.stdout, output.stderr
    at = data.index(journal.read_bytes()[:40]) + 200
    file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    output = grader("verify", file)
    assert output.returncode == 1 and "was changed" in output.stdout


FAST = ("cartpole", "lunar-lander")  # creating the others takes seconds


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=() if path.stem in FAST else pytest.mark.long) for path in EXAMPLES],
)
def test_the_examples_can_be_checked(tmp_path: Path, path: Path) -> None:
    example = definition.load(path)
    findings = checking.check(example, tmp_path, CATALOGUE, seconds=0.5)
    assert findings.verdict.state == "verified" and findings.played >= 1
    may = ["on this machine", "may need"]  # on a busy machine
    if example.name == "learning-to-run":
        may.append("with fewer than 20")  # like the original of 2017
    assert all(any(words in warning for words in may) for warning in findings.warnings), findings.warnings


def test_one_command_lists_or_creates_the_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def challenge_command(*words: str) -> list[str]:
        code = gym_http_server.main(["--data", str(tmp_path), "challenge", *words])
        output = capsys.readouterr()
        assert code == 0, output.err
        return output.out.splitlines()

    names = ["breakout", "cartpole", "half-cheetah", "learn-to-move", "learning-to-run", "lunar-lander"]
    assert [line.split()[0] for line in challenge_command("examples")[1:]] == names
    assert challenge_command("create", "cartpole") == ["challenge cartpole: open"]
    assert len(challenge_command("list")) == 2
    assert challenge_command("examples", "--create") == [f"challenge {name}: open" for name in names]
    assert [line.split()[0] for line in challenge_command("list")[1:]] == names


def test_an_example_with_a_missing_environment_says_how_to_install_it() -> None:
    assert "'Nowhere-v0'" in examples.missing(CATALOGUE, "Nowhere-v0")
    assert examples.missing(CATALOGUE, "CartPole-v1") == ""


def test_a_check_warns_of_unfair_challenges(tmp_path: Path) -> None:
    falling = make_challenge("Pendulum-v1", trials={"number": 5})
    warned = " ".join(checking.check(falling, tmp_path, CATALOGUE, seconds=1.0).warnings)
    assert "5 trials" in warned and "resets at once" in warned
    careful = make_challenge("Pendulum-v1", trials={"number": 20}, scoring={"cut": "worst", "worst": -2000})
    assert not checking.check(careful, tmp_path, CATALOGUE, seconds=1.0).warnings
    two = {"number": 20, "variants": [{}, {"kwargs": {"map_name": "8x8"}}]}
    odd = make_challenge("FrozenLake-v1", trials=two)
    assert "variant 2" in " ".join(checking.check(odd, tmp_path, CATALOGUE, seconds=1.0).warnings)
    vague = make_challenge("Forgetful-v0", max_episode_steps=3, limits={"submission_seconds": 0.0})
    warned = " ".join(checking.check(vague, tmp_path, CATALOGUE, seconds=1.0).warnings)
    assert "not replayable" in warned and "submission_seconds" in warned
