"""Statistics of journals equal those of the episodes played."""

import contextlib
import json
import random
import statistics
import zipfile
from pathlib import Path

import pytest

from gymserve.cli.main import main
from gymserve.journal import Step, read
from gymserve.protocol.errors import InvalidRequest
from gymserve.recording import statistics as journals_statistics
from gymserve.recording.video.episodes import records_of
from tests import ROOT
from tests.recording.journals import play


def test_lengths_returns_and_speed_come_from_the_journal(tmp_path: Path) -> None:
    played = play(tmp_path / "one", "CartPole-v1", seeds=(1, 2, 3), max_episode_steps=500)
    left = play(tmp_path / "two", "CartPole-v1", seeds=(4,), steps=2)
    summary = journals_statistics.summarize([records_of(played), records_of(left)])
    lengths, length = [], 0
    for record in read(played / "journal"):
        if isinstance(record, Step):
            length += 1
            if record.terminated:
                lengths.append(float(length))
                length = 0
    assert len(lengths) == 3 and summary.episodes == 3 and summary.unfinished == 1 and summary.steps == sum(lengths)
    assert summary.lengths == (statistics.fmean(lengths), statistics.stdev(lengths), min(lengths), max(lengths))
    assert summary.returns == summary.lengths  # CartPole pays 1 a step
    assert summary.steps_per_second is not None and summary.steps_per_second > 10


def test_no_episode_has_no_statistics(tmp_path: Path) -> None:
    summary = journals_statistics.summarize([records_of(play(tmp_path / "run", "CartPole-v1", seeds=()))])
    assert (summary.episodes, summary.lengths, summary.returns, summary.steps_per_second) == (0, None, None, None)


def test_one_episode_has_no_deviation(tmp_path: Path) -> None:
    summary = journals_statistics.summarize([records_of(play(tmp_path / "run", "Painting-v0", seeds=(1,), action=2))])
    assert summary.returns == (20.0, None, 20.0, 20.0)


def test_a_vector_instance_is_refused_by_name(tmp_path: Path) -> None:
    journal = play(tmp_path / "run", "CartPole-v1", seeds=(1,), num_envs=2, steps=0)
    with pytest.raises(InvalidRequest, match="vector instance"):
        records_of(journal)


def test_damaged_and_foreign_files_are_refused_in_one_line(tmp_path: Path) -> None:
    journal = (play(tmp_path / "run", "CartPole-v1", seeds=(1, 2)) / "journal").read_bytes()
    file, chance = tmp_path / "file", random.Random(1)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("journal", journal + bytes(50_000_000))
    with pytest.raises(InvalidRequest, match="compressed"):
        records_of(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("journal", journal)
    whole = file.read_bytes()
    assert len(records_of(file)) > 20
    for _ in range(200):
        damaged = bytearray(whole)
        place = chance.choice(
            (chance.randrange(len(whole)), len(whole) - 1 - chance.randrange(120), chance.randrange(40))
        )
        damaged[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        file.write_bytes(damaged)
        with contextlib.suppress(InvalidRequest):
            records_of(file)


def test_the_command_prints_text_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = str(play(tmp_path / "run", "Painting-v0", seeds=(1, 2), action=1))
    assert main(["journal", "statistics", journal]) == 0
    printed = capsys.readouterr().out
    assert "2 finished episodes, 0 unfinished ones, 20 steps" in printed and "return: 10 ± 0, from 10 to 10" in printed
    assert main(["journal", "statistics", journal, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["returns"]["mean"] == 10.0
    assert main(["journal", "statistics", str(ROOT / "README.md")]) == 1
    assert "is not a journal" in capsys.readouterr().err
