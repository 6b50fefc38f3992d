"""Streams of images that a browser shows in an `<img>`: `multipart/x-mixed-replace`."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator

from flask import Response

from gymserve.protocol import errors
from gymserve.store.models import Experiment
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.stored import plan_of
from gymserve.training.runners.folder import Folder
from gymserve.training.sessions import driving
from gymserve.training.sessions.driving import Drive
from gymserve.web.http.concurrency import ConcurrencyLimit

MIXED = "multipart/x-mixed-replace"
BOUNDARY = b"--frame"
VIEWERS = ConcurrencyLimit(8, each=3)  # each occupies one of the worker's threads, and a tenth of a core
POLL_SECONDS = 0.5
STREAM_SECONDS = 3600.0  # then a viewer has to reconnect


@contextlib.contextmanager
def viewer(account: int) -> Iterator[Callable[[], None]]:
    """Count a viewer, and yield the function that ends it, for `answer` to call when the stream ends or breaks.

    Raises:
        LimitReached: there are too many viewers.
    """
    leave = VIEWERS.enter(account)
    try:
        yield leave
    except BaseException:
        leave()
        raise


def answer(pictures: Iterable[bytes], leave: Callable[[], None]) -> Response:
    """Respond with a stream of images; `leave` is called when it ends."""
    response = Response(_parts(pictures), content_type=f"{MIXED}; boundary=frame")
    response.call_on_close(leave)
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _parts(pictures: Iterable[bytes]) -> Iterator[bytes]:
    deadline = time.monotonic() + STREAM_SECONDS
    for picture in pictures:
        head = f"\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
        yield BOUNDARY + head.encode() + picture + b"\r\n"
        if time.monotonic() > deadline:
            break
    yield BOUNDARY + b"--\r\n"


def of_training(folder: Folder, row: Experiment, again: Callable[[Experiment], Experiment]) -> Iterator[bytes]:
    """Yield the images of a training's latest episodes, at `car_speed` steps per second, until it ends.

    Args:
        folder: the experiment's folder.
        again: returns the experiment's current row; see `Experiments.again`.
    """
    kwargs = plan_of(row).env_kwargs
    track, pause = kwargs["track"], 1.0 / kwargs["car_speed"]
    last_timesteps = None
    state_is_due = Interval(POLL_SECONDS)
    yield (picture := driving.start(track))
    while True:
        episode = folder.shown()
        if episode is not None and episode["timesteps"] != last_timesteps:
            last_timesteps = episode["timesteps"]
            for picture in driving.episode(track, episode):
                yield picture
                time.sleep(pause)
                if state_is_due.elapsed() and _is_over(row, again):
                    return
        elif _is_over(row, again):
            return
        else:
            time.sleep(POLL_SECONDS)
            yield picture  # only sending something shows whether the viewer has left


def of_trials(track: int, drives: Iterable[Drive], speed: int) -> Iterator[bytes]:
    """Yield the images of trials, one after another, at `speed` steps per second."""
    for drive in drives:
        for picture in driving.trial(track, drive):
            yield picture
            time.sleep(1.0 / speed)


class Interval:
    """A timer for something that is due every `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._next = seconds, time.monotonic() + seconds

    def elapsed(self) -> bool:
        """Whether the interval has elapsed; if so, the next one begins."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self.seconds
        return True


def _is_over(row: Experiment, again: Callable[[Experiment], Experiment]) -> bool:
    try:
        return not ExperimentState(again(row).state).is_active
    except errors.NotFound:
        return True
