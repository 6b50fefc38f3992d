"""Reads and sets the length of an integrator's next internal step, the only part of its state that OpenSim's Python API hides.

SimTK's functions are called by their mangled names (Itanium C++ ABI).
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gymserve.environments.opensim.physics.simulation import library

if TYPE_CHECKING:
    import opensim


def next_step(manager: "opensim.Manager") -> float:
    """The step, in s, that a manager's integrator tries next.

    Raises:
        OSError, AttributeError: this build of OpenSim has no such function.
    """
    seconds: float = _simtk()._ZNK5SimTK10Integrator24getPredictedNextStepSizeEv(int(manager.getIntegrator()))
    return seconds


def begin_with(manager: "opensim.Manager", seconds: float) -> None:
    """Sets the length of the first step of a manager that is not initialised yet.

    Raises:
        OSError, AttributeError: as for `next_step`.
    """
    _simtk()._ZN5SimTK10Integrator18setInitialStepSizeEd(int(manager.getIntegrator()), seconds)


@cache
def _simtk() -> ctypes.CDLL:
    libraries = sorted(Path(str(library().__file__)).parent.glob("libSimTKmath.so*"))
    if not libraries:
        raise OSError("this build of OpenSim has no libSimTKmath.so")
    simtk = ctypes.CDLL(str(libraries[0]))
    predicted = simtk._ZNK5SimTK10Integrator24getPredictedNextStepSizeEv
    initial = simtk._ZN5SimTK10Integrator18setInitialStepSizeEd
    predicted.argtypes, predicted.restype = [ctypes.c_void_p], ctypes.c_double
    initial.argtypes, initial.restype = [ctypes.c_void_p, ctypes.c_double], None
    return simtk
