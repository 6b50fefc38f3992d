"""Definitions of programs, and the readers of their metrics."""

import json
from pathlib import Path
from typing import Any

import pytest

from gymserve.protocol.errors import SettingsError, Untrainable
from gymserve.training.plan import programs
from gymserve.training.runners.readers import JsonLines, Ptf, Sacred, parse_partial

WHERE = {"interpreter": "/opt/python", "directory": "/opt/program"}


def test_the_commands_of_the_known_programs() -> None:
    known = programs.read(dict.fromkeys(("pymarl", "epymarl", "ptf"), WHERE))
    pymarl = known["pymarl"]
    values = pymarl.check({"algo_name": "qmix", "map_name": "3s5z"})
    assert pymarl.command(values, 7) == [
        "/opt/python", "src/main.py", "--config=qmix", "--env-config=sc2", "-b", "0.5", "with", "env_args.map_name=3s5z",
        "seed=7",
    ]  # fmt: skip
    epymarl = known["epymarl"]
    values = epymarl.check({"algo_name": "iql", "map_name": "lbforaging:Foraging-5x5-2p-1f-v3", "t_max": 2000})
    assert epymarl.command(values, 1)[5:] == [
        "env_args.key=lbforaging:Foraging-5x5-2p-1f-v3", "env_args.time_limit=50", "t_max=2000", "seed=1",
    ]  # fmt: skip
    with pytest.raises(Untrainable, match="map_name"):
        epymarl.check({"algo_name": "iql", "map_name": "os:path"})
    values = known["ptf"].check({"algo_name": "a3c", "env_name": "grid", "episodes": 5})
    policies = ",".join(f"source_policies/grid/{each}/{each}" for each in (81, 459, 65, 295))
    grid = [
        "/opt/python", "main.py", "-a", "ptf_a3c", "-c", "ptf_a3c_conf", "-g", "grid", "-d", "grid_conf", "-n", "5",
        "-e", "99", "-s", "2", "-o", "adam", "save_per_episodes=50", "task=324", f"option_model_path=[{policies}]",
    ]  # fmt: skip
    assert known["ptf"].command(values, 2) == grid
    assert known["ptf"].command({"algo_name": "a3c", "episodes": "5"}, 2) == grid  # as stored by older versions
    pinball = known["ptf"].command(known["ptf"].check({"algo_name": "ppo", "env_name": "pinball"}), 1)
    assert pinball[10:14] == ["-n", "20000", "-e", "499"]
    options = dict(each.split("=") for each in pinball[18:])
    assert options["option_model_path"].startswith("[source_policies/a3c/0.90.9/model,") and "task" not in options
    assert (options["source_policy"], options["configuration"]) == ("a3c", "game/pinball_hard_single.cfg")
    with pytest.raises(Untrainable, match="no parameter"):  # the program evaluates it as code
        known["ptf"].check({"policies": "[__import__('os')]"})


def test_a_custom_program() -> None:
    own = {**WHERE, "arguments": ["train.py", "--rate={rate}", "{seed}"], "parameters": {"rate": r"0\.\d+"}}
    program = programs.read({"mine": own})["mine"]
    assert program.command(program.check({"rate": 0.5}), 3) == ["/opt/python", "train.py", "--rate=0.5", "3"]
    assert program.command(program.check({}), 3) == ["/opt/python", "train.py", "3"]
    wrong_parameters: tuple[object, ...] = ({"rate": "1"}, {"rate": "0.5 "}, {"rate": True}, {"rats": 1}, [])
    for wrong in wrong_parameters:
        with pytest.raises(Untrainable):
            program.check(wrong)


