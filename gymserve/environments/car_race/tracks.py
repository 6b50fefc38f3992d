"""The tracks: closed roads of constant width on a picture of 800 x 700 pixels, x to the right and y downwards."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 800, 700  # pixels
ROAD = 70.0  # pixels across: too narrow to drive in circles
MARGIN = 220  # pixels of grass around the picture, more than the range of a radar
SAMPLES = 40  # points of the curve between two corners
CORNERS = {  # points that the middle of the road passes through, in order; the first is the start
    1: (
        (400, 605), (600, 590), (700, 480), (690, 250), (580, 110), (400, 95), (220, 110), (110, 250), (100, 480), (200, 590),
    ),
    2: (
        (420, 620), (620, 610), (715, 520), (690, 400), (540, 340), (540, 230), (690, 170), (610, 80), (400, 75),
        (180, 80), (90, 190), (150, 320), (290, 380), (250, 480), (110, 500), (130, 610), (270, 635),
    ),
    3: (
        (400, 635), (550, 635), (600, 545), (680, 500), (735, 400), (670, 300), (545, 320), (470, 250), (560, 165), (700, 150),
        (690, 65), (520, 65), (380, 110), (330, 230), (220, 255), (180, 140), (90, 110), (65, 240), (110, 370), (260, 370),
        (380, 410), (350, 520), (210, 480), (90, 520), (120, 625), (260, 635),
    ),
}  # fmt: skip
TRACKS = tuple(CORNERS)


class Track(NamedTuple):
    """A track.

    Attributes:
        road: (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN) bool, true on the road; pixel (x, y) is `road[y + MARGIN, x + MARGIN]`.
        middle: (n, 2) float64, points on the middle of the road, some pixels apart, from the start on.
        heading: the cars' heading at the start, in degrees from the x axis, counter-clockwise.
    """

    road: np.ndarray
    middle: np.ndarray
    heading: float


@cache
def track(number: int) -> Track:
    """The track of this number, 1 to 3; drawn once per process."""
    middle = _curve(np.array(CORNERS[number], np.float64))
    road = np.zeros((HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN), bool)
    reach = int(ROAD // 2) + 1
    across, up = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    for x, y in middle:
        column, row = round(x), round(y)
        disc = (across + column - x) ** 2 + (up + row - y) ** 2 <= (ROAD / 2) ** 2
        place = (
            slice(row - reach + MARGIN, row + reach + 1 + MARGIN),
            slice(column - reach + MARGIN, column + reach + 1 + MARGIN),
        )
        road[place] |= disc
    road.flags.writeable = False
    dx, dy = middle[1] - middle[0]
    return Track(road, middle, math.degrees(math.atan2(-dy, dx)))


def _curve(points: np.ndarray) -> np.ndarray:
    """A closed Catmull-Rom spline through (n, 2) points: (n * SAMPLES, 2)."""
    t = (np.arange(SAMPLES) / SAMPLES)[:, None]
    pieces = []
    for index in range(len(points)):
        a, b, c, d = (points[(index + offset) % len(points)] for offset in (-1, 0, 1, 2))
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate(pieces)
