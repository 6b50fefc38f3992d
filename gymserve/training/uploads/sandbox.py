"""`python -m gymserve.training.uploads.sandbox`: reads untrusted `.pth` files and returns their tensors.

It reads a map of names to bytes and writes a map of the policy's tensors, both as msgpack. torch reads only tensors and plain
containers (`weights_only`). Should that be bypassed, the process can open no file, start no process, use no network (if the
kernel allows taking it away), and has little memory and time.
"""

import ctypes
import io
import os
import resource
import sys
from types import ModuleType

import msgspec
import psutil

POLICY = "policy.pth"
CPU_SECONDS = 30
MEMORY_BYTES = 2**30  # in addition to torch's own
MOST_BYTES = 256 * 2**20  # for all tensors
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # of Linux' unshare
KINDS = ("float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")


def main() -> int:
    """Read the files, confined, and write their tensors."""
    files: dict[str, bytes] = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=dict[str, bytes])
    ctypes.CDLL(None).unshare(NEW_USER | NEW_NETWORK)  # possible only with one thread; refused in some containers
    import torch

    torch.set_num_threads(1)
    warm = io.BytesIO()
    torch.save({"all": torch.zeros(1)}, warm)
    _load(torch, warm.getvalue())  # imports what reading needs while files can still be opened
    _confine()
    try:
        loaded = {name: _load(torch, data) for name, data in files.items()}
        answer: dict[str, object] = {"tensors": _tensors(torch, loaded[POLICY])}
    except MemoryError:
        answer = {"error": "reading it takes too much memory"}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.200}"}
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer))
    sys.stdout.buffer.flush()
    os._exit(0)


def _load(torch: ModuleType, data: bytes) -> object:
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _confine() -> None:
    """Drop every resource that reading bytes does not need."""
    taken = psutil.Process().memory_info().vms
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    for limit, most in (
        (resource.RLIMIT_CPU, int(used) + CPU_SECONDS),
        (resource.RLIMIT_AS, taken + MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(limit, (most, most))


def _tensors(torch: ModuleType, state: object) -> dict[str, tuple[str, list[int], bytes]]:
    """Return name → (kind, shape, bytes in C order) of a state dictionary's tensors.

    Raises:
        ValueError: it is not such a dictionary.
    """
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ValueError("it contains no dictionary of tensors")
    tensors, left = {}, MOST_BYTES
    for name, tensor in state.items():
        if type(tensor) is not torch.Tensor or tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise ValueError(f"{name:.100} is not a plain tensor")
        kind = str(tensor.dtype).removeprefix("torch.")
        left -= tensor.numel() * tensor.element_size()
        if kind not in KINDS or left < 0:
            raise ValueError(f"{name:.100} is of the kind {kind}, or all of them are too large")
        tensors[name] = (kind, list(tensor.shape), tensor.detach().contiguous().numpy().tobytes())
    return tensors


if __name__ == "__main__":
    sys.exit(main())
