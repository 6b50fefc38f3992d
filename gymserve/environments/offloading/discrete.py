"""The offloading task with discrete actions."""

import itertools
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from gymserve.environments.offloading import radio
from gymserve.environments.offloading.environment import Offloading

GROUPS = 4  # largest number of groups of neighbours on the ring, which send or compute together
POWERS = (0.5, 1.0)
FLIGHTS = (
    (0.5, 0.5, 0.5), (0.0, 0.5, 0.5), (1.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 1.0, 0.5), (0.5, 0.5, 0.0), (0.5, 0.5, 1.0),
)  # fmt: skip


def joint_actions(users: int) -> NDArray[np.float32]:
    """(2^g · 2 · 7, 3 n + 8) actions of `Offloading` for n users in g = min(n, 4) groups.

    An action says which groups send (in this order: none first, all last), whether at half or full power, and whether the
    vehicle stays, or flies 50 m against or along x, y or z. Users that send have equal shares of the server, and the surface's
    phases are equal.
    """
    groups = min(users, GROUPS)
    group = np.arange(users) * groups // users
    actions = [
        np.concatenate([np.array(sent)[group], np.ones(users), np.full(users, power), np.zeros(radio.COLUMNS), flight])
        for sent, power, flight in itertools.product(itertools.product((0.0, 1.0), repeat=groups), POWERS, FLIGHTS)
    ]
    return np.array(actions, np.float32)


class OffloadingDiscrete(Offloading):
    """`Offloading` with the actions of `joint_actions`, by their index; takes the same arguments."""

    def _actions(self) -> spaces.Space[object]:
        self.choices = joint_actions(self.users)
        return spaces.Discrete(len(self.choices))

    # Any: an integer, of Python or of numpy.
    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, float]]:
        return super().step(self.choices[int(action)])
