"""Pictures that follow one another, as browsers show them in an `<img>`: `multipart/x-mixed-replace`."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

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
VIEWERS = ConcurrencyLimit(8, each=3)  # each takes one of the worker's threads, and a tenth of a core
LOOK_SECONDS = 0.5
LIVE_SECONDS = 3600.0  # then a viewer asks anew


@contextlib.contextmanager
def place(account: int) -> Iterator[Callable[[], None]]:
    """Takes a viewer's place, and gives what leaves it, which `answer` does when its pictures have ended or the viewer is gone.

    Raises:
        LimitReached: there are too many already.
    """
    leave = VIEWERS.enter(account)
    try:
        yield leave
    except BaseException:
        leave()
        raise


def answer(pictures: Iterable[bytes], leave: Callable[[], None]) -> Response:
    """The pictures, for whom a place was taken."""
    response = Response(_parts(pictures), content_type=f"{MIXED}; boundary=frame")
    response.call_on_close(leave)
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _parts(pictures: Iterable[bytes]) -> Iterator[bytes]:
    deadline = time.monotonic() + LIVE_SECONDS
    for picture in pictures:
        head = f"\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
        yield BOUNDARY + head.encode() + picture + b"\r\n"
        if time.monotonic() > deadline:
            break
    yield BOUNDARY + b"--\r\n"


def of_training(experiments: Any, row: Experiment) -> Iterator[bytes]:
    """Episodes as the training has them, one at a time, at `car_speed` steps a second, until it has ended."""
    kwargs = plan_of(row).env_kwargs
    track, pause = kwargs["track"], 1.0 / kwargs["car_speed"]
    folder, known = Folder(experiments.folder / row.name), None
    clock = Clock(LOOK_SECONDS)
    yield (picture := driving.start(track))
    while True:
        episode = folder.shown()
        if episode is not None and episode["timesteps"] != known:
            known = episode["timesteps"]
            for picture in driving.episode(track, episode):
                yield picture
                time.sleep(pause)
                if clock.strikes() and _is_over(experiments, row):
                    return
        elif _is_over(experiments, row):
            return
        else:
            time.sleep(LOOK_SECONDS)
            yield picture  # or nobody would notice that the viewer has left


def of_trials(track: int, drives: Iterable[Drive], speed: int) -> Iterator[bytes]:
    """Trials, one after another, at `speed` steps a second."""
    for drive in drives:
        for picture in driving.trial(track, drive):
            yield picture
            time.sleep(1.0 / speed)


class Clock:
    """Says when so many seconds have passed since the last time that it said so."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._next = seconds, time.monotonic() + seconds

    def strikes(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self.seconds
        return True


def _is_over(experiments: Any, row: Experiment) -> bool:
    try:
        return not ExperimentState(experiments.again(row).state).is_active
    except errors.NotFound:
        return True
