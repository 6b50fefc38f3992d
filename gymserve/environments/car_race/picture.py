"""Draws pictures of the race."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from gymserve.environments.car_race.tracks import HEIGHT, MARGIN, WIDTH, track

GRASS, ROAD, LINE, START = (173, 255, 133), (84, 88, 94), (214, 216, 218), (255, 255, 255)
CAR, GLASS, BEAM, TIP = (200, 40, 50), (30, 36, 48), (255, 240, 150), (20, 140, 60)
DASH, DASHES_APART = 3, 12  # length and distance, in samples of the road's middle


@cache
def _ground(number: int) -> Image.Image:
    """The track without a car."""
    course = track(number)
    road = course.road[MARGIN : MARGIN + HEIGHT, MARGIN : MARGIN + WIDTH]
    image = Image.fromarray(np.where(road[..., None], np.array(ROAD, np.uint8), np.array(GRASS, np.uint8)))
    draw = ImageDraw.Draw(image)
    for index in range(0, len(course.middle), DASHES_APART):
        draw.line([tuple(point) for point in course.middle[index : index + DASH]], LINE, 2)
    x, y = course.middle[0]
    draw.line(_shape([(0, -34), (0, 34)], x, y, course.heading), START, 5)
    return image


def paint(number: int, x: float, y: float, heading: float, tips: Sequence[tuple[float, float]]) -> np.ndarray:
    """Draws the track and the car: (HEIGHT, WIDTH, 3) uint8.

    Args:
        heading: degrees, counter-clockwise.
        tips: the ends of the radars' beams, in pixels.
    """
    image = _ground(number).copy()
    draw = ImageDraw.Draw(image)
    for tip in tips:
        draw.line([(x, y), tip], BEAM, 1)
        draw.ellipse([tip[0] - 3, tip[1] - 3, tip[0] + 3, tip[1] + 3], TIP)
    draw.polygon(_shape([(-14, -8), (13, -8), (17, 0), (13, 8), (-14, 8)], x, y, heading), CAR)
    draw.polygon(_shape([(2, -6), (8, -5), (8, 5), (2, 6)], x, y, heading), GLASS)
    return np.array(image)


def _shape(points: Sequence[tuple[float, float]], x: float, y: float, heading: float) -> list[tuple[float, float]]:
    """Converts points from (ahead, to the right) of the car to the picture's pixels."""
    cos, sin = math.cos(math.radians(heading)), math.sin(math.radians(heading))
    return [(x + ahead * cos + right * sin, y - ahead * sin + right * cos) for ahead, right in points]
