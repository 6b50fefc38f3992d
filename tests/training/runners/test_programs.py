"""Definitions of programs, and the readers of their metrics."""

import json
from pathlib import Path
from typing import Any

import pytest

from gymserve.errors import SettingsError, Untrainable
from gymserve.training.runners import programs
from gymserve.training.runners.readers import Lines, Ptf, Sacred

WHERE = {"interpreter": "/opt/python", "directory": "/opt/program"}


def test_the_commands_of_the_known_programs() -> None:
    known = programs.read(dict.fromkeys(("pymarl", "epymarl", "ptf"), WHERE))
    pymarl = known["pymarl"]
    values = pymarl.check({"algo_name": "qmix", "map_name": "3s5z"})
    assert pymarl.command(values, 7) == [
        "/opt/python", "src/main.py", "--config=qmix", "--env-config=sc2", "with", "env_args.map_name=3s5z", "seed=7",
    ]  # fmt: skip
    epymarl = known["epymarl"]
    values = epymarl.check({"algo_name": "iql", "map_name": "lbforaging:Foraging-5x5-2p-1f-v3", "t_max": 2000})
    assert epymarl.command(values, 1)[5:] == [
        "env_args.key=lbforaging:Foraging-5x5-2p-1f-v3", "env_args.time_limit=50", "t_max=2000", "seed=1",
    ]  # fmt: skip
    with pytest.raises(Untrainable, match="map_name"):
        epymarl.check({"algo_name": "iql", "map_name": "os:path"})
    values = known["ptf"].check({"algo_name": "a3c", "env_name": "grid", "episodes": 5})
    assert known["ptf"].command(values, 2)[1:4] == ["main.py", "-a", "ptf_a3c"]


def test_a_program_of_ones_own() -> None:
    own = {**WHERE, "arguments": ["train.py", "--rate={rate}", "{seed}"], "parameters": {"rate": r"0\.\d+"}}
    program = programs.read({"mine": own})["mine"]
    assert program.command(program.check({"rate": 0.5}), 3) == ["/opt/python", "train.py", "--rate=0.5", "3"]
    assert program.command(program.check({}), 3) == ["/opt/python", "train.py", "3"]
    for wrong in ({"rate": "1"}, {"rate": "0.5 "}, {"rate": True}, {"rats": 1}, []):
        with pytest.raises(Untrainable):
            program.check(wrong)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mine": {**WHERE, "comand": []}}, "comand"),
        ({"mine": {"directory": "/x"}}, "interpreter"),
        ({"mine": {**WHERE, "interpreter": "python"}}, "absolute"),
        ({"mine": {**WHERE, "metrics": "csv"}}, "sacred"),
        ({"mine": {**WHERE, "results": "../x"}}, "below"),
        ({"mine": {**WHERE, "parameters": {"a": "("}}}, "regular expression"),
        ({"sb3": WHERE}, "other than"),
        ({"mine": "python"}, "definition"),
    ],
)
def test_a_wrong_definition_is_told_at_the_start(given: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        programs.read(given)


def test_sacreds_file_is_read_however_it_is_cut(tmp_path: Path) -> None:
    reader, file = Sacred(tmp_path), tmp_path / "run" / "info.json"
    assert list(reader.read()) == []
    file.parent.mkdir()
    whole = {"a": [1, {"py/object": "numpy.float64", "value": 2.5}], "a_T": [10, 20], "b": ["text", 3], "b_T": [1, 2]}
    text = json.dumps(whole)
    told = []
    for length in range(len(text) + 1):
        file.write_text(text[:length])
        told += list(reader.read())
    assert told == [(10, {"a": 1.0}), (20, {"a": 2.5}), (2, {"b": 3.0})]
    file.write_text(json.dumps({**whole, "a": [1, 2.5, 4], "a_T": [10, 20, 30]}))
    assert list(reader.read()) == [(30, {"a": 4.0})]


def test_ptfs_file_is_over_episodes(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text(json.dumps({"episode": [5, 10], "reward": [0.5, 1], "loss": [2]}))
    assert list(Ptf(tmp_path).read()) == [(5, {"reward": 0.5}), (10, {"reward": 1.0}), (5, {"loss": 2.0})]


def test_lines_are_read_as_they_come(tmp_path: Path) -> None:
    reader = Lines(tmp_path)
    with open(tmp_path / "metrics.jsonl", "w") as file:
        file.write('{"timestep": 1, "reward": 2}\nrubbish\n[1]\n{"reward": 1}\n{"timest')
        file.flush()
        assert list(reader.read()) == [(1, {"reward": 2.0})]
        file.write('ep": 2, "reward": 3}\n')
        file.flush()
        assert list(reader.read()) == [(2, {"reward": 3.0})]
