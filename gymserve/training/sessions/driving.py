"""The car race for viewers: episodes of training and evaluation, driven again to render them."""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from gymserve.environments.car_race.race import CarRace
from gymserve.protocol.wire import JSONObject

MOST_STEPS = 1000  # in a trial
QUALITY = 80  # of a JPEG
Act = Callable[[list[object]], list[int]]
"""Maps observations (n, 5) to one action each."""


class Drive(NamedTuple):
    """A trial: its seed and the actions taken."""

    seed: int
    actions: list[int]


def evaluate(act: Act, track: int, seeds: Sequence[int]) -> list[Drive]:
    """Drive a trial from each seed, all side by side, until the car leaves the road or has survived `MOST_STEPS`."""
    cars = [CarRace(track) for _ in seeds]
    drives = [Drive(seed, []) for seed in seeds]
    seen = {index: car.reset(seed=seeds[index])[0] for index, car in enumerate(cars)}
    for _ in range(MOST_STEPS):
        if not seen:
            break
        for index, action in zip(list(seen), act([each.tolist() for each in seen.values()]), strict=True):
            drives[index].actions.append(action)
            seen[index], _, terminated, *_ = cars[index].step(action)
            if terminated:
                del seen[index]
    return drives


def lived(track: int, drive: Drive) -> int:
    """Count the steps that a trial's car stayed on the road."""
    car = CarRace(track)
    car.reset(seed=drive.seed)
    return sum(int(car.step(action)[1]) for action in drive.actions)


def start(track: int) -> bytes:
    """Render a car at the start."""
    car = CarRace(track, render_mode="rgb_array")
    car.reset(seed=0)
    return _jpeg(car)


def trial(track: int, drive: Drive) -> Iterator[bytes]:
    """Render a trial, one frame per step."""
    car = CarRace(track, render_mode="rgb_array")
    car.reset(seed=drive.seed)
    return _pictures(car, drive.actions)


def episode(track: int, recording: JSONObject) -> Iterator[bytes]:
    """Render an episode that a runner has saved, see `runners.vector_env.EpisodeRecorder`."""
    car = CarRace(track, render_mode="rgb_array")
    car.reset(seed=recording["seed"])
    if recording["random"] is not None:
        car.np_random.bit_generator.state = recording["random"]
        car.reset()
    return _pictures(car, recording["actions"])


def _pictures(car: CarRace, actions: Sequence[int]) -> Iterator[bytes]:
    yield _jpeg(car)
    for action in actions:
        car.step(action)
        yield _jpeg(car)


def _jpeg(car: CarRace) -> bytes:
    """Render a JPEG of 800 x 700."""
    out = io.BytesIO()
    picture = car.render()
    assert picture is not None
    Image.fromarray(picture).save(out, "jpeg", quality=QUALITY)
    return out.getvalue()
