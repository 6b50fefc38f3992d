"""The energy of computing, sending and flying, in joules."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SWITCHED = 1e-27  # effective capacitance of a processor
BLADE, INDUCED = 79.86, 88.63  # watts when hovering
TIP_SPEED, INDUCED_SPEED = 120.0, 4.03  # metres a second
PARASITE = 0.5 * 0.6 * 1.225 * 0.05 * 0.503  # drag ratio, density of air, solidity, disc area
WEIGHT = 20.0  # newtons


def computing(cycles: Array, frequency: float) -> Array:
    """The energy of a processor for a number of cycles at `frequency` hertz: κ f² c.

    Mao et al. 2017, A Survey on Mobile Edge Computing: The Communication Perspective, section II.
    """
    return SWITCHED * frequency**2 * cycles


def sending(power: Array, seconds: Array) -> Array:
    """The energy of a transmitter: p t. The same survey, section II."""
    return power * seconds


def flying(moved: Array, seconds: float) -> float:
    """The energy of a rotary-wing vehicle that moves in a straight line within `seconds`.

    Climbing costs the vehicle's weight times the height.

    P(v) = P0 (1 + 3 v² / U²) + Pi (√(1 + v⁴ / 4 v0⁴) - v² / 2 v0²)^½ + ½ d0 ρ s A v³: Zeng, Xu and Zhang 2019,
    Energy Minimization for Wireless Communication with Rotary-Wing UAV, equation 12 with the values of its table I.

    Args:
        moved: (3,) metres, the third upwards.
    """
    speed = float(np.hypot(moved[0], moved[1])) / seconds
    ratio = speed**2 / (2 * INDUCED_SPEED**2)
    blade = BLADE * (1 + 3 * speed**2 / TIP_SPEED**2)
    induced = INDUCED * np.sqrt(np.sqrt(1 + ratio**2) - ratio)
    power = blade + induced + PARASITE * speed**3
    return float(power * seconds + WEIGHT * max(float(moved[2]), 0.0))
