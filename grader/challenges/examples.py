"""The example challenges that ship with the program, by their names."""

from pathlib import Path

from gymserve.environments import Catalogue
from gymserve.protocol.errors import UnknownEnvironment

FOLDER = Path(__file__).parent / "example_challenges"  # leads to examples/challenges/


def names() -> list[str]:
    """All of them."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def path_of(name: str | Path) -> Path:
    """Where the example of this name is; anything else is a path already."""
    return FOLDER / f"{name}.toml" if str(name) in names() else Path(name)


def missing(catalogue: Catalogue, environment: str) -> str:
    """What is missing here to make an example's environment, and how it is brought; "": nothing."""
    try:
        catalogue.resolve(environment)
    except UnknownEnvironment as error:
        return str(error)
    return ""
