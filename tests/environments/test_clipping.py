"""Clipping accepts any finite action of a Box, and changes nothing else."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from gymserve.environments.clipping import ClipActions
from gymserve.protocol.errors import InvalidRequest, InvalidValue
from gymserve.protocol.spaces import codec, describe
from gymserve.protocol.spaces.clipped import ClippedBox


def test_an_action_beyond_the_bounds_acts_like_the_bound() -> None:
    clipping, plain = ClipActions(gymnasium.make("Pendulum-v1")), gymnasium.make("Pendulum-v1")
    clipping.reset(seed=1)
    plain.reset(seed=1)
    actions = codec(clipping.action_space)
    for sent, meant in ((1e30, 2.0), (-7, -2.0), (0.5, 0.5)):
        value = actions.unpack(actions.pack(actions.from_json([sent])))
        clipped, expected = clipping.step(value), plain.step(np.array([meant], np.float32))
        assert np.array_equal(clipped[0], expected[0]) and clipped[1:4] == expected[1:4]


@pytest.mark.parametrize("action", ["[NaN]", "[1e999]", "[]", "[[1]]", '["x"]', "[null]", "[true]"])
def test_actions_that_are_not_finite_numbers_are_still_refused(action: str) -> None:
    actions = codec(ClippedBox.like(spaces.Box(-1.0, 1.0, (1,))))
    with pytest.raises(InvalidValue):
        actions.from_json(json.loads(action))


def test_agents_see_the_true_bounds() -> None:
    box = spaces.Box(-2, np.array([5, 6], np.int16), (2,), np.int16)
    assert describe(ClippedBox.like(box)) == describe(box)
    assert codec(ClippedBox.like(box)).from_json([-1000, 1000]).tolist() == [-1000, 1000]
    assert ClippedBox.like(box).clip(np.array([-1000, 1000], np.int16)).tolist() == [-2, 6]


def test_only_a_box_can_be_clipped() -> None:
    with pytest.raises(InvalidRequest, match="Box"):
        ClipActions(gymnasium.make("CartPole-v1"))
