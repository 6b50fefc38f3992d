"""How an instance begins, and how one that was lost with its process is rebuilt from what its journal says."""

from pathlib import Path
from typing import Any

import numpy as np

from gymserve import environments, errors
from gymserve.hosts import folders
from gymserve.hosts.graded import Graded
from gymserve.hosts.instance import Instance
from gymserve.hosts.pulse import CALLS, INSTANCE, number
from gymserve.hosts.trials import make, order
from gymserve.journal import records
from gymserve.journal.file import Journal, read
from gymserve.journal.records import Closed, Created, Ended, Monitored, Reset
from gymserve.journal.replay import Playback, current_episode, moves_of, within
from gymserve.journal.snapshots import Leap, leap
from gymserve.settings import Settings
from gymserve.spaces import codec

TWIN_SECONDS = 5.0


def begin(
    token: str,
    folder: Path,
    meta: dict[str, Any],
    catalogue: environments.Catalogue,
    *,
    limit: int,
    pulse: memoryview,
    env: Any = None,
) -> Instance:
    """A new instance, whose journal starts with `meta`; a graded one where `meta` has trials.

    Args:
        limit: the most bytes of its journal.
        env: one that was made for it already.

    Raises:
        InvalidRequest, EnvironmentFailed: the environment cannot be made.
        StorageFull: there is no room for the journal.
    """
    env = env or make(catalogue, order(meta, 0) if "trials" in meta else meta)
    journal = Journal.create(folders.prepare(folder) / "journal", records.encode_created(meta), limit=limit)
    folders.publish(folder)
    journal.path = folder / "journal"
    return _instance(token, folder, meta, catalogue, env=env, journal=journal, pulse=pulse)


def _instance(
    token: str, folder: Path, meta: dict[str, Any], catalogue: environments.Catalogue, ended: Any = (), **parts: Any
) -> Instance:
    if "trials" not in meta:
        return Instance(token, folder, meta=meta, **parts)
    return Graded(token, folder, meta=meta, make=lambda order: make(catalogue, order), ended=ended, **parts)


def revive(
    token: str, folder: Path, catalogue: environments.Catalogue, settings: Settings, pulse: memoryview
) -> Instance:
    """The instance as its journal's last whole record left it.

    An environment that does not replay identically is made afresh instead, and says so until it is reset.

    Raises:
        UnknownInstance: the journal was closed, or holds nothing.
    """
    try:
        journal, kept = Journal.reopen(folder / "journal", limit=settings.JOURNAL_BYTES)
    except ValueError as error:
        raise errors.UnknownInstance(f"Instance_id {token} unknown") from error
    if not isinstance(kept[0], Created) or isinstance(kept[-1], Closed):
        raise errors.UnknownInstance(f"Instance_id {token} unknown")
    meta = kept[0].meta
    moves = moves_of(kept)
    episode = sum(isinstance(move, Reset) for move in moves)
    env = make(catalogue, order(meta, episode - 1) if "trials" in meta else meta)
    ended = [record for record in kept if isinstance(record, Ended)]
    instance = _instance(token, folder, meta, catalogue, ended, env=env, journal=journal, pulse=pulse)
    instance.episode = episode
    monitors = [record for record in kept if isinstance(record, Monitored)]
    instance.monitoring = bool(monitors) and monitors[-1].options is not None
    if moves:
        instance.recall(moves, _replayed(instance, moves, catalogue, settings.REVIVE_SECONDS))
    return instance


def _replayed(
    instance: Instance, moves: list[Any], catalogue: environments.Catalogue, seconds: float
) -> tuple[Any, ...]:
    """What the last call answered; () where the environment does not replay, or takes too long.

    Tries the current episode, first from its last snapshot where there is one, and where that gives something else the
    whole journal: an environment may carry state from one episode to the next.
    """
    episode = current_episode(moves)
    alive = _beating(instance, within(seconds))
    attempts: list[tuple[Any, bool, Leap | None]] = [(episode, True, None)]
    if over := _leap(instance, moves):
        attempts.insert(0, (episode, True, over))
    if len(episode) < len(moves) and "trials" not in instance.meta:
        attempts.append((moves, False, None))
    for attempt, (part, restore, over) in enumerate(attempts):
        if attempt:
            instance.env.close()
            instance.adopt(make(catalogue, instance.order))
        try:
            playback = Playback(instance.env, instance.observations, instance.actions, alive=alive)
            answer = playback.run(part, restore=restore, over=over)
            instance.lost = ""
            return answer
        except errors.NotReplayable as error:
            instance.lost = str(error)
        except Exception as error:
            words = "" if "trials" in instance.meta else f": {error}"
            instance.lost = f"the environment raised {type(error).__name__} when it was replayed{words}"
        finally:
            instance.pulse[INSTANCE] = 0
    instance.adopt(make(catalogue, instance.order))
    return ()


def _leap(instance: Instance, moves: list[Any]) -> Leap | None:
    return leap(instance.folder, moves, current_episode(moves)) if instance.snapshots is not None else None


def _beating(instance: Instance, alive: Any) -> Any:
    """`alive` that also tells the supervisor of each call, so that a hung replay is found."""
    pulse, mine = instance.pulse, instance.number

    def beat() -> None:
        alive()
        pulse[CALLS] += 1
        pulse[INSTANCE] = mine

    return beat


def twin_picture(instance: Instance, catalogue: environments.Catalogue, pulse: memoryview) -> np.ndarray:
    """The current picture of an instance that cannot render: a twin that can is taken through its episode.

    Raises:
        Conflict: the environment does not replay identically, or there is no episode yet.
    """
    if instance.last is None:
        raise errors.Conflict("reset the instance before it is rendered")
    moves = moves_of(list(read(instance.folder / "journal")))
    twin = make(catalogue, instance.order, render_mode="rgb_array")
    pulse[CALLS] += 1
    pulse[INSTANCE] = number(instance.token)
    try:
        Playback(twin, codec(twin.observation_space), codec(twin.action_space), alive=within(TWIN_SECONDS)).run(
            current_episode(moves), restore=True, over=_leap(instance, moves)
        )
        picture = twin.render()
    except errors.NotReplayable as error:
        raise errors.Conflict(f"{error}; create the instance with render_mode 'rgb_array' to render it") from error
    finally:
        pulse[INSTANCE] = 0
        twin.close()
    return np.ascontiguousarray(picture[0] if instance.batch else picture, np.uint8)
