"""The example challenges that ship with the program."""

from pathlib import Path

from gymserve.environments import Catalogue
from gymserve.grader.challenges.fields import InvalidChallenge
from gymserve.protocol.errors import UnknownEnvironment

FOLDER = Path(__file__).parent / "example_challenges"  # a link to examples/challenges/


def names() -> list[str]:
    """The names of all examples."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def path_of(name: str | Path) -> Path:
    """The path of the example with this name, or of the file.

    Raises:
        InvalidChallenge: it is neither.
    """
    if str(name) in names():
        return FOLDER / f"{name}.toml"
    if not Path(name).is_file():
        raise InvalidChallenge(f"{name} is neither a file nor an example; the examples are {', '.join(names())}")
    return Path(name)


def missing(catalogue: Catalogue, environment: str) -> str:
    """Why an example's environment cannot be created here and how to install it, or ""."""
    try:
        catalogue.resolve(environment)
    except UnknownEnvironment as error:
        return str(error)
    return ""
