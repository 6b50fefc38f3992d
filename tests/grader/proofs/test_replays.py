"""A journal is replayed in separate processes, and differences between them are traced to their source."""

import itertools
import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gymserve.environments import Catalogue
from gymserve.grader.challenges import seeds
from gymserve.grader.challenges.states import VerdictState
from gymserve.grader.practice import running
from gymserve.grader.proofs import replays, sources
from gymserve.grader.proofs.verification import Verdict
from gymserve.journal import Step, read
from tests import ROOT
from tests.grader.journals import make_challenge, play, replace_record, step_like
from tests.support.environments.faulty import EXIT, PRINT, SEGFAULT
from tests.support.environments.habitual import REPLAYED, Habitual

FAULTY, HABITUAL = ["tests.support.environments.faulty"], ["tests.support.environments.habitual"]


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Path]:
    """A file with the port of a server in this process that sends another number each time."""
    numbers = itertools.count(1)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(str(next(numbers)).encode())

        threading.Thread(target=serve, daemon=True).start()
        file = tmp_path / "port"
        file.write_text(str(server.getsockname()[1]))
        yield file
        server.shutdown(socket.SHUT_RDWR)


def check(folder: Path, habits: Sequence[str], file: object) -> str:
    """The output of `python -m gymserve.grader check` for an environment with these habits."""
    toml = folder / "habitual.toml"
    toml.write_text(
        f"""name = "habitual"
environment = "Habitual-v0"
max_episode_steps = 20
kwargs = {{ habits = {json.dumps(list(habits))}, file = "{file}" }}
scoring = {{ worst = 0 }}
[trials]
number = 4
variants = [{{ options = {{ level = 3 }} }}, {{ kwargs = {{ }} }}]
"""
    )
    work = folder / "work"
    work.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "gymserve.grader", "--modules", HABITUAL[0], "check", str(toml)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, cwd=work, env=variables, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.guarantee("an environment has habits that a fresh process repeats")
def test_reproducible_habits_are_verified(tmp_path: Path) -> None:
    output = check(tmp_path, REPLAYED, tmp_path)
    assert "replay: verified" in output, output
    assert "name of the working directory" in output  # it is the same on one server, but not elsewhere


@pytest.mark.long
@pytest.mark.parametrize("number", range(12))
def test_any_mixture_of_reproducible_habits_is_verified(tmp_path: Path, number: int) -> None:
    chance = random.Random(number)
    habits = chance.sample(REPLAYED, chance.randint(1, len(REPLAYED)))
    assert "replay: verified" in check(tmp_path, habits, tmp_path), habits


NOT_REPLAYED = {
    "pid": sources.PID, "address": sources.ADDRESSES, "clock": sources.CLOCK, "date": sources.CLOCK,
    "network": sources.NETWORK, "threads": sources.THREADS, "chance": sources.RANDOMNESS, "order": "a set of objects",
}  # fmt: skip


@pytest.mark.guarantee("an environment depends on the process id, addresses, the clock, the network or racing threads")
@pytest.mark.parametrize(
    "habit", ["pid", *(pytest.param(habit, marks=pytest.mark.long) for habit in NOT_REPLAYED if habit != "pid")]
)
def test_a_source_of_non_determinism_is_named(tmp_path: Path, counter: Path, habit: str) -> None:
    mixed = random.Random(habit).sample([each for each in REPLAYED if each != "directory"], 2)
    output = check(tmp_path, [*mixed, habit], counter)
    assert "replay: not replayable" in output and NOT_REPLAYED[habit] in output, output


def test_a_check_replays_at_another_date(tmp_path: Path) -> None:
    dated = make_challenge("Habitual-v0", kwargs={"habits": ["date"]}, trials={"number": 1})
    plan, catalogue = seeds.practice_plan(dated, 1), Catalogue(HABITUAL)
    journal = running.play(dated, plan, running.agent("random"), tmp_path, catalogue)
    verdict, _ = replays.check(journal, HABITUAL)
    assert verdict.state == "not replayable" and sources.CLOCK in verdict.reason


def test_an_honest_journal_is_verified_and_a_changed_record_is_named(tmp_path: Path) -> None:
    journal = play(tmp_path)
    assert replays.verify(journal, []).state == "verified"
    index, step = next((index, each) for index, each in enumerate(read(journal)) if isinstance(each, Step))
    journal.write_bytes(replace_record(journal, index, step_like(step, reward=2.0)))
    verdict = replays.verify(journal, [])
    assert (verdict.state, verdict.record) == ("mismatch", index) and "not 2.0" in verdict.reason


class Crashing:
    """An agent whose host is lost between trials, and with it the state that the environment keeps between them."""

    def __init__(self, observations: object, actions: object) -> None:
        self.trials = Habitual.trials = 0

    def reset(self) -> None:
        self.trials += 1
        Habitual.trials = 1 if self.trials == 1 else 0

    def act(self, observation: object) -> int:
        return 0


def test_state_that_is_lost_in_a_crash_is_not_the_participants_fault(tmp_path: Path) -> None:
    lost = make_challenge("Habitual-v0", kwargs={"habits": ["trials"]})
    plan = seeds.practice_plan(lost, 3)
    journal = running.play(lost, plan, Crashing, tmp_path, Catalogue(HABITUAL))
    verdict = replays.verify(journal, HABITUAL)
    assert (verdict.state, verdict.trial) == ("not replayable", 2), verdict


@pytest.mark.guarantee("a replay ends its process")
@pytest.mark.parametrize(("action", "how"), [(EXIT, "exit code 7"), (SEGFAULT, "signal 11")])
def test_a_replay_that_ends_its_process_is_reported(tmp_path: Path, action: int, how: str) -> None:
    journal = play(tmp_path, make_challenge("Faulty-v0", max_episode_steps=5), "tests.grader.journals:harmless")
    index, step = next((index, each) for index, each in enumerate(read(journal)) if isinstance(each, Step))
    journal.write_bytes(replace_record(journal, index, step_like(step, action=action)))
    verdict = replays.verify(journal, FAULTY)
    assert verdict.state == "not replayable" and "ended the process" in verdict.reason and how in verdict.reason


def printing(observation: object) -> int:
    return PRINT


def test_what_an_environment_prints_does_not_spoil_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the environment changes it
    talkative = make_challenge("Faulty-v0", max_episode_steps=200)  # prints more than a buffer holds
    journal = play(tmp_path, talkative, "tests.grader.proofs.test_replays:printing")
    assert replays.verify(journal, FAULTY).state == "verified"


@pytest.mark.parametrize(
    "other", [Verdict(VerdictState.MISMATCH, "record 3 differs", 3), Verdict(VerdictState.VERIFIED)]
)
def test_the_replay_that_names_a_record_is_shown(monkeypatch: pytest.MonkeyPatch, other: Verdict) -> None:
    crashed = Verdict(VerdictState.NOT_REPLAYABLE, "its replay ended the process")
    outcomes = iter([crashed, other])
    monkeypatch.setattr(replays, "_replay", lambda *_, **__: next(outcomes))
    verdict = replays.verify(Path("any"), [])
    assert verdict.state == "not replayable" and verdict.reason.startswith(other.reason or crashed.reason)
