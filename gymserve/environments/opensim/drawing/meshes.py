"""Bones as clouds of points: the surface of a `.vtp` mesh, sampled evenly."""

import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Cloud(NamedTuple):
    """Points on a surface, (points, 3) m, and its normals there, (points, 3); both float32."""

    points: np.ndarray
    normals: np.ndarray


@cache  # clouds are never changed
def cloud(path: Path, spacing: float) -> Cloud:
    """Samples one point for each `spacing`² m² of a mesh, with a random generator of its own.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not a mesh of polygons in VTK's text format.
    """
    corners = _triangles(path)
    across, along = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    facing = np.cross(across, along)
    doubled = np.linalg.norm(facing, axis=1)
    whole = doubled.sum() / 2
    if not whole > 0:
        raise ValueError(f"{path} has no surface")
    generator = np.random.default_rng(0)
    count = int(whole / spacing**2) + 1
    chosen = generator.choice(len(corners), count, p=doubled / (2 * whole))
    u, v = generator.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points = corners[chosen, 0] + u * across[chosen] + v * along[chosen]
    sampled = Cloud(points.astype(np.float32), (facing / doubled[:, None].clip(1e-12))[chosen].astype(np.float32))
    for each in sampled:
        each.flags.writeable = False
    return sampled


def _triangles(path: Path) -> np.ndarray:
    """The corners of the mesh's triangles, (triangles, 3, 3) float64; polygons are split into fans."""
    try:
        piece = ElementTree.parse(path).getroot().find("PolyData/Piece")
        assert piece is not None
        points = _numbers(piece, "Points/DataArray").reshape(-1, 3)
        corners = _numbers(piece, "Polys/DataArray[@Name='connectivity']").astype(int)
        ends = _numbers(piece, "Polys/DataArray[@Name='offsets']").astype(int)
    except (ElementTree.ParseError, AssertionError) as error:
        raise ValueError(f"{path} is not a mesh in VTK's text format") from error
    starts = np.concatenate(([0], ends[:-1]))
    fans = []
    for corner in range(1, int((ends - starts).max(initial=0)) - 1):
        first = starts[ends - starts > corner + 1]
        fans.append(np.stack((corners[first], corners[first + corner], corners[first + corner + 1]), axis=1))
    if not fans:
        raise ValueError(f"{path} has no polygons")
    return points[np.concatenate(fans)]


def _numbers(piece: ElementTree.Element, what: str) -> np.ndarray:
    element = piece.find(what)
    assert element is not None and element.get("format") == "ascii"
    return np.array((element.text or "").split(), np.float64)
