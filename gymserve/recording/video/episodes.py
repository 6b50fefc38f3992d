"""Replays a journal's episodes, each on an environment of its own."""

import zipfile
from collections.abc import Callable, Generator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from gymserve.environments import Catalogue
from gymserve.environments.foreign import close, one_line, pass_on_interrupt
from gymserve.journal import Episode, Playback, Record, Step, recipe_of
from gymserve.journal.file import scan
from gymserve.protocol.errors import EnvironmentFailed, GymserveError, InvalidRequest, NotReplayable
from gymserve.protocol.spaces import codec


class Moment(NamedTuple):
    """What one call of a replay gave.

    Args:
        step: 0 for the reset.
        total: the return so far, as it was recorded.
        agrees: whether this and all before came out as recorded.
    """

    step: int
    observation: Any
    total: float
    agrees: bool


def records_of(path: Path) -> list[Record]:
    """The records of a journal, of an instance's folder or of a submission's bundle, whose episodes can be replayed.

    Raises:
        InvalidRequest: the file is none of these, or the journal that of a vector instance, whose episodes overlap.
    """
    file = path / "journal" if path.is_dir() else path
    try:
        data = _from_bundle(file) if zipfile.is_zipfile(file) else file.read_bytes()
        copies = recipe_of([record for record, _, _ in islice(scan(data, path.name), 1)]).copies
        if not copies:
            return [record for record, _, _ in scan(data, path.name)]
    except ValueError as error:
        raise InvalidRequest(f"{path} is no journal and no bundle with one: {one_line(str(error))}") from error
    raise InvalidRequest(f"a vector instance ({copies} copies) has no episodes one by one")


def _from_bundle(file: Path) -> bytes:
    """The journal in a bundle.

    Raises:
        ValueError: there is none, or the archive is none of ours, which are not compressed.
    """
    try:
        with zipfile.ZipFile(file) as bundle:
            member = bundle.getinfo("journal")
            if member.compress_type == zipfile.ZIP_STORED:
                return bundle.read(member)
    except Exception as error:  # the library raises whatever it stumbles over
        raise ValueError(f"the archive is damaged: {error}") from error
    raise ValueError("its journal is compressed")


def made(episode: Episode, catalogue: Catalogue, *, render: bool) -> Any:
    """A fresh environment for the episode.

    Raises:
        InvalidRequest: it makes no pictures, and `render` asks for them.
        UnknownEnvironment, EnvironmentFailed: it cannot be made here.
    """
    recipe = episode.recipe.replace(render_mode=None)
    if not render:
        return catalogue.make(recipe)
    try:
        return catalogue.make(recipe, render_mode="rgb_array")
    except GymserveError:
        plain = catalogue.make(recipe)  # or says why there is none at all
        modes = plain.metadata.get("render_modes", [])
        close(plain)
        if "rgb_array" not in modes:
            raise InvalidRequest(f"{recipe.environment} makes no pictures") from None
        raise


def moments(env: Any, episode: Episode, *, alive: Callable[[], None] = lambda: None) -> Generator[Moment, None, None]:
    """Replays the episode on a fresh environment; goes on where something else comes out, and says so.

    Args:
        alive: called before each call; may raise to end the replay.

    Raises:
        EnvironmentFailed: the environment raised an error; its own words, which may tell a seed, are not repeated.
    """
    playback = Playback(env, codec(env.observation_space), codec(env.action_space), alive=alive)
    total, agrees = 0.0, True
    for step, record in enumerate(episode.moves):
        try:
            answer = playback.play(record, restore=step == 0)
            agrees = agrees and playback.agrees(record, answer)
        except NotReplayable:
            raise
        except BaseException as error:
            pass_on_interrupt(error)
            name = type(error).__name__
            raise EnvironmentFailed(
                f"the environment raised {name} at step {step} of episode {episode.number}"
            ) from error
        if isinstance(record, Step):
            total += record.reward
        yield Moment(step, answer[0], total, agrees)
