"""A picture in a terminal: half-block characters in 24-bit colours, each two pixels high."""

import os
import sys
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLAIN = "\x1b[0m"


def has_colours() -> bool:
    """Whether standard output is a terminal that says that it has 24-bit colours."""
    colours = os.environ.get("COLORTERM") in ("truecolor", "24bit") and "NO_COLOR" not in os.environ
    return colours and sys.stdout.isatty()


def is_picture(value: object) -> bool:
    """Whether a value is an array (height, width, 3) uint8."""
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] == 3


def draw(picture: NDArray[np.uint8], columns: int, lines: int) -> str:
    """The picture as lines of text, shrunk to fit into so many columns and lines.

    Args:
        picture: (height, width, 3).
    """
    height, width, _ = picture.shape
    scale = min(1.0, columns / width, 2 * lines / height)
    small = _means(_means(picture, max(1, int(height * scale)), 0), max(1, int(width * scale)), 1)
    pixels = np.pad(small.round().astype(np.uint8), ((0, len(small) % 2), (0, 0), (0, 0)))
    pairs = np.concatenate((pixels[::2], pixels[1::2]), axis=2).tolist()  # (lines, columns, 6)
    return "\n".join(_line(row) + PLAIN for row in pairs)


def _line(row: list[list[int]]) -> str:
    codes = [""] + ["\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*each) for each in row]
    return "".join(("" if code == before else code) + "▀" for before, code in pairwise(codes))


def _means(values: NDArray[Any], count: int, axis: int) -> NDArray[np.float64]:
    """The means of `count` equal parts along an axis."""
    edges = np.linspace(0, values.shape[axis], count, endpoint=False).astype(int)
    sizes = np.diff(edges, append=values.shape[axis])
    sums = np.add.reduceat(values, edges, axis, dtype=np.float64)
    return sums / np.expand_dims(sizes, tuple({0, 1, 2} - {axis}))
