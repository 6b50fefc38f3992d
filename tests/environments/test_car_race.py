"""The car race: Gymnasium's API, its tracks, its radars, its rewards."""

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from gymserve import environments
from gymserve.environments import Catalogue
from gymserve.environments.car_race.race import LEFT, RIGHT, STRAIGHT, CarRace
from gymserve.environments.car_race.tracks import HEIGHT, MARGIN, TRACKS, WIDTH, track
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest


def driver(observation: Any) -> int:
    """An agent that turns to where the road continues."""
    right, slightly_right, ahead, slightly_left, left = (float(each) for each in observation)
    if ahead > 90 and min(slightly_left, slightly_right) > 30:
        return STRAIGHT
    return LEFT if slightly_left + left > slightly_right + right else RIGHT


def drive(env: Any, seed: int, steps: int = 1000) -> tuple[float, list[tuple[float, float]]]:
    """(return, the car's positions) of an episode with `driver`."""
    observation, _ = env.reset(seed=seed)
    total, places = 0.0, []
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(driver(observation))
        total += reward
        places.append((env.unwrapped.x, env.unwrapped.y))
        if terminated or truncated:
            break
    return total, places


@pytest.mark.parametrize("number", TRACKS)
def test_it_passes_gymnasiums_checks(number: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(CarRace(track=number, render_mode="rgb_array"), skip_render_check=True)


def test_the_catalogue_has_it() -> None:
    catalogue = Catalogue()
    entry = catalogue.resolve("car-race")
    assert (entry.id, entry.kind) == ("rewards/CarRace-v0", "shared")
    assert catalogue.allowed_kwargs(entry) == ["car_speed", "reward", "track"]
    (row,) = catalogue.rows(["rewards/CarRace-v0"])
    assert "car-race" in row["aliases"] and row["missing"] is None and row["max_episode_steps"] == 1000
    with pytest.raises(InvalidRequest, match="track must be one of 1, 2, 3, not 4"):
        environments.make(entry, kwargs={"track": 4})
    with pytest.raises(InvalidRequest, match=r"line 1: Attribute \(observation.__class__\)"):
        environments.make(entry, kwargs={"reward": "observation.__class__"})


@pytest.mark.parametrize("number", TRACKS)
def test_the_whole_track_can_be_driven(number: int) -> None:
    """The car passes every part of the track, and stays on the road for several laps."""
    total, places = drive(gymnasium.make("rewards/CarRace-v0", track=number), 0)
    assert total == 1000
    far = np.linalg.norm(track(number).middle[:, None] - np.array(places)[None], axis=-1).min(1)
    assert far.max() < 40


@pytest.mark.parametrize("number", TRACKS)
def test_the_road_lies_within_the_picture(number: int) -> None:
    road = track(number).road
    inside = road[MARGIN : MARGIN + HEIGHT, MARGIN : MARGIN + WIDTH]
    assert inside.sum() == road.sum() and 0.1 < inside.mean() < 0.5


def test_the_same_seed_and_actions_give_the_same_run() -> None:
    def run(seed: int) -> list[Any]:
        env = CarRace(track=2)
        np.random.seed(seed)  # must make no difference
        steps: list[Any] = [env.reset(seed=7)[0].tolist()]
        for action in np.random.default_rng(7).integers(3, size=40):
            observation, *rest = env.step(int(action))
            steps.append([observation.tolist(), *rest])
        return steps

    assert run(1) == run(2)
    assert CarRace().reset(seed=1)[0].tolist() != CarRace().reset(seed=2)[0].tolist()


def test_radars_turns_and_steps_are_those_of_rewards_api() -> None:
    env = CarRace()
    env.reset(seed=0)
    env.x, env.y, env.heading = 400.0, float(track(1).middle[0, 1]), 0.0
    before = env.x
    observation, *_ = env.step(STRAIGHT)
    assert env.x - before == pytest.approx(19.2) and env.heading == 0
    assert observation[0] == pytest.approx(35 / np.sin(np.radians(60)), abs=3)  # half a road to the right
    assert observation[0] == pytest.approx(observation[4], abs=4) and observation[2] > 150
    env.step(LEFT)
    assert env.heading == 15 and env.x - before == pytest.approx(28.8)
    observation, *_ = env.step(LEFT)
    assert env.heading == 30 and observation[4] < observation[0]
    env.step(RIGHT)
    assert env.heading == 15


def test_leaving_the_road_ends_the_episode_without_a_reward() -> None:
    env = gymnasium.make("rewards/CarRace-v0")
    env.reset(seed=3)
    rewards = []
    for _ in range(100):
        _, reward, terminated, truncated, _ = env.step(LEFT)
        rewards.append(reward)
        if terminated:
            break
    assert terminated and not truncated and 2 < len(rewards) < 30
    assert rewards == [1.0] * (len(rewards) - 1) + [0.0]


def test_driving_in_circles_leaves_the_road() -> None:
    for number in TRACKS:
        for way in (LEFT, RIGHT):
            env = CarRace(track=number)
            env.reset(seed=1)
            assert any(env.step(way)[2] for _ in range(30))


def test_users_can_write_the_reward() -> None:
    env = CarRace(reward="observation[2] / 200 + direction * 10 if is_alive else -5")
    env.reset(seed=3)
    for action, sign in ((STRAIGHT, 0), (RIGHT, 1), (LEFT, -1)):
        observation, reward, terminated, *_ = env.step(action)
        assert not terminated and reward == pytest.approx(float(observation[2]) / 200 + sign * 10)
    while not (answer := env.step(LEFT))[2]:
        continue
    assert answer[1] == -5.0


def test_a_reward_that_fails_says_why() -> None:
    env = CarRace(reward="1 / (direction - 1) if observation[2] > 0 and observation[2] < 150 else 1")
    env.reset(seed=3)
    with pytest.raises(EnvironmentFailed, match="the reward function, line 1: float division by zero"):
        for _ in range(100):
            env.step(RIGHT)


@pytest.mark.parametrize(
    ("name", "value"), [("track", 0), ("track", True), ("track", "1"), ("car_speed", 0), ("car_speed", 1.5)]
)
def test_kwargs_are_checked(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} must be"):
        CarRace(**{name: value})


@pytest.mark.parametrize("number", TRACKS)
def test_its_picture_shows_grass_road_and_car(number: int) -> None:
    env = CarRace(track=number, render_mode="rgb_array", car_speed=30)
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (700, 800, 3) and picture.dtype == np.uint8 and env.metadata["render_fps"] == 30
    colors = {tuple(color) for color in picture.reshape(-1, 3)[::7]}
    assert {(173, 255, 133), (84, 88, 94)} <= colors
    assert tuple(picture[round(env.y) - 5, round(env.x) - 8]) == (200, 40, 50)
    assert CarRace().render() is None
