"""Users with tasks, a base station with a server, and a vehicle whose surface reflects what the users send."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from gymserve.environments.offloading import energy, radio
from gymserve.environments.offloading.tasks import Averages, Tasks

Array = NDArray[np.float64]
MOST_USERS = 100
SLOT = 5.0  # seconds
PATIENCE = 4 * SLOT  # seconds after which a task is given up
POWER = 0.5  # watts that a user sends with at most
SIDE, LOWEST, HIGHEST = 100.0, 20.0, 120.0  # metres: the vehicle flies within ±SIDE, ±SIDE, LOWEST … HIGHEST
REACH = 50.0  # metres that it flies in a slot, along each axis
STATION = np.array([0.0, 0.0, 10.0])
RING = 80.0  # metres from the station: where the users are
LEAST_CAPACITY = 0.01  # of the server, for any task that it gets
LEAST_SHARE, LEAST_POWER = 0.2, 0.2  # of what an action can ask for
TIME_WEIGHT, ENERGY_WEIGHT, FLIGHT_WEIGHT = 0.05, 0.05, 5e-5  # of a second, and of a joule
LATE = 0.2  # for a task that is not done within its limit


class Offloading(gymnasium.Env[NDArray[np.float32], Any]):
    """RUNT's task: who computes on their own, who on the server, at which power, and where the surface hovers.

    Observation, (4 n + 4,) float32 in [0, 1], of n users: their tasks' cycles, sizes and time limits (1: twice the average;
    no cycles: no task), their own processors' backlogs (1: 20 s); the vehicle's x, y, z in its area; the server's free part.

    Action, (3 n + 8,) float32 in [0, 1]: who sends their task to the server (from 0.5 on), their shares of what is free of it,
    their powers (1: 0.5 W); five phases of the surface (1: 2 π); the vehicle's flight along x, y, z (0 … 1: -50 … 50 m).

    Reward: minus what the slot cost: for each task 0.05 a second, 0.05 a joule, 0.2 if it is late; 0.00005 a joule of flight.
    A task that is not done after 20 s is given up.

    Args:
        n_UE: how many users there are, evenly on a ring.
        task_size_average: kilobytes; task_comsumption_average: millions of cycles; task_time_average: seconds.
        task_arrival_rate: the probability of a task, for each user in each slot of 5 s.
        UE_computation_capacity, MEC_computation_capacity: millions of cycles a second of each user, and of the server.
    """

    metadata = {"render_modes": []}
    action_space: spaces.Space[Any]

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

    def _actions(self) -> spaces.Space[Any]:
        return spaces.Box(0.0, 1.0, (3 * self.users + radio.COLUMNS + 3,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins with an idle system, or with the one that `options["observation"]` shows.

        Raises:
            ValueError: that is no observation.
        """
        super().reset(seed=seed)
        self.tasks = self._arriving()
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

    def _arriving(self) -> Tasks:
        return Tasks.arriving(self.averages, self.rate, self.users, self.np_random)

    @property
    def free(self) -> float:
        """Millions of cycles a second of the server that no task has."""
        return max(0.0, self.server - sum(capacity for capacity, _ in self.busy))

    def _observation(self) -> NDArray[np.float32]:
        shown = [part / (2 * average) for part, average in zip(self.tasks, self.averages, strict=True)]
        place = (self.vehicle - self._low) / (self._high - self._low)
        parts = [*shown, self.backlogs / PATIENCE, place, [self.free / self.server]]
        return np.clip(np.concatenate(parts), 0.0, 1.0).astype(np.float32)

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One slot. `info` tells the parts of its cost, and how many tasks were done and late."""
        send, share, power, phases, flight = self._read(action)
        there = self.tasks.there
        flown = self._fly(flight)
        seconds, joules = np.zeros(self.users), np.zeros(self.users)
        for who, done in ((there & ~send, self._compute), (there & send, self._offload)):
            used, spent = done(who, share, power, phases)
            seconds[who], joules[who] = used[who], spent[who]
        late = int((seconds > self.tasks.limits)[there].sum())
        cost = TIME_WEIGHT * seconds.sum() + ENERGY_WEIGHT * joules.sum() + FLIGHT_WEIGHT * flown + LATE * late
        info = {
            "seconds": float(seconds.sum()), "joules": float(joules.sum()), "flight_joules": flown,
            "tasks": int(there.sum()), "late": late,
        }  # fmt: skip
        self._next_slot()
        return self._observation(), -float(cost), False, False, info

    def _read(self, action: Any) -> tuple[NDArray[np.bool_], Array, Array, Array, Array]:
        """Who sends; shares 0 … 1, powers in watts, (n,) each; (COLUMNS,) radians; (3,) metres."""
        given = np.clip(np.asarray(action, np.float64), 0.0, 1.0)
        ends = [self.users, 2 * self.users, 3 * self.users, 3 * self.users + radio.COLUMNS]
        send, share, power, phases, flight = np.split(given, ends)
        share, power = np.maximum(share, LEAST_SHARE), np.maximum(power, LEAST_POWER)
        return send >= 0.5, share, power * POWER, phases * 2 * np.pi, (2 * flight - 1) * REACH

    def _fly(self, flight: Array) -> float:
        """Moves the vehicle within its area; the joules that it took."""
        before = self.vehicle
        self.vehicle = np.clip(before + flight, self._low, self._high)
        return energy.flying(self.vehicle - before, SLOT)

    def _compute(self, who: NDArray[np.bool_], share: Array, power: Array, phases: Array) -> tuple[Array, Array]:
        """Seconds and joules, (n,) each, of tasks on their users' own processors, behind what these have to do already."""
        before = self.backlogs
        self.backlogs = np.minimum(before + np.where(who, self.tasks.cycles / self.own, 0.0), PATIENCE)
        cycles = (self.backlogs - before) * self.own * 1e6
        return self.backlogs, energy.computing(cycles, self.own * 1e6)

    def _offload(self, who: NDArray[np.bool_], share: Array, power: Array, phases: Array) -> tuple[Array, Array]:
        """Seconds and joules of tasks that are sent to the server, which divides what is free of it by the shares.

        Its own energy comes from the mains, and is not counted.
        """
        gains = radio.channel_gains(self.places, STATION, self.vehicle, phases)
        rates = np.maximum(radio.rates(gains, power, who), 1.0)  # bits a second
        sending = np.minimum(self.tasks.sizes * 8e3 / rates, PATIENCE)
        weights = np.where(who, share, 0.0)
        capacity = np.maximum(self.free * weights / max(weights.sum(), LEAST_SHARE), LEAST_CAPACITY * self.server)
        seconds = np.minimum(sending + self.tasks.cycles / capacity, PATIENCE)
        self.busy += [(capacity[user], seconds[user]) for user in np.flatnonzero(who)]
        return seconds, energy.sending(power, sending)

    def _next_slot(self) -> None:
        self.backlogs = np.maximum(self.backlogs - SLOT, 0.0)
        self.busy = [(capacity, seconds - SLOT) for capacity, seconds in self.busy if seconds > SLOT]
        self.tasks = self._arriving()


def _positive(name: str, value: Any, *, most: float = 1e9) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        raise ValueError(f"{name} must be a number above 0, at most {most:g}, not {value!r:.50}")
    return float(value)
