"""Replays a journal's episodes, each in an environment of its own."""

import zipfile
from collections.abc import Callable, Generator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from gymserve.environments import Catalogue
from gymserve.environments.foreign import close, one_line, pass_on_interrupt
from gymserve.journal import Episode, Playback, Record, Step, recipe_of
from gymserve.journal.file import scan
from gymserve.protocol.errors import EnvironmentFailed, GymserveError, InvalidRequest, NotReplayable
from gymserve.protocol.generics import ForeignEnv, Value
from gymserve.protocol.spaces import codec


class ReplayedStep(NamedTuple):
    """The result of one replayed step, or of the reset.

    Args:
        number: 0 for the reset.
        total: the return so far, as recorded.
        agrees: whether this result and all earlier ones equal the recorded ones.
    """

    number: int
    observation: Value
    total: float
    agrees: bool


def records_of(path: Path) -> list[Record]:
    """Reads the records of a journal, given its file, the folder of its instance, or a submission's bundle.

    Raises:
        InvalidRequest: the file is not a journal or a bundle, or the instance was a vector instance, whose episodes overlap.
    """
    file = path / "journal" if path.is_dir() else path
    try:
        data = _from_bundle(file) if zipfile.is_zipfile(file) else file.read_bytes()
        copies = recipe_of([record for record, _, _ in islice(scan(data, path.name), 1)]).copies
        if not copies:
            return [record for record, _, _ in scan(data, path.name)]
    except ValueError as error:
        raise InvalidRequest(f"{path} is not a journal, nor a bundle with one: {one_line(str(error))}") from error
    raise InvalidRequest(f"a vector instance ({copies} copies) has no episodes one by one")


def _from_bundle(file: Path) -> bytes:
    """Reads the journal in a bundle.

    Raises:
        ValueError: the archive has no journal, or compresses it, which our bundles never do.
    """
    try:
        with zipfile.ZipFile(file) as bundle:
            member = bundle.getinfo("journal")
            if member.compress_type == zipfile.ZIP_STORED:
                return bundle.read(member)
    except Exception as error:  # zipfile raises errors of many kinds for damaged archives
        raise ValueError(f"the archive is damaged: {error}") from error
    raise ValueError("its journal is compressed")


def make_environment(episode: Episode, catalogue: Catalogue, *, render: bool) -> ForeignEnv:
    """Makes a fresh environment for the episode; with `render`, one that renders RGB arrays.

    Raises:
        InvalidRequest: the environment cannot render RGB arrays.
        UnknownEnvironment, EnvironmentFailed: the environment cannot be made here.
    """
    recipe = episode.recipe.replace(render_mode=None)
    if not render:
        return catalogue.make(recipe)
    try:
        return catalogue.make(recipe, render_mode="rgb_array")
    except GymserveError:
        plain = catalogue.make(recipe)  # raises if the environment cannot be made at all
        modes = plain.metadata.get("render_modes", [])
        close(plain)
        if "rgb_array" not in modes:
            raise InvalidRequest(f"{recipe.environment} makes no pictures") from None
        raise


def replay(
    env: ForeignEnv, episode: Episode, *, alive: Callable[[], None] = lambda: None
) -> Generator[ReplayedStep, None, None]:
    """Replays the episode in a fresh environment; if a result differs from the recorded one, marks it and continues.

    Args:
        alive: called before each call of the environment; may raise to end the replay.

    Raises:
        EnvironmentFailed: the environment raised an error; its message is left out, since it may contain a seed.
    """
    playback = Playback(env, codec(env.observation_space), codec(env.action_space), alive=alive)
    total, agrees = 0.0, True
    for number, record in enumerate(episode.moves):
        try:
            answer = playback.play(record, restore=number == 0)
            agrees = agrees and playback.agrees(record, answer)
        except NotReplayable:
            raise
        except BaseException as error:
            pass_on_interrupt(error)
            name = type(error).__name__
            raise EnvironmentFailed(
                f"the environment raised {name} at step {number} of episode {episode.number}"
            ) from error
        if isinstance(record, Step):
            total += record.reward
        yield ReplayedStep(number, answer[0], total, agrees)
