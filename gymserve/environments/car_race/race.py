"""The environment: a car with five radars that must not leave the road."""

import math

import gymnasium
import numpy as np
from gymnasium import spaces

from gymserve.environments.car_race import reward as rewards
from gymserve.environments.car_race.tracks import MARGIN, TRACKS, track
from gymserve.protocol.errors import InvalidRequest

LEFT, RIGHT, STRAIGHT = range(3)
DIRECTIONS = {LEFT: -1, RIGHT: 1, STRAIGHT: 0}
TURN = 15  # degrees per step
STEP = 9.6  # pixels per step; twice as many straight ahead
SIGHT = 200  # range of a radar in pixels
RADARS = (-60, -30, 0, 30, 60)  # degrees from the heading, counter-clockwise: the first looks to the right
NOSE = ((0.0, 0.0), (16.0, -7.0), (16.0, 7.0))  # points of the car that must be on the road: (ahead, to the right)
START_AWAY, START_TURN = 8.0, 8.0  # largest offset of a start: pixels from the middle, degrees
SPEEDS = (1, 240)
_REACH = np.arange(1, SIGHT + 1)


class CarRace(gymnasium.Env[np.ndarray, int | np.integer]):
    """A race: observations are (5,) float32, pixels from the car to the grass along each radar; actions: left, right, straight.

    In each step the car drives ahead, and then turns. Leaving the road ends the episode; the car stays there until the reset.

    Args:
        track: 1 to 3.
        car_speed: steps per second of a video; steps themselves are not slowed down.
        reward: an expression or a function in the reward language (`docs/agents/dialects.md`); None: 1 for each step
            on the road.

    Raises:
        InvalidRequest: there is no such track, or the reward function is refused.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self, track: int = 1, car_speed: int = 20, reward: str | None = None, render_mode: str | None = None
    ) -> None:
        if isinstance(track, bool) or track not in TRACKS:
            raise InvalidRequest(f"track must be one of {', '.join(map(str, TRACKS))}, not {track!r:.50}")
        if isinstance(car_speed, bool) or not isinstance(car_speed, int) or not SPEEDS[0] <= car_speed <= SPEEDS[1]:
            raise InvalidRequest(f"car_speed must be an integer from {SPEEDS[0]} to {SPEEDS[1]}, not {car_speed!r:.50}")
        self.reward = rewards.read(reward) if reward is not None else None
        self.number, self.render_mode = int(track), render_mode
        self.metadata = {**self.metadata, "render_fps": car_speed}
        self.action_space = spaces.Discrete(3)
        self.observation_space = spaces.Box(0.0, float(SIGHT), (len(RADARS),), np.float32)
        self.x = self.y = self.heading = 0.0
        self.is_alive = False
        self._observation = np.zeros(len(RADARS), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[np.ndarray, dict[str, object]]:
        """Places the car at the start, slightly off the middle of the road."""
        super().reset(seed=seed)
        course = track(self.number)
        away = self.np_random.uniform(-START_AWAY, START_AWAY)
        self.heading = course.heading + self.np_random.uniform(-START_TURN, START_TURN)
        self.x, self.y = float(course.middle[0, 0]), float(course.middle[0, 1])
        across = math.radians(course.heading)
        self.x, self.y = self.x + away * math.sin(across), self.y + away * math.cos(across)
        self.is_alive = True
        self._observation = self._look()
        return self._observation.copy(), {}

    def step(self, action: int | np.integer) -> tuple[np.ndarray, float, bool, bool, dict[str, object]]:
        """Drives and turns.

        Raises:
            EnvironmentFailed: the reward function failed; the message gives the line and the reason.
        """
        direction = DIRECTIONS[int(action)]
        if self.is_alive:
            self._drive(direction)
        return self._observation.copy(), self._reward(direction), not self.is_alive, False, {}

    def _drive(self, direction: int) -> None:
        ahead, angle = STEP * (2 if direction == 0 else 1), math.radians(self.heading)
        self.x += ahead * math.cos(angle)
        self.y -= ahead * math.sin(angle)
        self.heading = (self.heading - TURN * direction) % 360.0
        self.is_alive = self._is_on_road()
        self._observation = self._look()

    def _reward(self, direction: int) -> float:
        if self.reward is None:
            return float(self.is_alive)
        return self.reward(self.is_alive, self._observation.tolist(), float(direction), float(TURN))

    def _is_on_road(self) -> bool:
        road, angle = track(self.number).road, math.radians(self.heading)
        cos, sin = math.cos(angle), math.sin(angle)
        return all(
            road[round(self.y - ahead * sin + right * cos) + MARGIN, round(self.x + ahead * cos + right * sin) + MARGIN]
            for ahead, right in NOSE
        )

    def _look(self) -> np.ndarray:
        """(5,) float32: the length of the road in the direction of each radar, in whole pixels."""
        angles = [math.radians(self.heading + radar) for radar in RADARS]
        cos, sin = np.array([[math.cos(each)] for each in angles]), np.array([[math.sin(each)] for each in angles])
        columns = (self.x + MARGIN + _REACH * cos).round().astype(np.intp)
        rows = (self.y + MARGIN - _REACH * sin).round().astype(np.intp)
        grass = ~track(self.number).road[rows, columns]
        return np.where(grass.any(1), grass.argmax(1), SIGHT).astype(np.float32)

    def render(self) -> np.ndarray | None:
        """(700, 800, 3) uint8: the track, the car, and the beams of its radars."""
        if self.render_mode is None:
            return None
        from gymserve.environments.car_race.picture import paint  # Pillow is not needed to drive

        angles = [math.radians(self.heading + radar) for radar in RADARS]
        tips = [
            (self.x + float(far) * math.cos(angle), self.y - float(far) * math.sin(angle))
            for far, angle in zip(self._observation, angles, strict=True)
        ]
        return paint(self.number, self.x, self.y, self.heading, tips)
