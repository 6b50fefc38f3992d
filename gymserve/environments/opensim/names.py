"""The page that names every entry of every observation: `docs/environments/opensim-observations.md`."""

from collections.abc import Iterator, Sequence

from gymserve.environments.opensim.arm import Arm2D
from gymserve.environments.opensim.learn_to_move import LearnToMove
from gymserve.environments.opensim.learning_to_run import LearningToRun
from gymserve.environments.opensim.prosthetics import Prosthetics

HEAD = """\
# Entries of the OpenSim observations

Written by `python -m gymserve.environments.opensim names`; what the names mean is in [opensim.md](opensim.md).
"""


def page() -> str:
    """The page in Markdown.

    Raises:
        ModelsMissing: the models have not been fetched.
    """
    sections = {
        "osim/Arm2D-v0": Arm2D.observation_names,
        "osim/L2M2019-v0": LearnToMove.observation_names,
        "osim/Prosthetics-v0": Prosthetics().observation_names,
        "osim/Prosthetics-v0 with prosthetic=False": Prosthetics(prosthetic=False).observation_names,
        "osim/Run-v0": LearningToRun.observation_names,
    }
    return HEAD + "".join(f"\n## {title}\n\n{_table(names)}" for title, names in sections.items())


def _table(names: Sequence[str]) -> str:
    rows = "".join(f"| {index} | {name} |\n" for index, name in _rows(names))
    return f"| entry | name |\n|---|---|\n{rows}"


def _rows(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(entry, name); the entries of a field of two dimensions or more are one row."""
    fields = [name for name in names if _is_field(name)]
    if fields:
        what = fields[0].partition(" ")[0]
        yield f"0–{len(fields) - 1}", f"{what} [component][ahead][left], the last index runs first"
    for index, name in enumerate(names):
        if not _is_field(name):
            yield str(index), name


def _is_field(name: str) -> bool:
    return sum(word.isdigit() for word in name.split()) > 1
