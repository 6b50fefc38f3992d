"""`python -m gymserve.training.uploads.sandbox`: reads `.pth` files that nobody vouches for, and tells what tensors they hold.

A map of names to bytes comes in, a map of the policy's tensors goes out, both as msgpack. torch reads nothing but tensors and
plain containers (`weights_only`). Should something get through nonetheless, it finds itself in a process that can open no file,
start no process, has no network where the kernel allows to take it away, and little memory and time.
"""

import ctypes
import io
import os
import resource
import sys
from typing import Any

import msgspec

POLICY = "policy.pth"
CPU_SECONDS = 30
MEMORY_BYTES = 2**30  # beside what torch takes
MOST_BYTES = 256 * 2**20  # of all tensors
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # of Linux' unshare
KINDS = ("float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")


def main() -> int:
    files: dict[str, bytes] = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=dict[str, bytes])
    ctypes.CDLL(None).unshare(NEW_USER | NEW_NETWORK)  # as long as there is one thread; refused in some containers
    import torch

    torch.set_num_threads(1)
    warm = io.BytesIO()
    torch.save({"all": torch.zeros(1)}, warm)
    _load(torch, warm.getvalue())  # imports what reading needs, before no file can be opened
    _confine()
    try:
        loaded = {name: _load(torch, data) for name, data in files.items()}
        answer: dict[str, Any] = {"tensors": _told(torch, loaded[POLICY])}
    except MemoryError:
        answer = {"error": "reading it takes too much memory"}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.200}"}
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer))
    sys.stdout.buffer.flush()
    os._exit(0)


def _load(torch: Any, data: bytes) -> Any:
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _confine() -> None:
    """Takes away all that reading bytes does not need."""
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
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


def _told(torch: Any, state: Any) -> dict[str, tuple[str, list[int], bytes]]:
    """Name → (kind, shape, bytes in C order) of a state dictionary's tensors.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ValueError("it holds no dictionary of tensors")
    found, left = {}, MOST_BYTES
    for name, tensor in state.items():
        if type(tensor) is not torch.Tensor or tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise ValueError(f"{name:.100} is no plain tensor")
        kind = str(tensor.dtype).removeprefix("torch.")
        left -= tensor.numel() * tensor.element_size()
        if kind not in KINDS or left < 0:
            raise ValueError(f"{name:.100} is of the kind {kind}, or all of them are too large")
        found[name] = (kind, list(tensor.shape), tensor.detach().contiguous().numpy().tobytes())
    return found


if __name__ == "__main__":
    sys.exit(main())
