"""Starts all interpreters that run environments in the same way: those of hosts, graders, videos, training and commands.

An environment may depend on the order of a set of strings, on an environment variable, or on the working directory. This module
defines what all these interpreters have in common, so that a run recorded in one can be replayed in another.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

FIXED = {
    "PYTHONHASHSEED": "0",  # the order of sets of strings
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"),
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "PYGAME_HIDE_SUPPORT_PROMPT": "hide",
}
INHERITED = (
    "PATH", "HOME", "USER", "TMPDIR", "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSIM_MODELS", "MUJOCO_GL", "PYTHONDONTWRITEBYTECODE",
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_CBWR",  # the last bits of sums depend on these
)  # fmt: skip
EGL = "libEGL.so.1"
DIRECTORY = "work"


def variables(own: Mapping[str, str]) -> dict[str, str]:
    """All environment variables of such an interpreter.

    Args:
        own: the setting ENVIRONMENT_VARIABLES, which overrides all others.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**rendering_variables(), **inherited, **FIXED, "PYTHONPATH": _path(), **own}


def _path() -> str:
    return os.pathsep.join(dict.fromkeys(os.path.abspath(each) for each in sys.path if os.path.exists(each or ".")))


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module in one; with `-P` the working directory, where environments write, is not in sys.path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def variables_like_this() -> dict[str, str]:
    """The environment variables for another interpreter like this one."""
    return {**os.environ, **FIXED, "PYTHONPATH": _path()}


def rendering_variables(library: str = EGL) -> dict[str, str]:
    """The variable for MuJoCo to render without a screen; none if `library` cannot be loaded, since steps would then fail."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return {}
    return {"MUJOCO_GL": "egl"}


def directory(data: Path) -> Path:
    """The working directory of a server's interpreters, where an environment opens files by a relative name.

    It is inside the data directory, and contains neither the database nor secrets.
    """
    path = data.resolve() / DIRECTORY
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def reexecute_alike() -> None:
    """Restarts this command in such an interpreter, unless it runs in one; the user's other variables stay."""
    wanted = {**rendering_variables(), **os.environ, **FIXED}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**wanted, "PYTHONPATH": _path()})


@contextlib.contextmanager
def environment_preserved() -> Iterator[None]:
    """Restores the environment variables and the working directory of this process after the block."""
    before, directory = dict(os.environ), os.getcwd()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        os.chdir(directory)
