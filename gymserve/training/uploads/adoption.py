"""`python -m gymserve.training.uploads.adoption FOLDER`: turns an untrusted model into one of ours.

It builds a new model from FOLDER's plan, and loads the untrusted weights, which `sandbox` reads in its own process; all saved
bytes are written by us. The `.pth` files arrive on standard input, as a msgpack map.
"""

import importlib
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gymserve.protocol.errors import Untrainable
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners.folder import SPACES, Folder

if TYPE_CHECKING:
    import torch
    from stable_baselines3.common.base_class import BaseAlgorithm

SANDBOX_SECONDS = 60.0
MEMORY_BYTES = 4 * 2**30
Tensors = dict[str, tuple[str, list[int], bytes]]
SHOWN = 3  # differences listed in a message


class Read(msgspec.Struct):
    """The sandbox's answer."""

    tensors: Tensors | None = None
    error: str = ""


def main() -> int:
    """Adopt the model in FOLDER, and write the outcome."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    folder = Folder(Path(sys.argv[1]))
    files = sys.stdin.buffer.read()
    try:
        with ThreadPoolExecutor(1) as other:
            reading = other.submit(_in_sandbox, files)
            model = _built(folder)  # in parallel: both take seconds to import torch
            adopt(model, reading.result(), folder)
    except Exception as error:
        text = str(error).partition("\n")[0] or type(error).__name__
        folder.end(ExperimentState.FAILED, reason=text[:500])
        return 1
    folder.end(ExperimentState.COMPLETED)
    return 0


def _in_sandbox(files: bytes) -> Tensors:
    """Read the weights in a sandboxed process.

    Raises:
        Untrainable: the files contain no weights, or other things too.
    """
    command = [sys.executable, "-m", "gymserve.training.uploads.sandbox"]
    try:
        done = subprocess.run(command, input=files, capture_output=True, timeout=SANDBOX_SECONDS, cwd="/", check=False)
        read = msgspec.msgpack.decode(done.stdout, type=Read)
    except subprocess.TimeoutExpired:
        raise Untrainable(f"reading the weights takes longer than {SANDBOX_SECONDS:g} s") from None
    except msgspec.MsgspecError:
        raise Untrainable(f"reading the weights killed the process ({done.returncode})") from None
    if read.tensors is None:
        raise Untrainable(f"the weights cannot be read safely: {read.error:.300}")
    return read.tensors


def _built(folder: Folder) -> "BaseAlgorithm":
    """Build a new model from the plan, and save the spaces in which it is queried."""
    from stable_baselines3.common.save_util import save_to_pkl

    from gymserve.training.runners import vector_env
    from gymserve.training.runners.sb3 import arguments

    plan = folder.training_plan()
    kind = getattr(importlib.import_module(plan.package), plan.algorithm)
    env = vector_env.make(plan, training=False)
    save_to_pkl(folder.path / SPACES, vector_env.spaces_of(env, plan))
    hyperparameters = arguments(plan, env)
    if "buffer_size" in hyperparameters:
        hyperparameters["buffer_size"] = 1  # it only acts; an experiment that retrains it sets the size
    model: BaseAlgorithm = kind(env=env, seed=plan.seed, **hyperparameters)
    return model


def adopt(model: "BaseAlgorithm", tensors: Tensors, folder: Folder) -> None:
    """Write `model.zip`: the model with these weights.

    Raises:
        Untrainable: the weights do not fit its algorithm and environment.
    """
    model.policy.load_state_dict(_fitting(model.policy.state_dict(), tensors, folder.training_plan()), strict=True)
    model.save(folder.path / "model.zip")
    env = model.get_env()
    assert env is not None
    env.close()


def _fitting(own: "dict[str, torch.Tensor]", tensors: Tensors, plan: TrainingPlan) -> "dict[str, torch.Tensor]":
    """Convert the weights to torch tensors.

    Raises:
        Untrainable: names or shapes differ, or a value is not finite.
    """
    import numpy
    import torch

    wrong = [f"{name} is missing" for name in own if name not in tensors]
    wrong += [f"{name:.100} is not one of its weights" for name in tensors if name not in own]
    for name, (_, shape, _) in tensors.items():
        if name in own and shape != list(own[name].shape):
            wrong.append(f"{name} is {tuple(shape)}, not {tuple(own[name].shape)}")
    if wrong:
        more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise Untrainable(
            f"the weights are not those of {plan.algorithm} on {plan.env_id} with these hyper-parameters: "
            f"{', '.join(wrong[:SHOWN])}{more}"
        )
    weights = {}
    for name, (kind, shape, data) in tensors.items():
        array = numpy.frombuffer(data, numpy.dtype(kind)).reshape(shape)
        if array.dtype.kind == "f" and not numpy.isfinite(array).all():
            raise Untrainable(f"{name} contains values that are not finite")
        weights[name] = torch.from_numpy(array.copy())
    return weights


if __name__ == "__main__":
    sys.exit(main())
