"""Pictures show the body and its surroundings, without a display."""

import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve.environments import opensim
from gymserve.environments.opensim.arm import Arm2D
from gymserve.environments.opensim.drawing import canvas, figure, ground, meshes
from gymserve.environments.opensim.drawing.canvas import Camera, Canvas
from gymserve.environments.opensim.learning_to_run import OBSTACLE_COLOUR
from gymserve.environments.opensim.obstacles import Course, Obstacle
from gymserve.environments.opensim.physics.simulation import SimulationFailed

opensim.register()
IDS = ("osim/Arm2D-v0", "osim/L2M2019-v0", "osim/Prosthetics-v0", "osim/Run-v0")


def make(env_id: str, **kwargs: Any) -> Any:
    return gymnasium.make(env_id, disable_env_checker=True, render_mode="rgb_array", **kwargs).unwrapped


def share(frame: np.ndarray, colour: Any, *, tolerance: float = 0.12) -> float:
    """The fraction of a picture that has a colour's hue, in any light."""
    wanted = np.asarray(colour, float) / np.linalg.norm(colour)
    seen = frame.astype(float) / np.linalg.norm(frame, axis=2, keepdims=True).clip(1)
    return float((np.abs(seen - wanted).max(axis=2) < tolerance).mean())


@pytest.mark.parametrize("env_id", IDS)
def test_a_body_is_visible_and_moves(env_id: str) -> None:
    env = make(env_id, integrator_accuracy=1e-2)
    env.reset(seed=1)
    first = env.render()
    assert first.shape == (400, 600, 3) and first.dtype == np.uint8
    assert np.array_equal(first, env.render())
    assert share(first, figure.colour(0.05), tolerance=0.05) > 0.003
    for _ in range(10):
        env.step(np.ones(env.action_space.shape))
    then = env.render()
    assert not np.array_equal(first, then)
    assert share(then, figure.ACTIVE, tolerance=0.05) > 0.003


@pytest.mark.parametrize("env_id", IDS)
def test_thirty_pictures_a_second(env_id: str) -> None:
    env = make(env_id)
    env.reset(seed=1)
    env.render()
    seconds = []
    for _ in range(10):
        began = time.process_time()
        env.render()
        seconds.append(time.process_time() - began)
    assert min(seconds) < 1 / 30


def test_rendering_does_not_change_the_episode() -> None:
    seen, unseen = make("osim/Run-v0"), make("osim/Run-v0")
    for env in (seen, unseen):
        env.reset(seed=1)
    for _ in range(5):
        seen.render()
        assert np.array_equal(*(env.step(np.full(18, 0.3))[0] for env in (seen, unseen)))


def test_another_course_is_another_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make("osim/Run-v0")
    for seed in (1, 2):  # a reset rebuilds the model, so the bones' handles must be new
        env.reset(seed=seed)
        env.course = Course()
        free = env.render()
        env.course = Course((Obstacle(0.8, 0.0, 0.2),))
        assert share(env.render(), OBSTACLE_COLOUR) > share(free, OBSTACLE_COLOUR) + 0.005


def test_the_arms_target_is_green() -> None:
    env = make("osim/Arm2D-v0")
    env.reset(seed=1)
    green = share(env.render(), (60, 170, 80))
    env.target = (50.0, 0.0)
    assert green > share(env.render(), (60, 170, 80)) + 0.0005


def test_the_field_is_on_the_ground() -> None:
    env = make("osim/L2M2019-v0", difficulty=0)
    env.reset(seed=1)
    lower = env.render()[250:]
    assert share(lower, ground.SLOW + (ground.FAST - ground.SLOW) * 1.4 / ground.FASTEST, tolerance=0.05) > 0.01


def test_there_is_no_picture_before_a_reset_or_without_a_mode() -> None:
    env = make("osim/Arm2D-v0")
    with pytest.raises(SimulationFailed, match="before a reset"):
        env.render()
    blind = gymnasium.make("osim/Arm2D-v0", disable_env_checker=True).unwrapped
    blind.reset(seed=1)
    assert blind.render() is None
    with pytest.raises(ValueError, match="render_mode must be 'rgb_array' or None"):
        Arm2D(render_mode="human")


def test_the_nearer_ball_hides_the_farther_one() -> None:
    for order in (1, -1):
        drawn = Canvas(Camera((0, 1, 0), 100.0), ground=False)
        for z, colour in ((1.0, (255, 0, 0)), (-1.0, (0, 255, 0)))[::order]:
            drawn.ball((0, 1, z * 0.1), 0.5, colour)
        middle = drawn.picture()[200, 300]
        assert middle[0] > 100 and middle[1] == 0


def test_things_outside_the_picture_are_left_out() -> None:
    drawn = Canvas(Camera((0, 1, 0), 100.0))
    before = drawn.picture()
    drawn.ball((90, 0, 0), 0.5, (255, 0, 0))
    drawn.splat(np.full((3, 3), 99.0, np.float32), np.ones((3, 3), np.float32), (255, 0, 0))
    drawn.flat(np.full((3, 3), -99.0), (255, 0, 0))
    assert np.array_equal(before, drawn.picture())
    assert np.allclose(before[0, 0], canvas.SKY, atol=1)


def test_a_mesh_becomes_points_on_its_surface(tmp_path: Path) -> None:
    square = tmp_path / "square.vtp"
    square.write_text(
        '<VTKFile><PolyData><Piece><Points><DataArray format="ascii">0 0 0  1 0 0  1 1 0  0 1 0</DataArray></Points>'
        '<Polys><DataArray Name="connectivity" format="ascii">0 1 2 3</DataArray>'
        '<DataArray Name="offsets" format="ascii">4</DataArray></Polys></Piece></PolyData></VTKFile>'
    )
    points, normals = meshes.cloud(square, 0.1)
    assert 100 <= len(points) <= 101 and points.min() >= 0 and points.max() <= 1 and not points[:, 2].any()
    assert (normals == (0, 0, 1)).all() and points[:, 0].min() < 0.1 and points[:, 0].max() > 0.9
    (tmp_path / "none.vtp").write_text("<VTKFile/>")
    with pytest.raises(ValueError, match="not a mesh in VTK's text format"):
        meshes.cloud(tmp_path / "none.vtp", 0.1)
