"""Draws a picture with a camera without perspective; a depth buffer hides farther things behind nearer ones."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Colour = tuple[int, int, int]
LIGHT = np.array([0.35, 0.8, 0.49], np.float32)
LIGHT /= np.linalg.norm(LIGHT)
AMBIENT = 0.5
SHADOW = 0.72
SKY = np.array([226, 234, 241], np.float32)
TILES = np.array([[203, 209, 200], [190, 197, 188]], np.float32)
TILE = 0.5  # m
FADE = 3.2  # m behind the middle, where the ground has faded into the sky


class Camera(NamedTuple):
    """The camera of a picture.

    Args:
        middle: the point in m that it looks at.
        scale: pixels per m.
        azimuth: rad; 0: it sees the walker from its right side, walking to the right.
        elevation: rad above the horizon.
        width, height: of the picture, in pixels.
    """

    middle: tuple[float, float, float]
    scale: float
    azimuth: float = math.radians(18)
    elevation: float = math.radians(11)
    width: int = 600
    height: int = 400

    def axes(self) -> np.ndarray:
        """The camera's axes: (3, 3) float32, right, up, and away from the camera."""
        a, e = self.azimuth, self.elevation
        back = (math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e))
        right = (math.cos(a), 0.0, -math.sin(a))
        return np.array([right, np.cross(back, right), [-each for each in back]], np.float32)


