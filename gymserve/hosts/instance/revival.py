"""How an instance begins, and how one that was lost with its process is rebuilt from what its journal says."""

import math
from pathlib import Path
from typing import Any

from gymserve import environments
from gymserve.environments.foreign import close, error_text
from gymserve.hosts import folders
from gymserve.hosts.instance import blame
from gymserve.hosts.instance.graded import Graded
from gymserve.hosts.instance.live import Instance
from gymserve.hosts.instance.recorded import Recorded, beating
from gymserve.hosts.pulse import INSTANCE, number, watched
from gymserve.journal import Closed, Created, Episode, Journal, Monitored, Playback, episodes_of, records
from gymserve.journal.replay import within
from gymserve.journal.snapshots import Leap
from gymserve.protocol import errors
from gymserve.protocol.recipe import Recipe
from gymserve.settings import Settings


def begin(
    token: str,
    folder: Path,
    recipe: Recipe,
    catalogue: environments.Catalogue,
    *,
    limit: int,
    pulse: memoryview,
    env: Any = None,
) -> Instance:
    """A new instance, whose journal starts with its recipe; a graded one where that has trials.

    Args:
        limit: the most bytes of its journal.
        env: one that was made for it already.

    Raises:
        InvalidRequest, EnvironmentFailed: the environment cannot be made.
        StorageFull: there is no room for the journal.
    """
    env = env or catalogue.make(recipe.for_trial(0))
    journal = Journal.create(folders.prepare(folder) / "journal", records.encode_created(recipe), limit=limit)
    folders.publish(folder)
    journal.path = folder / "journal"
    return _instance(token, folder, recipe, catalogue, env=env, journal=journal, pulse=pulse)


def _instance(
    token: str, folder: Path, recipe: Recipe, catalogue: environments.Catalogue, kept: Any = (), **parts: Any
) -> Instance:
    recorded = Recorded(token, folder, recipe=recipe, **parts)
    if not recipe.is_graded:
        return Instance(token, recorded)
    return Instance(token, recorded, Graded(recorded, make=catalogue.make, kept=kept, blamed=blame.taken(folder)))


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
    recipe = kept[0].recipe
    episodes = episodes_of(kept)
    with watched(pulse, number(token)):
        env = catalogue.make(recipe.for_trial(len(episodes) - 1))
        instance = _instance(token, folder, recipe, catalogue, kept, env=env, journal=journal, pulse=pulse)
    instance.recorded.episode = len(episodes)
    monitors = [record for record in kept if isinstance(record, Monitored)]
    instance.monitoring = bool(monitors) and monitors[-1].options is not None
    if episodes:
        # A graded trial is not lost for being long: it has its host for itself, and who waits is told to ask again.
        seconds = math.inf if recipe.is_graded else settings.REVIVE_SECONDS
        instance.recall(episodes, _replayed(instance, episodes, catalogue, seconds))
    return instance


def _replayed(
    instance: Instance, episodes: list[Episode], catalogue: environments.Catalogue, seconds: float
) -> tuple[Any, ...]:
    """What the last call answered; () where the environment does not replay, or takes too long.

    Tries the current episode, first from its last snapshot where there is one, and where that gives something else the
    whole journal: an environment may carry state from one episode to the next.
    """
    episode = episodes[-1].moves
    recorded = instance.recorded
    alive = beating(recorded, within(seconds))
    attempts: list[tuple[Any, bool, Leap | None]] = [(episode, True, None)]
    if over := recorded.leap(episodes):
        attempts.insert(0, (episode, True, over))
    if len(episodes) > 1 and not instance.recipe.is_graded:
        attempts.append(([move for each in episodes for move in each.moves], False, None))
    for attempt, (part, restore, over) in enumerate(attempts):
        if attempt:
            _renew(instance, catalogue)
        try:
            playback = Playback(recorded.env, recorded.observations, recorded.actions, alive=alive)
            answer = playback.run(part, restore=restore, over=over)
            recorded.lost = ""
            return answer
        except errors.NotReplayable as error:
            recorded.lost = str(error)
        except BaseException as error:
            told = type(error).__name__ if instance.recipe.is_graded else error_text(error)
            recorded.lost = f"the environment raised {told} when it was replayed"
        finally:
            recorded.pulse[INSTANCE] = 0
    _renew(instance, catalogue)
    return ()


def _renew(instance: Instance, catalogue: environments.Catalogue) -> None:
    """A fresh environment instead of the one that it has."""
    recorded = instance.recorded
    with recorded.watched():
        close(recorded.env)
        recorded.adopt(catalogue.make(instance.current_recipe))
