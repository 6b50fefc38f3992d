"""Space classes that are not Gymnasium's are supported by their samples, or the unsupported part is named."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import Space, spaces
from gymnasium.vector import SyncVectorEnv

from gymserve.protocol.errors import InvalidRequest, InvalidValue
from gymserve.protocol.spaces import codec, describe, from_description


class MissionSpace(Space[str]):
    """Like MiniGrid's: a function makes the text from placeholders."""

    def __init__(self, mission_func: Callable[..., str], ordered_placeholders: list[list[str]]) -> None:
        self.mission_func, self.ordered_placeholders = mission_func, ordered_placeholders
        super().__init__(dtype=str)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        chosen = [words[self.np_random.integers(len(words))] for words in self.ordered_placeholders]
        return self.mission_func(*chosen)

    def contains(self, x: Any) -> bool:
        return any(x == self.mission_func(colour) for colour in self.ordered_placeholders[0])


class Simplex(Space[np.ndarray]):
    """Three numbers whose sum is 1."""

    def __init__(self) -> None:
        super().__init__((3,), np.float32)

    def sample(self, mask: Any = None, probability: Any = None) -> np.ndarray:
        return self.np_random.dirichlet(np.ones(3)).astype(np.float32)

    def contains(self, x: Any) -> bool:
        return bool(x.shape == (3,) and abs(float(x.sum()) - 1) < 1e-3)


class Moods(Space[Any]):
    def sample(self, mask: Any = None, probability: Any = None) -> Any:
        return {"good", "bad"}

    def contains(self, x: Any) -> bool:
        return isinstance(x, set)


MISSION = MissionSpace(lambda colour: f"get the {colour} ball", [["red", "blue"]])


def test_a_space_of_strings_is_described_as_text() -> None:
    mission = codec(MISSION)
    assert mission.pack("get the red ball") == mission.to_json("get the red ball") == "get the red ball"
    assert mission.from_json("get the blue ball") == mission.unpack("get the blue ball") == "get the blue ball"
    assert mission.unpack("get some sleep", check=False) == "get some sleep"
    for wrong in ("get some sleep", 5, ["red"]):
        with pytest.raises(InvalidValue, match="action is"):
            mission.from_json(wrong)
    described = from_description(describe(MISSION))
    assert isinstance(described, spaces.Text) and "get the red ball" in described


def test_a_space_of_arrays_is_described_as_a_box_without_bounds() -> None:
    shares = codec(Simplex())
    value = np.array([0.5, 0.25, 0.25], np.float32)
    assert np.array_equal(shares.unpack(shares.pack(value)), value)
    assert np.array_equal(shares.from_json(shares.to_json(value)), value)
    with pytest.raises(InvalidValue, match="not in its Simplex"):
        shares.from_json([1, 1, 1])
    with pytest.raises(InvalidValue, match="not in its Simplex"):
        shares.unpack(shares.pack(value * 2))
    assert from_description(describe(Simplex())) == spaces.Box(-np.inf, np.inf, (3,), np.float32)


def test_the_spaces_own_generator_is_unchanged() -> None:
    one, other = (MissionSpace(MISSION.mission_func, [["red", "blue", "green"]]) for _ in range(2))
    one.seed(5)
    other.seed(5)
    codec(one)
    describe(one)
    assert [one.sample() for _ in range(20)] == [other.sample() for _ in range(20)]


@pytest.mark.parametrize(
    ("space", "part"),
    [
        (Moods(), "spaces of class Moods"),
        (spaces.Dict({"mission": MISSION, "mood": Moods()}), r'in \["mood"\]: spaces of class Moods'),
        (spaces.Tuple([MISSION, spaces.Dict({"mood": Moods()})]), r'in \[1\]\["mood"\]: spaces of class Moods'),
        (spaces.OneOf([MISSION, Moods()]), r"in \[1\]: spaces of class Moods"),
        (spaces.Sequence(Moods()), "spaces of class Moods"),
    ],
)
def test_an_unsupported_part_is_named_with_its_position(space: Space[Any], part: str) -> None:
    with pytest.raises(InvalidRequest, match=part):
        codec(space)
    with pytest.raises(InvalidRequest, match=part):
        describe(space)


class Grid(gymnasium.Env[Any, int]):
    """Has observations like MiniGrid's environments."""

    action_space = spaces.Discrete(7)
    observation_space = spaces.Dict({"image": spaces.Box(0, 255, (7, 7, 3), np.uint8), "mission": MISSION})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return {"image": np.zeros((7, 7, 3), np.uint8), "mission": "get the red ball"}, {}


def test_observations_of_vector_environments_are_supported() -> None:
    env = SyncVectorEnv([Grid, Grid])
    observations = codec(env.observation_space)
    seen, _ = env.reset(seed=1)
    assert observations.unpack(observations.pack(seen), check=False)["mission"] == ("get the red ball",) * 2
    assert from_description(describe(env.observation_space))["mission"] is not None
    env.close()
