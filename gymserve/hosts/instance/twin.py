"""A twin: a second environment, with a renderer, that shows the current state of an instance which has none."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gymserve import environments
from gymserve.environments.foreign import close, failure
from gymserve.hosts.instance.live import Instance
from gymserve.hosts.instance.recorded import beating
from gymserve.hosts.instance.rendering import pictures
from gymserve.journal import Playback, episodes_of, read
from gymserve.journal.replay import within
from gymserve.journal.snapshots import Leap
from gymserve.protocol import errors
from gymserve.protocol.spaces import codec
from gymserve.system import randomness

TWIN_SECONDS = 5.0


def picture(instance: Instance, catalogue: environments.Catalogue) -> np.ndarray:
    """The current picture of an instance: a twin that can render is taken through its episode.

    Raises:
        Conflict: the environment does not replay identically, or there is no episode yet.
    """
    if instance.last_call.time_step is None:
        raise errors.Conflict("reset the instance before it is rendered")
    recorded = instance.recorded
    episodes = episodes_of(read(instance.folder / "journal"))
    with recorded.watched(), randomness.kept():
        twin = catalogue.make(instance.current_recipe, render_mode="rgb_array")
        try:
            _follow(twin, episodes[-1].moves, recorded.leap(episodes), beating(recorded, within(TWIN_SECONDS)))
            return pictures(twin, 1 if recorded.batch else None)[0]
        except errors.NotReplayable as error:
            raise errors.Conflict(f"{error}; create the instance with render_mode 'rgb_array' to render it") from error
        finally:
            close(twin)


def _follow(twin: Any, episode: Sequence[Any], over: Leap | None, alive: Callable[[], None]) -> None:
    """Takes a twin to where the episode is; raises what `Playback.run` and `Recorded.step` raise."""
    playback = Playback(twin, codec(twin.observation_space), codec(twin.action_space), alive=alive)
    try:
        playback.run(episode, restore=True, over=over)
    except errors.NotReplayable:
        raise
    except BaseException as error:
        raise failure(error) from error
