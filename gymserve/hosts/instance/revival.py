"""Creates instances, and revives those whose process was lost from their journals."""

import math
from pathlib import Path
from typing import Any

from gymserve import environments
from gymserve.environments.foreign import close, error_text
from gymserve.hosts import folders
from gymserve.hosts.instance import blame
from gymserve.hosts.instance.graded import GradedEnvironment
from gymserve.hosts.instance.live import LiveInstance
from gymserve.hosts.instance.recorded import RecordedEnvironment, with_heartbeat
from gymserve.hosts.pulse import INSTANCE, number, watched
from gymserve.journal import Closed, Created, Episode, Journal, Monitored, Playback, episodes_of, records
from gymserve.journal.replay import within
from gymserve.journal.snapshots import Snapshot
from gymserve.protocol import errors
from gymserve.protocol.recipe import Recipe


def begin(
    token: str,
    folder: Path,
    recipe: Recipe,
    catalogue: environments.Catalogue,
    *,
    limit: int,
    pulse: memoryview,
    env: Any = None,
) -> LiveInstance:
    """Creates an instance and its journal, which starts with the recipe; a graded instance if the recipe has trials.

    Args:
        limit: the maximum size of the journal in bytes.
        env: an environment that was made ahead of time.

    Raises:
        InvalidRequest, EnvironmentFailed: the environment cannot be made.
        StorageFull: the disk has no room for the journal.
    """
    env = env or catalogue.make(recipe.for_trial(0))
    journal = Journal.create(folders.draft(folder) / "journal", records.encode_created(recipe), limit=limit)
    folders.publish(folder)
    journal.path = folder / "journal"
    return _instance(token, folder, recipe, catalogue, env=env, journal=journal, pulse=pulse)


def _instance(
    token: str, folder: Path, recipe: Recipe, catalogue: environments.Catalogue, history: Any = (), **parts: Any
) -> LiveInstance:
    recorded = RecordedEnvironment(token, folder, recipe=recipe, **parts)
    if not recipe.is_graded:
        return LiveInstance(token, recorded)
    graded = GradedEnvironment(recorded, make=catalogue.make, history=history, blamed=blame.pop(folder))
    return LiveInstance(token, recorded, graded)


def revive(
    token: str, folder: Path, catalogue: environments.Catalogue, *, limit: int, seconds: float, pulse: memoryview
) -> LiveInstance:
    """Revives an instance in the state after the last complete record of its journal.

    If the environment does not replay identically, the instance gets a fresh one and refuses steps until it is reset.

    Args:
        limit: the maximum size of the journal in bytes.
        seconds: time limit for the replay.

    Raises:
        UnknownInstance: the instance was closed, or its journal has no recipe.
    """
    try:
        journal, history = Journal.reopen(folder / "journal", limit=limit)
    except ValueError as error:
        raise errors.UnknownInstance(f"Instance_id {token} unknown") from error
    if not isinstance(history[0], Created) or isinstance(history[-1], Closed):
        raise errors.UnknownInstance(f"Instance_id {token} unknown")
    recipe = history[0].recipe
    episodes = episodes_of(history)
    with watched(pulse, number(token)):
        env = catalogue.make(recipe.for_trial(len(episodes) - 1))
        instance = _instance(token, folder, recipe, catalogue, history, env=env, journal=journal, pulse=pulse)
    instance.recorded.episode = len(episodes)
    monitors = [record for record in history if isinstance(record, Monitored)]
    instance.monitoring = bool(monitors) and monitors[-1].options is not None
    if episodes:
        # A graded trial may replay for any time: no other instance waits for its host, and callers are told to retry.
        seconds = math.inf if recipe.is_graded else seconds
        instance.restore(episodes, _replay(instance, episodes, catalogue, seconds))
    return instance


def _replay(
    instance: LiveInstance, episodes: list[Episode], catalogue: environments.Catalogue, seconds: float
) -> tuple[object, ...]:
    """Replays the journal and returns the answer of its last call, or () if it does not replay or takes too long.

    Tries the current episode from its last snapshot, then the whole episode, and then the whole journal, because an
    environment may carry state from one episode to the next.
    """
    episode = episodes[-1].moves
    recorded = instance.recorded
    alive = with_heartbeat(recorded, within(seconds))
    attempts: list[tuple[Any, bool, Snapshot | None]] = [(episode, True, None)]
    if snapshot := recorded.latest_snapshot(episodes):
        attempts.insert(0, (episode, True, snapshot))
    if len(episodes) > 1 and not instance.recipe.is_graded:
        attempts.append(([move for each in episodes for move in each.moves], False, None))
    for attempt, (part, restore, snapshot) in enumerate(attempts):
        if attempt:
            _replace_environment(instance, catalogue)
        try:
            playback = Playback(recorded.env, recorded.observations, recorded.actions, alive=alive)
            answer = playback.run(part, restore=restore, snapshot=snapshot)
            recorded.lost = ""
            return answer
        except errors.NotReplayable as error:
            recorded.lost = str(error)
        except BaseException as error:
            cause = type(error).__name__ if instance.recipe.is_graded else error_text(error)
            recorded.lost = f"the environment raised {cause} when it was replayed"
        finally:
            recorded.pulse[INSTANCE] = 0
    _replace_environment(instance, catalogue)
    return ()


def _replace_environment(instance: LiveInstance, catalogue: environments.Catalogue) -> None:
    """Closes an instance's environment and makes a fresh one."""
    recorded = instance.recorded
    with recorded.watched():
        close(recorded.env)
        recorded.use_environment(catalogue.make(instance.current_recipe))
