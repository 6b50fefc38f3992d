"""A twin: a second environment with a renderer, which shows the state of an instance that has no renderer."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gymserve import environments
from gymserve.environments.foreign import close, failure
from gymserve.hosts.instance.live import LiveInstance
from gymserve.hosts.instance.recorded import with_heartbeat
from gymserve.hosts.instance.rendering import render_pictures
from gymserve.journal import Playback, episodes_of, read
from gymserve.journal.replay import within
from gymserve.journal.snapshots import Snapshot
from gymserve.protocol import errors
from gymserve.protocol.spaces import codec
from gymserve.system import randomness

TWIN_SECONDS = 5.0


def picture(instance: LiveInstance, catalogue: environments.Catalogue) -> np.ndarray:
    """Draws an instance's current state: replays its episode on a twin and renders that.

    Raises:
        Conflict: the environment does not replay identically, or the instance was not reset yet.
    """
    if instance.last_call.time_step is None:
        raise errors.Conflict("reset the instance before it is rendered")
    recorded = instance.recorded
    episodes = episodes_of(read(instance.folder / "journal"))
    with recorded.watched(), randomness.preserved():
        twin = catalogue.make(instance.current_recipe, render_mode="rgb_array")
        try:
            alive = with_heartbeat(recorded, within(TWIN_SECONDS))
            _replay(twin, episodes[-1].moves, recorded.latest_snapshot(episodes), alive)
            return render_pictures(twin, 1 if recorded.batch else None)[0]
        except errors.NotReplayable as error:
            raise errors.Conflict(f"{error}; create the instance with render_mode 'rgb_array' to render it") from error
        finally:
            close(twin)


def _replay(twin: Any, episode: Sequence[Any], snapshot: Snapshot | None, alive: Callable[[], None]) -> None:
    """Replays an episode on a twin; raises the errors of `Playback.run` and `RecordedEnvironment.step`."""
    playback = Playback(twin, codec(twin.observation_space), codec(twin.action_space), alive=alive)
    try:
        playback.run(episode, restore=True, snapshot=snapshot)
    except errors.NotReplayable:
        raise
    except BaseException as error:
        raise failure(error) from error
