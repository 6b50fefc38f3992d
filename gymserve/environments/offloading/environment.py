"""The offloading task: users, a base station with a server, and a vehicle whose surface reflects the users' signals."""

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from gymserve.environments.offloading import energy, radio
from gymserve.environments.offloading.tasks import Averages, Tasks

Array = NDArray[np.float64]
MOST_USERS = 100
SLOT = 5.0  # seconds
PATIENCE = 4 * SLOT  # seconds until a task is given up
POWER = 0.5  # a user's maximum transmission power in watts
SIDE, LOWEST, HIGHEST = 100.0, 20.0, 120.0  # metres: the vehicle flies within ±SIDE, ±SIDE, LOWEST … HIGHEST
REACH = 50.0  # metres that the vehicle can fly per slot, along each axis
STATION = np.array([0.0, 0.0, 10.0])
RING = 80.0  # the users' distance from the station in metres
LEAST_CAPACITY = 0.01  # least part of the server for a task that is sent
LEAST_SHARE, LEAST_POWER = 0.2, 0.2  # lower bounds of an action's values
TIME_WEIGHT, ENERGY_WEIGHT, FLIGHT_WEIGHT = 0.05, 0.05, 5e-5  # cost of a second, of a joule, of a joule of flight
LATE = 0.2  # cost of a task that misses its time limit


