"""The users' data rates to the base station, over a direct path that buildings block, and over the surface in the air.

Distances in metres, powers in watts, bandwidths in hertz, rates in bits per second, phases and angles in radians.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
WAVELENGTH = 0.0857  # 3.5 GHz
BLOCKAGE = 10 ** (-45 / 20)  # attenuation of a direct path's amplitude by buildings
COLUMNS = 5  # of the surface, each with its own phase
ELEMENTS = 200  # per column, half a wavelength apart
ELEMENT_GAIN = np.pi  # of a square patch with sides of half a wavelength
BANDWIDTH = 2e6  # for all users together
NOISE = 3.2e-20  # watts per hertz: -174 dBm, and 9 dB from the receiver


def free_space(distances: Array) -> Array:
    """Amplitude gains between isotropic antennas: λ / (4 π d).

    Friis 1946, A Note on a Simple Transmission Formula.
    """
    return WAVELENGTH / (4 * np.pi * np.maximum(distances, 1.0))


def element_gain(elements: int) -> float:
    """Amplitude gain of co-phased elements, in and out: n · 4 π A / λ², with A = (λ / 2)².

    Tang et al. 2021, Wireless Communications with Reconfigurable Intelligent Surface: Path Loss Modeling.
    """
    return elements * ELEMENT_GAIN


def array_factor(phases: Array, directions: Array) -> Array:
    """The array factor of the columns for each user, 0 … 1: |Σ exp(j (θ_k + π k u))| / K.

    Balanis 2016, Antenna Theory, chapter 6, for half a wavelength between columns.

    Args:
        phases: (COLUMNS,) phases of the columns.
        directions: (users,) sums of the cosines of arrival and departure along the columns' axis.
    """
    turns = phases + np.pi * np.outer(directions, np.arange(COLUMNS))
    return np.abs(np.exp(1j * turns).sum(axis=1)) / COLUMNS


def channel_gains(users: Array, station: Array, surface: Array, phases: Array) -> Array:
    """(users,) power gains of the direct path and the reflected one, which the surface brings into phase with it.

    Wu and Zhang 2019, Intelligent Reflecting Surface Enhanced Wireless Network via Joint Active and Passive Beamforming.

    Args:
        users: (users, 3) positions; `station` and `surface`: (3,); phases: (COLUMNS,).
    """
    direct = BLOCKAGE * free_space(np.linalg.norm(users - station, axis=1))
    arriving, leaving = users - surface, station - surface
    near = np.maximum(np.linalg.norm(arriving, axis=1), 1.0)
    far = max(float(np.linalg.norm(leaving)), 1.0)
    directions = arriving[:, 0] / near + leaving[0] / far
    hops = free_space(near) * free_space(np.array(far))
    reflected = hops * element_gain(COLUMNS * ELEMENTS) * array_factor(phases, directions)
    return (direct + reflected) ** 2


def rates(gains: Array, powers: Array, sending: NDArray[np.bool_]) -> Array:
    """(users,) rates: users that send share the bandwidth equally, b · log2(1 + p g / (N0 b)); others have 0.

    Shannon 1948, A Mathematical Theory of Communication.
    """
    band = BANDWIDTH / max(int(sending.sum()), 1)
    return np.where(sending, band * np.log2(1 + powers * gains / (NOISE * band)), 0.0)
