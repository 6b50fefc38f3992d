"""Draws a model: bones, and muscles coloured by their activation."""

from typing import TYPE_CHECKING

import numpy as np

from gymserve.environments.opensim.drawing import meshes
from gymserve.environments.opensim.drawing.canvas import Canvas
from gymserve.environments.opensim.physics import models
from gymserve.environments.opensim.physics.simulation import Simulation, library

if TYPE_CHECKING:
    import opensim

BONE, METAL = (236, 228, 208), (128, 138, 150)
PROSTHESIS = ("r_pylon.vtp", "r_pros_foot.vtp")
IDLE, ACTIVE = np.array([58, 86, 178]), np.array([222, 42, 36])
MUSCLE_RADIUS = 0.014  # m
PIXELS_A_POINT = 1.25  # distance of the points on a bone; each is drawn 2 pixels wide, so that there are no gaps


class Figure:
    """Draws a simulation; bones are read from the models' folder once, and bones without a file are left out."""

    def __init__(self, simulation: Simulation, scale: float) -> None:
        self.model_number = simulation.model_number
        self._simulation = simulation
        self._bones, colours = [], [np.empty((0, 3), np.float32)]
        for mesh in _meshes(simulation.model):
            name = mesh.getGeometryFilename()
            path = models.folder() / "Geometry" / name
            if path.is_file():
                cloud = meshes.cloud(path, PIXELS_A_POINT / scale)
                self._bones.append((mesh.getFrame(), cloud))
                colours.append(np.full(cloud.points.shape, METAL if name in PROSTHESIS else BONE, np.float32))
        self._colours = np.concatenate(colours)

    def draw(self, canvas: Canvas) -> None:
        """Draws the body in its current pose, with its shadow."""
        state = self._simulation.state
        points, normals = [], []
        for frame, (places, directions) in self._bones:
            turn, move = _transform(frame.getTransformInGround(state))
            points.append(places @ turn.T + move)
            normals.append(directions @ turn.T)
        if points:
            whole = np.concatenate(points)
            canvas.shade(whole[::3])
            canvas.splat(whole, np.concatenate(normals), self._colours)
        muscles = self._simulation.muscles
        colours = [colour(muscle.getActivation(state)) for muscle in muscles]
        canvas.tubes([_path(muscle, state) for muscle in muscles], MUSCLE_RADIUS, colours)


def colour(activation: float) -> np.ndarray:
    """A muscle's colour, (3,) float64: blue at rest, red when fully active."""
    return IDLE + (ACTIVE - IDLE) * min(1.0, max(0.0, activation))


def _meshes(model: "opensim.Model") -> list["opensim.Mesh"]:
    meshes = (library().Mesh.safeDownCast(component) for component in model.getComponentsList())
    return [mesh for mesh in meshes if mesh is not None]


def _transform(transform: "opensim.Transform") -> tuple[np.ndarray, np.ndarray]:
    """(rotation (3, 3), translation (3,)) of an `opensim.Transform`, float32."""
    rotation, place = transform.R(), transform.p()
    turn = [[rotation.get(row, column) for column in range(3)] for row in range(3)]
    return np.array(turn, np.float32), np.array([place.get(i) for i in range(3)], np.float32)


def _path(muscle: "opensim.Muscle", state: "opensim.State") -> np.ndarray:
    """A muscle's path from origin to insertion: (points, 3) m."""
    points = muscle.getGeometryPath().getCurrentPath(state)
    locations = [points.get(i).getLocationInGround(state) for i in range(points.getSize())]
    return np.array([[location.get(axis) for axis in range(3)] for location in locations])
