"""The cut: which episodes a video shows, at which speed, so that it is no longer than it may be."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

MOST_RATE = 30  # frames a second; environments that draw more are shown with every 2nd, 3rd … picture
SPEEDS = (1, 2, 4, 8)
HOLD_SECONDS = 1.0  # that an episode's last picture stands
DEFAULT_RATE = 30.0


class Cut(NamedTuple):
    """What a video shows.

    Args:
        shown: the episodes' places among all, in order.
        rate: frames a second.
        stride: one picture for so many steps.
        speed: how much faster than life.
        hold: frames for which an episode's last picture stands.
        frames: how many there will be at most.
    """

    shown: list[int]
    rate: Fraction
    stride: int
    speed: int
    hold: int
    frames: int


def cut(lengths: Sequence[int], render_fps: float | None, seconds: float) -> Cut:
    """All episodes at their own speed where that takes no longer than `seconds`; else faster, up to eight times; else of
    the episodes as many as fit, from the first to the last at equal distances; and what is still longer ends there.

    Args:
        lengths: of the episodes, in steps; at least one.
        render_fps: pictures that the environment means to be shown in a second.
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
        number = max(1, min(len(lengths) - 1, most // least))  # even of the shortest, no more would fit
        shown = _evenly(len(lengths), number)
        while len(shown) > 1 and needed(shown, speed) > most:
            shown = _evenly(len(lengths), len(shown) - 1)
    return Cut(shown, rate, base * speed, speed, hold, min(most, needed(shown, speed)))


def _evenly(number: int, wanted: int) -> list[int]:
    """So many of the places 0 … number - 1, the first and, of two and more, the last among them."""
    if wanted == 1:
        return [0]
    return [round(index * (number - 1) / (wanted - 1)) for index in range(wanted)]
