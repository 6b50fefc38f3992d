"""Spaces and environments in words."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from gymserve.environments.catalogue import Catalogue
from gymserve.protocol.spaces import describe
from gymserve.web.environments import words

catalogue = Catalogue()


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (spaces.Discrete(4), "4 choices, 0 to 3"),
        (spaces.Discrete(3, start=-1), "3 choices, −1 to 1"),
        (spaces.Box(-1, 1, (1,)), "1 number, −1 to 1 (float32)"),
        (spaces.Box(-np.inf, np.inf, (3,)), "3 numbers, unbounded (float32)"),
        (spaces.Box(0, np.inf, (2, 3)), "2 × 3 numbers, 0 to ∞ (float32)"),
        (spaces.Box(np.array([-1.0, -2.0]), np.array([1.0, 2.0]), dtype=np.float64), "2 numbers (float64)"),
        (spaces.Box(0, 255, (210, 160, 3), np.uint8), "a picture, 160 × 210 pixels, colour"),
        (spaces.MultiBinary(3), "3 switches, each 0 or 1"),
        (spaces.MultiBinary([2, 3]), "2 × 3 switches, each 0 or 1"),
        (spaces.MultiDiscrete([2, 5]), "2 numbers, each one of a few"),
        (spaces.Dict(a=spaces.Discrete(2), b=spaces.MultiBinary(1)), "2 parts: a: 2 choices, 0 to 1; b: 1 switch, each 0 or 1"),
        (spaces.Tuple([spaces.Discrete(2)]), "1 part: 1: 2 choices, 0 to 1"),
    ],
)  # fmt: skip
def test_a_space_is_described_in_words(space: gymnasium.Space, text: str) -> None:
    assert words.space(describe(space)) == text


def test_the_bounds_of_a_small_box_are_listed() -> None:
    box = spaces.Box(np.array([-1.0, -np.inf], np.float32), np.array([1.0, np.inf], np.float32))
    assert words.bounds(describe(box)) == ["−1 to 1", "unbounded"]
    assert words.bounds(describe(spaces.Box(0, 1, (50,)))) == []


def test_every_environment_has_a_family() -> None:
    assert words.family("CartPole-v1") == "Classic control"
    assert words.family("osim/Run-v0") == "OpenSim"
    families = {words.family(env_id) for env_id in catalogue.ids()}
    assert families <= {*words.FAMILIES.values(), words.OTHER}


@pytest.mark.parametrize("name", words.ACTIONS)
def test_the_names_of_actions_fit_the_environment(name: str) -> None:
    (env_id,) = (row["id"] for row in catalogue.rows([catalogue.resolve(name).id]))
    space = catalogue.spaces(env_id, {})["action_space"]
    assert len(words.action_names(env_id, space)) == space["n"] > 0


def test_actions_without_names_have_none() -> None:
    assert words.action_names("LunarLander-v3", describe(spaces.Box(-1, 1, (2,)))) == []
    assert words.action_names("CartPole-v1", describe(spaces.Discrete(3))) == []