class Offloading(gymnasium.Env[NDArray[np.float32], object]):
    """RUNT's task: decide which users send their tasks to the server, at which power, and where the surface flies.

    Observation, (4 n + 4,) float32 in [0, 1], for n users: their tasks' cycles, sizes and time limits (1: twice the average;
    no cycles: no task), their own processors' backlogs (1: 20 s); the vehicle's x, y, z in its area; the server's free part.

    Action, (3 n + 8,) float32 in [0, 1]: which users send their task to the server (from 0.5 on), their shares of the server's
    free part, their powers (1: 0.5 W); five phases of the surface (1: 2 π); the vehicle's flight along x, y, z (0 … 1: -50 …
    50 m).

    Reward: minus the cost of the slot: for each task 0.05 per second, 0.05 per joule, 0.2 if it is late; 0.00005 per joule of
    flight. A task that is not done after 20 s is given up.

    Args:
        n_UE: the number of users, evenly spaced on a ring.
        task_size_average: in kilobytes; task_comsumption_average: in millions of cycles; task_time_average: in seconds.
        task_arrival_rate: the probability of a task, for each user in each slot of 5 s.
        UE_computation_capacity, MEC_computation_capacity: millions of cycles per second, of each user and of the server.
    """

    metadata = {"render_modes": []}
    action_space: spaces.Space[object]

    def __init__(
        self,
        n_UE: int = 5,
        task_size_average: float = 450.0,
        task_comsumption_average: float = 4500.0,
        task_time_average: float = 5.0,
        task_arrival_rate: float = 0.3,
        UE_computation_capacity: float = 1000.0,
        MEC_computation_capacity: float = 5000.0,
    ) -> None:
        if isinstance(n_UE, bool) or not isinstance(n_UE, int) or not 1 <= n_UE <= MOST_USERS:
            raise ValueError(f"n_UE must be an integer from 1 to {MOST_USERS}, not {n_UE!r:.50}")
        self.users = n_UE
        self.averages = Averages(
            _positive("task_comsumption_average", task_comsumption_average),
            _positive("task_size_average", task_size_average),
            _positive("task_time_average", task_time_average),
        )
        self.rate = _positive("task_arrival_rate", task_arrival_rate, most=1.0)
        self.own = _positive("UE_computation_capacity", UE_computation_capacity)
        self.server = _positive("MEC_computation_capacity", MEC_computation_capacity)
        self.observation_space = spaces.Box(0.0, 1.0, (4 * n_UE + 4,), np.float32)
        self.action_space = self._actions()
        angles = 2 * np.pi * np.arange(n_UE) / n_UE
        self.places = np.stack([RING * np.cos(angles), RING * np.sin(angles), np.zeros(n_UE)], axis=1)
        self._low, self._high = np.array([-SIDE, -SIDE, LOWEST]), np.array([SIDE, SIDE, HIGHEST])

    def _actions(self) -> spaces.Space[object]:
        return spaces.Box(0.0, 1.0, (3 * self.users + radio.COLUMNS + 3,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, object]]:
        """Begins with an idle system, or with the state that `options["observation"]` describes.

        Raises:
            ValueError: that is not a valid observation.
        """
        super().reset(seed=seed)
        self.tasks = self._draw_tasks()
        self.backlogs = np.zeros(self.users)  # seconds
        self.vehicle = np.array([0.0, 0.0, LOWEST])
        self.busy: list[tuple[float, float]] = []  # (capacity, seconds) of the server's tasks
        if options and options.get("observation") is not None:
            self._begin_at(np.asarray(options["observation"], np.float32))
        return self._observation(), {}

    def _begin_at(self, observation: NDArray[np.float32]) -> None:
        if not self.observation_space.contains(observation):
            raise ValueError(f"observation must be {4 * self.users + 4} numbers from 0 to 1")
        *own, rest = np.split(observation.astype(np.float64), self.users * np.arange(1, 5))
        cycles, sizes, limits = (part * 2 * average for part, average in zip(own, self.averages, strict=False))
        self.tasks, self.backlogs = Tasks(cycles, sizes, limits), own[3] * PATIENCE
        self.vehicle = self._low + rest[:3] * (self._high - self._low)
        self.busy = [((1 - rest[3]) * self.server, SLOT)]

    def _draw_tasks(self) -> Tasks:
        return Tasks.draw(self.averages, self.rate, self.users, self.np_random)

    @property
    def free(self) -> float:
        """The server's free capacity in millions of cycles per second."""
        return max(0.0, self.server - sum(capacity for capacity, _ in self.busy))

    def _observation(self) -> NDArray[np.float32]:
        shown = [part / (2 * average) for part, average in zip(self.tasks, self.averages, strict=True)]
        place = (self.vehicle - self._low) / (self._high - self._low)
        parts = [*shown, self.backlogs / PATIENCE, place, [self.free / self.server]]
        return np.clip(np.concatenate(parts), 0.0, 1.0).astype(np.float32)

    def step(self, action: object) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, float]]:
        """Runs one slot; `info` has the parts of its cost, and the numbers of tasks and of late tasks."""
        send, share, power, phases, flight = self._read(action)
        has_task = self.tasks.present
        flown = self._fly(flight)
        seconds, joules = np.zeros(self.users), np.zeros(self.users)
        for users, act in ((has_task & ~send, self._compute), (has_task & send, self._offload)):
            used, spent = act(users, share, power, phases)
            seconds[users], joules[users] = used[users], spent[users]
        late = int((seconds > self.tasks.limits)[has_task].sum())
        cost = TIME_WEIGHT * seconds.sum() + ENERGY_WEIGHT * joules.sum() + FLIGHT_WEIGHT * flown + LATE * late
        info = {
            "seconds": float(seconds.sum()), "joules": float(joules.sum()), "flight_joules": flown,
            "tasks": int(has_task.sum()), "late": late,
        }  # fmt: skip
        self._next_slot()
        return self._observation(), -float(cost), False, False, info

    def _read(self, action: object) -> tuple[NDArray[np.bool_], Array, Array, Array, Array]:
        """(users that send, shares 0 … 1, powers in watts), each (n,); phases, (COLUMNS,) radians; flight, (3,) metres."""
        clipped = np.clip(np.asarray(action, np.float64), 0.0, 1.0)
        ends = [self.users, 2 * self.users, 3 * self.users, 3 * self.users + radio.COLUMNS]
        send, share, power, phases, flight = np.split(clipped, ends)
        share, power = np.maximum(share, LEAST_SHARE), np.maximum(power, LEAST_POWER)
        return send >= 0.5, share, power * POWER, phases * 2 * np.pi, (2 * flight - 1) * REACH

    def _fly(self, flight: Array) -> float:
        """Moves the vehicle within its area; returns the joules of the flight."""
        before = self.vehicle
        self.vehicle = np.clip(before + flight, self._low, self._high)
        return energy.flying(self.vehicle - before, SLOT)

    def _compute(self, users: NDArray[np.bool_], share: Array, power: Array, phases: Array) -> tuple[Array, Array]:
        """(seconds, joules), each (n,), of tasks on the users' own processors, after their backlogs."""
        before = self.backlogs
        self.backlogs = np.minimum(before + np.where(users, self.tasks.cycles / self.own, 0.0), PATIENCE)
        cycles = (self.backlogs - before) * self.own * 1e6
        return self.backlogs, energy.computing(cycles, self.own * 1e6)

    def _offload(self, users: NDArray[np.bool_], share: Array, power: Array, phases: Array) -> tuple[Array, Array]:
        """(seconds, joules), each (n,), of tasks on the server, which divides its free capacity by the shares.

        The server's own energy comes from the mains, and is not counted.
        """
        gains = radio.channel_gains(self.places, STATION, self.vehicle, phases)
        rates = np.maximum(radio.rates(gains, power, users), 1.0)  # bits per second
        sending = np.minimum(self.tasks.sizes * 8e3 / rates, PATIENCE)
        weights = np.where(users, share, 0.0)
        capacity = np.maximum(self.free * weights / max(weights.sum(), LEAST_SHARE), LEAST_CAPACITY * self.server)
        seconds = np.minimum(sending + self.tasks.cycles / capacity, PATIENCE)
        self.busy += [(capacity[user], seconds[user]) for user in np.flatnonzero(users)]
        return seconds, energy.sending(power, sending)

    def _next_slot(self) -> None:
        self.backlogs = np.maximum(self.backlogs - SLOT, 0.0)
        self.busy = [(capacity, seconds - SLOT) for capacity, seconds in self.busy if seconds > SLOT]
        self.tasks = self._draw_tasks()


def _positive(name: str, value: object, *, most: float = 1e9) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        raise ValueError(f"{name} must be a number above 0, at most {most:g}, not {value!r:.50}")
    return float(value)
