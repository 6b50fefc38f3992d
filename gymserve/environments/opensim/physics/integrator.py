"""How long the next internal step of an integrator will be: the one thing of its state that OpenSim's Python hides.

SimTK's functions are called by their names in its library, as the Itanium C++ ABI spells them.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

from gymserve.environments.opensim.physics.simulation import library


def next_step(manager: Any) -> float:
    """The step, in s, that a manager's integrator tries next.

    Raises:
        OSError, AttributeError: this build of OpenSim has no such function.
    """
    seconds: float = _simtk()._ZNK5SimTK10Integrator24getPredictedNextStepSizeEv(int(manager.getIntegrator()))
    return seconds


def begin_with(manager: Any, seconds: float) -> None:
    """Lets a manager that is to be initialised begin with a step of that length.

    Raises:
        OSError, AttributeError: as for `next_step`.
    """
    _simtk()._ZN5SimTK10Integrator18setInitialStepSizeEd(int(manager.getIntegrator()), seconds)


@cache
def _simtk() -> Any:
    found = sorted(Path(library().__file__).parent.glob("libSimTKmath.so*"))
    if not found:
        raise OSError("this build of OpenSim has no libSimTKmath.so")
    simtk = ctypes.CDLL(str(found[0]))
    predicted = simtk._ZNK5SimTK10Integrator24getPredictedNextStepSizeEv
    initial = simtk._ZN5SimTK10Integrator18setInitialStepSizeEd
    predicted.argtypes, predicted.restype = [ctypes.c_void_p], ctypes.c_double
    initial.argtypes, initial.restype = [ctypes.c_void_p, ctypes.c_double], None
    return simtk
