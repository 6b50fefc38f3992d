"""AI for Prosthetics, by its formulas."""

import math

import numpy as np
import pytest

from gymserve.environments.opensim.prosthetics import Prosthetics


def by_name(env: Prosthetics, observation: np.ndarray) -> dict[str, float]:
    return dict(zip(env.observation_names, observation.tolist(), strict=True))


@pytest.mark.parametrize(("model", "prosthetic", "sizes"), [("2D", True, (19, 160)), ("3D", False, (22, 169))])
def test_sizes_by_model(model: str, prosthetic: bool, sizes: tuple[int, int]) -> None:
    env = Prosthetics(model=model, prosthetic=prosthetic)
    observation, _ = env.reset(seed=1)
    assert (env.action_space.shape[0], observation.size) == sizes == (sizes[0], len(env.observation_names))


def test_at_difficulty_0_the_target_is_3_metres_a_second() -> None:
    env = Prosthetics()
    env.reset(seed=1)
    for _ in range(5):
        observation, reward, _, _, info = env.step(np.full(19, 0.3))
        assert info == {}
        speed = by_name(env, observation)["pelvis velocity x"]
        assert reward == pytest.approx(9 - (speed - 3) ** 2, abs=1e-12)


def test_at_difficulty_1_effort_and_both_velocities_count() -> None:
    env = Prosthetics(difficulty=1, observation="dict")
    env.reset(seed=1)
    for _ in range(5):
        state, reward, _, _, info = env.step(np.linspace(0, 1, 19))
        effort = sum(float(muscle["activation"]) ** 2 for muscle in state["muscles"].values())
        x, _, z = state["body_vel"]["pelvis"]
        assert info["target_vel"] == state["target_vel"].tolist() == [1.25, 0, 0]
        assert reward == pytest.approx(10 - 0.001 * effort - (x - 1.25) ** 2 - z**2, abs=1e-12)


def test_targets_change_sometimes_and_depend_on_the_seed() -> None:
    env = Prosthetics(difficulty=1)
    drawn = []
    for seed in (3, 3, 4):
        env.reset(seed=seed)
        drawn.append(env._draw_targets())
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])
    targets = drawn[0]
    assert targets.shape == (1001, 3) and not targets[:, 1].any()
    speeds, headings = np.hypot(targets[:, 0], targets[:, 2]), np.arctan2(targets[:, 2], targets[:, 0])
    changes = np.flatnonzero(np.diff(speeds))
    assert 2 <= len(changes) <= 4 and np.array_equal(changes, np.flatnonzero(np.diff(headings)))
    assert np.abs(np.diff(speeds)).max() <= 0.5 and np.abs(np.diff(headings)).max() <= math.pi / 8


def test_observations_are_relative_to_the_pelvis() -> None:
    vector, whole = Prosthetics(), Prosthetics(observation="dict")
    for env in (vector, whole):
        env.reset(seed=1)
    for _ in range(3):
        observation, state = (env.step(np.full(19, 0.4))[0] for env in (vector, whole))
    seen = by_name(vector, observation)
    pelvis, head = state["body_pos"]["pelvis"], state["body_pos"]["head"]
    assert seen["pelvis y"] == pelvis[1]
    assert (seen["head x"], seen["head y"]) == tuple(head[:2] - pelvis[:2])
    rotations = state["body_pos_rot"]
    assert seen["head rotation z"] == rotations["head"][2] - rotations["pelvis"][2]
    assert seen["head acceleration y"] == pytest.approx(state["body_acc"]["head"][1])
    assert seen["toes_r x"] == 0  # the prosthesis has no toes
    assert seen["knee_l velocity"] == state["joint_vel"]["knee_l"][0]
    assert seen["mass centre x"] == pytest.approx(state["misc"]["mass_center_pos"][0] - pelvis[0])
    assert seen["vasti_l fiber length"] == state["muscles"]["vasti_l"]["fiber_length"]


def test_it_ends_when_the_pelvis_sinks() -> None:
    env = Prosthetics(integrator_accuracy=1e-3)  # with 1e-2 the integrator gives up on some processors
    env.reset(seed=1)
    for _ in range(200):
        observation, _, terminated, _, _ = env.step(np.zeros(19))
        assert terminated == (observation[0] < 0.6)
        if terminated:
            return
    pytest.fail("a body without muscle force stands")


def test_arguments_are_checked() -> None:
    for kwargs, said in (({"prosthetic": 1}, "true or false"), ({"difficulty": 2}, "0 or 1"), ({"model": ""}, "'3D'")):
        with pytest.raises(ValueError, match=said):
            Prosthetics(**kwargs)