@pytest.mark.parametrize(
    ("definition", "message"),
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
def test_an_invalid_definition_is_reported_at_start(definition: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        programs.read(definition)


def test_sacreds_file_is_read_wherever_it_is_truncated(tmp_path: Path) -> None:
    reader, file = Sacred(tmp_path), tmp_path / "run" / "info.json"
    assert list(reader.read()) == []
    file.parent.mkdir()
    whole = {"a": [1, {"py/object": "numpy.float64", "value": 2.5}], "a_T": [10, 20], "b": ["text", 3], "b_T": [1, 2]}
    text = json.dumps(whole)
    lines = []
    for length in range(len(text) + 1):
        file.write_text(text[:length])
        lines += list(reader.read())
    assert lines == [(10, {"a": 1.0}), (20, {"a": 2.5}), (2, {"b": 3.0})]
    file.write_text(json.dumps({**whole, "a": [1, 2.5, 4], "a_T": [10, 20, 30]}))
    assert list(reader.read()) == [(30, {"a": 4.0})]


def test_ptfs_timesteps_are_episodes(tmp_path: Path) -> None:
    """As the real program writes it, in its own folder."""
    file = tmp_path / "ptf_a3c_grid" / "2026-11-28_17-35-02" / "output" / "out.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"win": ["False", "True"], "step": [99, 42], "reward_mean": [0.0, 2.5], "episode": [0, 1]}')
    assert list(Ptf(tmp_path).read()) == [
        (0, {"win": 0.0}), (1, {"win": 1.0}), (0, {"step": 99.0}), (1, {"step": 42.0}),
        (0, {"reward_mean": 0.0}), (1, {"reward_mean": 2.5}), (0, {"episode": 0.0}), (1, {"episode": 1.0}),
    ]  # fmt: skip


def test_sacred_reads_tensors_pickled_by_current_torch(tmp_path: Path) -> None:
    """The gradient norm is a tensor pickled by jsonpickle, recorded with torch 2 and jsonpickle 4."""
    (tmp_path / "info.json").write_bytes((Path(__file__).parent / "pymarl_info.json").read_bytes())
    assert list(Sacred(tmp_path).read()) == [
        (10, {"loss": 0.5}), (20, {"loss": 0.25}), (10, {"grad_norm": 1.5}), (20, {"grad_norm": 2.25}),
        (10, {"double": 0.125}),
    ]  # fmt: skip


@pytest.mark.parametrize("episodes_first", [True, False])
def test_ptfs_file_is_read_wherever_it_is_truncated(tmp_path: Path, episodes_first: bool) -> None:
    reader, file = Ptf(tmp_path), tmp_path / "out.json"
    series = [("episode", [5, 10]), ("reward", [0.5, 12.25])]
    text = json.dumps(dict(series if episodes_first else series[::-1]))
    lines = []
    for length in range(len(text) + 1):
        file.write_text(text[:length])
        lines += list(reader.read())
    of_reward = [each for each in lines if "reward" in each[1]]
    assert of_reward == [(5, {"reward": 0.5}), (10, {"reward": 12.25})]
    assert [each for each in lines if "episode" in each[1]] == [(5, {"episode": 5.0}), (10, {"episode": 10.0})]


SACRED = {
    "a": [1.5, {"py/object": "numpy.float64", "value": 2.5}, 12.25], "a_T": [10, 20, 30],
    "näme [{\\\",": [3, -4e-3], "näme [{\\\",_T": [1, 2], "text": ["x]}", "y"],
}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_program_stopped_at_any_byte_loses_only_what_it_had_not_written(
    tmp_path: Path, indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps(SACRED, indent=indent, ensure_ascii=ascii_only).encode()
    file = tmp_path / "info.json"
    file.write_bytes(data)
    known, most = list(Sacred(tmp_path).read()), 0
    assert len(known) == 5
    for length in range(len(data)):
        file.write_bytes(data[:length])
        lines = list(Sacred(tmp_path).read())
        assert lines == known[: len(lines)] and len(lines) >= most  # never a truncated value
        most = len(lines)
    assert most >= 4  # values are read before the file is complete


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[",
        "]",
        "}",
        "nonsense",
        '{"a": [',
        "[" * 100_000,
        '{"a": [1, 2], "a_T": 3}',
        "\0\0\0",
        '{"a": "',
        '{"a": "\\',
    ],
)
def test_files_without_series_are_ignored(tmp_path: Path, text: str) -> None:
    for reader, name in ((Sacred, "info.json"), (Ptf, "out.json"), (JsonLines, "metrics.jsonl")):
        (tmp_path / name).write_text(text)
        assert [line for line in reader(tmp_path).read() if "a" not in line[1]] == []
    (tmp_path / "info.json").write_bytes(b"\xff\xfe{")
    assert list(Sacred(tmp_path).read()) == []


def test_invalid_timesteps_are_left_out(tmp_path: Path) -> None:
    huge = "1" + "0" * 400
    (tmp_path / "info.json").write_text(f'{{"a": [1, 2, 3, 4], "a_T": [NaN, Infinity, {huge}, 7]}}')
    assert list(Sacred(tmp_path).read()) == [(7, {"a": 4.0})]
    (tmp_path / "metrics.jsonl").write_text(
        f'{{"timestep": NaN, "a": 1}}\n{{"timestep": {huge}, "a": 1}}\n{{"timestep": 7, "a": {huge}, "b": 2}}\n'
    )
    assert list(JsonLines(tmp_path).read()) == [(7, {"b": 2.0})]


def test_the_complete_part_of_a_truncated_file() -> None:
    assert parse_partial('{"a": [1, 2]}') == ({"a": [1, 2]}, True)
    assert parse_partial('{"a": [1, 2]') == ({"a": [1, 2]}, False)
    assert parse_partial('{"a": [') == ({"a": []}, False)
    assert parse_partial('{"a": [1, 23') == ({"a": [1]}, False)
    assert parse_partial('{"a": [1, {"b": [2, 3], "c": ') == ({"a": [1]}, False)
    assert parse_partial('{"a": 1, "b": "tex') == ({"a": 1}, False)


def test_truncated_lines_are_read_once_they_are_complete(tmp_path: Path) -> None:
    data = b'{"timestep": 1, "reward": 2.5}\n{"timestep": 2, "reward": 3}\n'
    for last in (data, data[:-1]):  # also if the program was stopped before its last newline
        reader, file, lines = JsonLines(tmp_path), tmp_path / "metrics.jsonl", []
        for length in range(len(last) + 1):
            file.write_bytes(last[:length])
            lines += list(reader.read())
        assert lines == [(1, {"reward": 2.5}), (2, {"reward": 3.0})]


def test_lines_are_read_as_they_come(tmp_path: Path) -> None:
    reader = JsonLines(tmp_path)
    with open(tmp_path / "metrics.jsonl", "w") as file:
        file.write('{"timestep": 1, "reward": 2}\nrubbish\n[1]\n{"reward": 1}\n{"timest')
        file.flush()
        assert list(reader.read()) == [(1, {"reward": 2.0})]
        file.write('ep": 2, "reward": 3}\n')
        file.flush()
        assert list(reader.read()) == [(2, {"reward": 3.0})]
