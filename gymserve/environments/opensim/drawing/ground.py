"""Draws on the ground of a picture: arrows for velocities, a ring for a target.

Places on the ground are x (forward) and z (to the right), in m.
"""

import math

import numpy as np

from gymserve.environments.opensim.drawing.canvas import Canvas

SLOW, FAST = np.array([70, 140, 190]), np.array([214, 96, 60])
FASTEST = 1.8  # m/s, drawn in the colour FAST
RING = (44, 150, 70)


def grid(middle: np.ndarray, reach: float, spacing: float) -> np.ndarray:
    """(places, 2) m: the multiples of `spacing` within `reach` of the middle, so places do not move with the middle."""
    low, high = np.ceil((middle - reach) / spacing), np.floor((middle + reach) / spacing)
    x, z = (np.arange(first, last + 1) * spacing for first, last in zip(low, high, strict=True))
    return np.stack(np.meshgrid(x, z, indexing="ij"), axis=-1).reshape(-1, 2)


def arrows(canvas: Canvas, places: np.ndarray, velocities: np.ndarray, *, length: float, width: int = 2) -> None:
    """Draws arrows for velocities.

    Args:
        places: (arrows, 2) m, where they begin.
        velocities: (arrows, 2) m/s.
        length: m per m/s.
        width: pixels.
    """
    count = max(2, int(FASTEST * length * canvas.camera.scale))
    ways = velocities[:, None, :] * length
    sides = ways[:, :, ::-1] * (-0.22, 0.22)
    line = np.linspace(0, 1, count)[:, None]
    barb = np.linspace(0, 1, count // 3 + 1)[:, None]
    parts = [line * ways, *(ways + barb * (turn * sides - 0.3 * ways) for turn in (-1, 1))]
    drawn = places[:, None, :] + np.concatenate(parts, axis=1)
    shares = (np.linalg.norm(velocities, axis=1) / FASTEST).clip(0, 1)[:, None]
    colours = (SLOW + (FAST - SLOW) * shares).repeat(drawn.shape[1], axis=0)
    canvas.flat(_on_ground(drawn.reshape(-1, 2)), colours, size=width)


def ring(canvas: Canvas, middle: np.ndarray, radius: float) -> None:
    """Draws a circle of `radius` m."""
    angles = np.linspace(0, 2 * math.pi, 400)
    canvas.flat(_on_ground(middle + radius * np.stack((np.cos(angles), np.sin(angles)), axis=1)), RING, size=3)


def _on_ground(places: np.ndarray) -> np.ndarray:
    """(places, 3) from (places, 2)."""
    return np.stack((places[:, 0], np.zeros(len(places)), places[:, 1]), axis=1)
