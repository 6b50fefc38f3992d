"""Episodes: a journal's parts, each of which can be replayed on an environment of its own."""

import zipfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gymserve.environments import Catalogue
from gymserve.errors import EnvironmentFailed, GymserveError, InvalidRequest, NotReplayable
from gymserve.hosts import trials
from gymserve.journal import Created, Playback, Record, Reset, Step
from gymserve.journal.file import scan
from gymserve.spaces import codec


@dataclass(frozen=True)
class Episode:
    """From a reset to the record before the next one.

    Args:
        number: in its journal, from 1.
        place: of the reset among the journal's records, from 0.
        order: how its environment is made, see `hosts.trials.make`.
    """

    number: int
    place: int
    reset: Reset
    steps: list[Step]
    order: dict[str, Any]

    @property
    def is_over(self) -> bool:
        """Whether its last step ended it."""
        return bool(self.steps) and bool(self.steps[-1].terminated or self.steps[-1].truncated)

    @property
    def total(self) -> float:
        """Its return."""
        return float(sum(step.reward for step in self.steps))


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
    """The records of a journal, of an instance's folder or of a submission's bundle.

    Raises:
        InvalidRequest: the file is none of these.
    """
    file = path / "journal" if path.is_dir() else path
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as bundle:
                data = bundle.read("journal")
        else:
            data = file.read_bytes()
        records = [record for record, _, _ in scan(data, path.name)]
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InvalidRequest(f"{path} is no journal and no bundle with one") from error
    if not records or not isinstance(records[0], Created):
        raise InvalidRequest(f"{path} holds no whole record")
    return records


def meta_of(records: Sequence[Record]) -> dict[str, Any]:
    """How the journal's instance was made.

    Raises:
        InvalidRequest: the journal is that of a vector instance, whose episodes overlap.
    """
    first = records[0]
    assert isinstance(first, Created)
    if first.meta.get("num_envs", 1) != 1:
        raise InvalidRequest(f"a vector instance ({first.meta['num_envs']} environments) has no episodes one by one")
    return first.meta


def episodes_of(records: Sequence[Record]) -> list[Episode]:
    """The episodes in order; of a graded instance its trials.

    Raises:
        InvalidRequest: see `meta_of`.
    """
    meta = meta_of(records)
    found: list[Episode] = []
    for place, record in enumerate(records):
        if isinstance(record, Reset):
            order = trials.order(meta, len(found)) if "trials" in meta else meta
            found.append(Episode(len(found) + 1, place, record, [], order))
        elif isinstance(record, Step) and found:
            found[-1].steps.append(record)
    return found


def made(episode: Episode, catalogue: Catalogue, *, render: bool) -> Any:
    """A fresh environment for the episode.

    Raises:
        InvalidRequest: it makes no pictures, and `render` asks for them.
        UnknownEnvironment, EnvironmentFailed: it cannot be made here.
    """
    order = episode.order | {"render_mode": None}
    if not render:
        return trials.make(catalogue, order)
    try:
        return trials.make(catalogue, order, render_mode="rgb_array")
    except GymserveError:
        plain = trials.make(catalogue, order)  # or says why there is none at all
        modes = plain.metadata.get("render_modes", [])
        plain.close()
        if "rgb_array" not in modes:
            raise InvalidRequest(f"{order['environment']} makes no pictures") from None
        raise


def moments(env: Any, episode: Episode, *, alive: Callable[[], None] = lambda: None) -> Generator[Moment, None, None]:
    """Replays the episode on a fresh environment; goes on where something else comes out, and says so.

    Args:
        alive: called before each call; may raise to end the replay.

    Raises:
        EnvironmentFailed: the environment raised an error; its own words, which may tell a seed, are not repeated.
    """
    playback = Playback(env, codec(env.observation_space), codec(env.action_space), alive=alive)
    calls: list[Reset | Step] = [episode.reset, *episode.steps]
    total, agrees = 0.0, True
    for step, record in enumerate(calls):
        try:
            answer = playback.play(record, restore=step == 0)
            agrees = agrees and playback.agrees(record, answer)
        except NotReplayable:
            raise
        except (Exception, SystemExit) as error:
            name = type(error).__name__
            raise EnvironmentFailed(
                f"the environment raised {name} at step {step} of episode {episode.number}"
            ) from error
        if isinstance(record, Step):
            total += record.reward
        yield Moment(step, answer[0], total, agrees)
