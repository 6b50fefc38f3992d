"""The interpreters in which environments live: of hosts, graders, videos and training, and of commands, all made alike.

An environment may depend on the order of a set of strings, on a variable or on the directory where it stands. So that what
one interpreter has recorded can be replayed in another, this is the one place that says what all of them have in common.
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
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_CBWR",  # on which the last bits of sums depend
)  # fmt: skip
EGL = "libEGL.so.1"
DIRECTORY = "work"


def variables(own: Mapping[str, str]) -> dict[str, str]:
    """All environment variables of such an interpreter.

    Args:
        own: the setting ENVIRONMENT_VARIABLES, which goes before all others.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**drawing(), **inherited, **FIXED, "PYTHONPATH": _path(), **own}


def _path() -> str:
    return os.pathsep.join(dict.fromkeys(os.path.abspath(each) for each in sys.path if os.path.exists(each or ".")))


def command(module: str, *arguments: str) -> list[str]:
    """What runs a module of ours in one; `-P`: nothing is imported from where it stands, since environments write there."""
    return [sys.executable, "-P", "-m", module, *arguments]


def again() -> dict[str, str]:
    """The variables of another interpreter that is made as this one."""
    return {**os.environ, **FIXED, "PYTHONPATH": _path()}


def drawing(library: str = EGL) -> dict[str, str]:
    """How MuJoCo draws without a screen; nothing where `library` cannot be loaded, as then not even stepping would work."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return {}
    return {"MUJOCO_GL": "egl"}


def directory(data: Path) -> Path:
    """Where the interpreters of the server with this data directory stand: what an environment opens by a relative name.

    The database and the secrets are not in it.
    """
    path = data.resolve() / DIRECTORY
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def become_alike() -> None:
    """Begins this command again in such an interpreter, unless it runs in one; the user's own variables stay."""
    wanted = {**drawing(), **os.environ, **FIXED}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**wanted, "PYTHONPATH": _path()})


@contextlib.contextmanager
def unchanged() -> Iterator[None]:
    """Afterwards this process has the variables and the working directory that it had before."""
    before, directory = dict(os.environ), os.getcwd()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        os.chdir(directory)