class Canvas:
    """A picture to draw on; nearer things hide farther ones, in any order of drawing.

    Args:
        camera: where the picture is seen from.
        ground: whether to draw a ground at y = 0; else there is a plain background.
    """

    def __init__(self, camera: Camera, *, ground: bool = True) -> None:
        self.camera = camera
        self.ground = ground
        self._axes = camera.axes()
        width, height = camera.width, camera.height
        self._depth = np.full(width * height, np.inf, np.float32)
        self._colours = np.empty((width * height, 3), np.float32)
        self._colours[:] = SKY
        if ground:
            self._lay_ground()

    def _lay_ground(self) -> None:
        """Draws tiles of `TILE` m at y = 0, which fade into the sky."""
        camera, (right, up, away) = self.camera, self._axes
        x = (np.arange(camera.width, dtype=np.float32) - camera.width / 2) / camera.scale
        y = (camera.height / 2 - np.arange(camera.height, dtype=np.float32)) / camera.scale
        depth = (camera.middle[1] + y * up[1]) / -away[1]
        self._depth[:] = depth.repeat(camera.width)
        top = int(np.searchsorted(-depth, -FADE))  # above this row there is only sky
        y, depth = y[top:, None], depth[top:, None]
        east = (camera.middle[0] + y * up[0] + depth * away[0]) / TILE + x * (right[0] / TILE)
        south = (camera.middle[2] + y * up[2] + depth * away[2]) / TILE + x * (right[2] / TILE)
        dark = (np.floor(east).astype(np.int32) + np.floor(south).astype(np.int32)) & 1
        near = (1 - depth / FADE).clip(0, 1)[:, :, None]
        tones = TILES * near + SKY * (1 - near)  # (rows, 2, 3)
        self._colours[top * camera.width :] = tones[np.arange(len(tones))[:, None], dark].reshape(-1, 3)

    def place(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(columns, rows, both in pixels; distances in m) of points (points, 3) in m."""
        seen = (points - self.camera.middle).astype(np.float32) @ self._axes.T
        columns = self.camera.width / 2 + self.camera.scale * seen[:, 0]
        rows = self.camera.height / 2 - self.camera.scale * seen[:, 1]
        return columns, rows, seen[:, 2]

    def splat(self, points: np.ndarray, normals: np.ndarray, colour: Colour | np.ndarray, *, size: int = 2) -> None:
        """Draws points of lit surfaces, each as a square of `size` pixels.

        Args:
            points, normals: (points, 3).
            colour: one for all points, or (points, 3).
        """
        columns, rows, depth = self.place(points)
        light = AMBIENT + (1 - AMBIENT) * np.abs(normals @ LIGHT)
        colours = np.asarray(colour, np.float32) * light[:, None]
        left, top = (
            np.floor(columns - size / 2 + 0.5).astype(np.int32),
            np.floor(rows - size / 2 + 0.5).astype(np.int32),
        )
        inside = (left >= 0) & (top >= 0) & (left < self.camera.width - size) & (top < self.camera.height - size)
        first, depth, colours = (top * self.camera.width + left)[inside], depth[inside], colours[inside]
        shifts = [row * self.camera.width + column for row in range(size) for column in range(size)]
        for shift in shifts:
            np.minimum.at(self._depth, first + shift, depth)
        for shift in shifts:
            seen = depth <= self._depth[first + shift]
            self._colours[first[seen] + shift] = colours[seen]

    def shade(self, points: np.ndarray) -> None:
        """Draws the shadow of points (points, 3) straight down on the ground; call it before drawing what stands there."""
        if not self.ground:
            return
        columns, rows, _ = self.place(points * np.array([1, 0, 1], np.float32))
        columns, rows = columns.astype(np.int32), rows.astype(np.int32)
        inside = (columns >= 0) & (rows >= 0) & (columns < self.camera.width - 1) & (rows < self.camera.height - 1)
        dark = np.zeros(self._depth.size, bool)
        first = (rows * self.camera.width + columns)[inside]
        for shift in (0, 1, self.camera.width, self.camera.width + 1):
            dark[first + shift] = True
        self._colours[dark] *= SHADOW

    def tubes(self, paths: Sequence[np.ndarray], radius: float, colours: Sequence[np.ndarray]) -> None:
        """Draws tubes along paths (points, 3), each with a colour (3,); they are thickest, `radius` m, in their middle."""
        drawn = [self._tube(path, radius) for path in paths]
        counts = [len(points) for points, _ in drawn]
        points, normals = (np.concatenate(each) for each in zip(*drawn, strict=True))
        self.splat(points, normals, np.repeat(colours, counts, axis=0))

    def _tube(self, path: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """(points, normals) of the side that the camera sees."""
        steps = np.sqrt(np.square(np.diff(path, axis=0)).sum(axis=1))
        along = np.concatenate(([0.0], np.cumsum(steps)))
        count = max(2, int(along[-1] * self.camera.scale * 1.1))
        at = np.arange(count) * (along[-1] / (count - 1))
        centre = np.stack([np.interp(at, along, path[:, axis]) for axis in range(3)], axis=1)
        way = np.empty_like(centre)
        way[1:] = np.diff(centre, axis=0)
        way[0] = way[1]
        right, up, away = self._axes
        turned = np.outer(way @ right, up) - np.outer(way @ up, right)
        turned /= np.sqrt(np.square(turned).sum(axis=1, keepdims=True)).clip(1e-9)
        thickness = radius * (0.55 + 0.45 * np.sin(at * (math.pi / max(along[-1], 1e-9))))
        across = np.arange(-1, 1.01, 2 / max(2, int(2.2 * radius * self.camera.scale)))
        normals = turned[:, None, :] * across[None, :, None] - away * np.sqrt((1 - across**2).clip(0))[None, :, None]
        points = centre[:, None, :] + normals * thickness[:, None, None]
        return points.reshape(-1, 3).astype(np.float32), normals.reshape(-1, 3).astype(np.float32)

    def ball(self, centre: Sequence[float], radius: float, colour: Colour) -> None:
        """Draws the part of a ball that is above the ground."""
        (column,), (row,), (depth,) = self.place(np.array([centre], np.float32))
        reach = radius * self.camera.scale
        columns = np.arange(max(0, int(column - reach)), min(self.camera.width, int(column + reach) + 2))
        rows = np.arange(max(0, int(row - reach)), min(self.camera.height, int(row + reach) + 2))
        x, y = np.meshgrid((columns - column) / reach, (row - rows) / reach)
        inside = x**2 + y**2 <= 1
        x, y, pixels = x[inside], y[inside], (rows[:, None] * self.camera.width + columns)[inside]
        towards = np.sqrt(1 - x**2 - y**2)
        distance = depth - towards * radius
        light = AMBIENT + (1 - AMBIENT) * (np.stack((x, y, -towards), axis=1) @ self._axes @ LIGHT).clip(0, 1)
        seen = distance < self._depth[pixels]
        self._depth[pixels[seen]] = distance[seen]
        self._colours[pixels[seen]] = (np.asarray(colour, np.float32) * light[:, None])[seen]

    def flat(self, points: np.ndarray, colour: Colour | np.ndarray, *, size: int = 2) -> None:
        """Draws marks on the ground, which hide nothing: points (points, 3), with one colour or (points, 3) colours."""
        columns, rows, _ = self.place(points)
        left, top = columns.astype(np.int32), rows.astype(np.int32)
        inside = (left >= 0) & (top >= 0) & (left < self.camera.width - size) & (top < self.camera.height - size)
        first = (top * self.camera.width + left)[inside]
        colours = np.asarray(colour, np.float32)
        for row in range(size):
            for column in range(size):
                pixels = first + row * self.camera.width + column
                self._colours[pixels] = colours if colours.ndim == 1 else colours[inside]

    def picture(self) -> np.ndarray:
        """The picture: (height, width, 3) uint8."""
        return self._colours.clip(0, 255).astype(np.uint8).reshape(self.camera.height, self.camera.width, 3)
