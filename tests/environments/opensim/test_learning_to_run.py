"""Learning to Run, by its formulas."""

import math
from typing import Any

import numpy as np
import pytest

from gymserve.environments.opensim import learning_to_run, obstacles
from gymserve.environments.opensim.learning_to_run import LearningToRun
from gymserve.environments.opensim.obstacles import Course, Obstacle


def test_the_reward_is_the_distance_minus_the_pull_of_ligaments() -> None:
    env = LearningToRun(difficulty=0, observation="dict")
    before = env.reset(seed=1)[0]
    pulls = []
    for _ in range(40):
        after, reward, _, _, _ = env.step(np.ones(18))
        state = env.simulation.state
        pull = math.sqrt(sum(ligament.calcLimitForce(state) ** 2 for ligament in env._ligaments))
        pulls.append(pull)
        assert reward == pytest.approx(float(after["pelvis"]["x"] - before["pelvis"]["x"]) - 1e-7 * pull, abs=1e-15)
        before = after
    assert len(env._ligaments) == 6 and max(pulls) > 0


def test_difficulty_0_has_no_obstacles_and_the_plain_model() -> None:
    env = LearningToRun(difficulty=0)
    observation, _ = env.reset(seed=1)
    assert observation[-5:].tolist() == [1, 1, 100, 0, 0]


@pytest.mark.parametrize("most", [0, 2, 3, 10])
def test_courses_have_the_documented_distributions(most: int) -> None:
    courses = [obstacles.draw(2, most, np.random.default_rng(seed)) for seed in range(200)]
    for course in courses:
        assert len(course.obstacles) == most and min(course.right, course.left) >= 0.5
        assert list(course.obstacles) == sorted(course.obstacles)
        near, far = course.obstacles[: min(most, 3)], course.obstacles[3:]
        assert all(1 <= each.x <= 5 for each in near)
        gaps = np.diff([5, *(each.x for each in far)])
        assert ((gaps >= 2) & (gaps <= 4)).all()
        assert all(each.radius >= 0.05 and abs(each.y) <= 0.25 * each.radius for each in course.obstacles)
    strengths = [course.right for course in courses]
    assert 0.8 < np.mean(strengths) < 1.2 and 0.05 < np.std(strengths) < 0.15
    assert obstacles.draw(1, most, np.random.default_rng(1)).right == 1


def test_the_next_obstacle_is_observed_until_it_is_behind() -> None:
    course = Course((Obstacle(1.0, 0.1, 0.2), Obstacle(3.0, 0.0, 0.1)))
    assert course.next(0.0) == (1.0, 0.1, 0.2)
    assert course.next(1.15) == pytest.approx((-0.15, 0.1, 0.2))
    assert course.next(1.25) == pytest.approx((1.75, 0.0, 0.1))
    assert course.next(4.0) == obstacles.NONE == (100, 0, 0)


def toes(monkeypatch: pytest.MonkeyPatch, course: Course) -> np.ndarray:
    """The positions of the right toes in 12 steps on a course."""
    monkeypatch.setattr(obstacles, "draw", lambda *_: course)
    env: Any = LearningToRun(difficulty=1)
    env.reset(seed=1)
    index = env.observation_names.index("body toes_r x")
    return np.array([env.step(np.full(18, 0.05))[0][index : index + 2] for _ in range(12)])


def test_feet_feel_obstacles_that_they_touch_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert learning_to_run.obstacles is obstacles
    free = toes(monkeypatch, Course())
    far = toes(monkeypatch, Course((Obstacle(4.0, 0.0, 0.1),)))
    near = toes(monkeypatch, Course((Obstacle(0.14, 0.0, 0.1),)))
    np.testing.assert_allclose(free, far, atol=1e-3)
    assert np.abs(free - near).max() > 0.01


def test_weak_muscles_pull_less() -> None:
    env = LearningToRun(difficulty=2)
    env.reset(seed=3)
    forces = {muscle.getName(): muscle.getMaxIsometricForce() for muscle in env.simulation.muscles}
    strong = LearningToRun()
    whole = {muscle.getName(): muscle.getMaxIsometricForce() for muscle in strong.simulation.muscles}
    assert forces["iliopsoas_r"] == pytest.approx(whole["iliopsoas_r"] * env.course.right)
    assert forces["iliopsoas_l"] == pytest.approx(whole["iliopsoas_l"] * env.course.left)
    assert forces["glut_max_l"] == whole["glut_max_l"]
    assert env._observe()[36:38].tolist() == [env.course.left, env.course.right]


def test_it_ends_when_the_pelvis_sinks() -> None:
    env = LearningToRun(difficulty=0)
    env.reset(seed=1)
    for _ in range(200):
        observation, _, terminated, truncated, _ = env.step(np.zeros(18))
        assert terminated == (observation[2] < 0.65) and not truncated
        if terminated:
            return
    pytest.fail("a body without muscle force stands")


def test_arguments_are_checked() -> None:
    for kwargs in ({"difficulty": 3}, {"difficulty": True}, {"max_obstacles": 21}, {"max_obstacles": 2.5}):
        with pytest.raises(ValueError, match="must be an integer from 0 to"):
            LearningToRun(**kwargs)
