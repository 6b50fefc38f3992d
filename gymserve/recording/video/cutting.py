"""The cut of a video: the episodes that it shows, and their speed, so that it is not too long."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

MOST_RATE = 30  # frames a second; of environments that draw more, only every 2nd, 3rd … picture is shown
SPEEDS = (1, 2, 4, 8)
HOLD_SECONDS = 1.0  # how long an episode's last picture stays
DEFAULT_RATE = 30.0


class Cut(NamedTuple):
    """The episodes that a video shows, and their speed.

    Args:
        shown: the indices of the episodes, in order.
        rate: frames a second.
        stride: steps per picture.
        speed: how much faster than real time.
        hold: frames for which an episode's last picture stays.
        frames: the number of frames at most.
    """

    shown: list[int]
    rate: Fraction
    stride: int
    speed: int
    hold: int
    frames: int


def cut(lengths: Sequence[int], render_fps: float | None, seconds: float) -> Cut:
    """Chooses the cut of a video that is `seconds` long at most.

    It shows all episodes at their own speed if they fit, else up to eight times faster. If they still do not fit, it shows as
    many as do, evenly spaced from the first to the last; a single episode that is too long is cut off.

    Args:
        lengths: the episodes' lengths in steps; at least one.
        render_fps: the frame rate that the environment states in its metadata.
    """
    fps = render_fps if render_fps and math.isfinite(render_fps) and render_fps > 0 else DEFAULT_RATE
    base = max(1, math.ceil(fps / MOST_RATE - 1e-9))
    rate = max(Fraction(1), Fraction(fps / base).limit_denominator(1000))
    hold = max(1, round(rate * Fraction(HOLD_SECONDS)))
    most = max(1, int(seconds * rate))

    def needed(shown: Sequence[int], speed: int) -> int:
        return sum(1 + math.ceil(lengths[each] / (base * speed)) + hold for each in shown)

    everything = list(range(len(lengths)))
    speed = next((each for each in SPEEDS if needed(everything, each) <= most), SPEEDS[-1])
    shown = everything
    if needed(everything, speed) > most:
        least = needed([min(everything, key=lambda place: lengths[place])], speed)
        number = max(1, min(len(lengths) - 1, most // least))  # no more would fit, even of the shortest
        shown = _evenly(len(lengths), number)
        while len(shown) > 1 and needed(shown, speed) > most:
            shown = _evenly(len(lengths), len(shown) - 1)
    return Cut(shown, rate, base * speed, speed, hold, min(most, needed(shown, speed)))


def _evenly(number: int, wanted: int) -> list[int]:
    """`wanted` evenly spaced indices of 0 … number - 1, with the first and, if there are two or more, the last."""
    if wanted == 1:
        return [0]
    return [round(index * (number - 1) / (wanted - 1)) for index in range(wanted)]
