"""Model files of Stable-Baselines3's from strangers, read so that nothing in them is ever run.

Such a file is a zip: `data`, a JSON object in which all that is no plain data stands pickled (never looked at here), and `.pth`
files, which `runners.sandbox` reads.
"""

import io
import json
import re
import zipfile
import zlib
from typing import Any

from gymserve.protocol.errors import InvalidRequest
from gymserve.training.plan.algorithms import Algorithm
from gymserve.training.plan.hyperparameters import POLICY

NAME = re.compile(r"data|system_info\.txt|_stable_baselines3_version|[A-Za-z0-9_]{1,50}(?:\.[A-Za-z0-9_]{1,50})?\.pth")
NEEDED = ("data", "policy.pth")
MOST_FILES = 20
MOST_BYTES = 256 * 2**20  # of all files together
MOST_DATA = 4 * 2**20
MOST_RATIO = 20  # of what comes out to what is there; weights hardly shrink
ACTIVATION = re.compile(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>")
ACTIVATIONS = {"Tanh": "tanh", "ReLU": "relu", "ELU": "elu", "LeakyReLU": "leaky_relu", "SiLU": "silu"}


def parts(data: bytes) -> dict[str, bytes]:
    """The files of a zip, by their names.

    Raises:
        InvalidRequest: it is none, holds what no such file holds, or grows too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check(infos, len(data))
            found = {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError, RuntimeError) as error:
        raise InvalidRequest(f"the body is not the zip file of a model: {error!s:.200}") from error
    except zlib.error as error:
        raise InvalidRequest("the body is not the zip file of a model: it is damaged") from error
    return found


def _check(infos: list[zipfile.ZipInfo], size: int) -> None:
    names = [info.filename for info in infos]
    if len(infos) > MOST_FILES or len(set(names)) < len(names):
        raise InvalidRequest(f"the zip has more than {MOST_FILES} files, or two of one name")
    for info in infos:
        if NAME.fullmatch(info.filename) is None:
            raise InvalidRequest(f"the zip holds {info.filename!r:.100}, which no model of Stable-Baselines3's does")
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidRequest(f"{info.filename} is encrypted, or packed in an unusual way")
    if missing := [name for name in NEEDED if name not in names]:
        raise InvalidRequest(f"the zip lacks {', '.join(missing)}: it is not what Stable-Baselines3's save() writes")
    whole = sum(info.file_size for info in infos)
    if whole > min(MOST_BYTES, MOST_RATIO * size):
        raise InvalidRequest(
            f"the zip would grow to {whole} bytes: at most {MOST_BYTES}, and {MOST_RATIO} times its size"
        )
    if next(info.file_size for info in infos if info.filename == "data") > MOST_DATA:
        raise InvalidRequest(f"the zip's data is longer than {MOST_DATA} bytes")


def told(data: bytes) -> dict[str, Any]:
    """The object in `data`; what stands pickled in it is text.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("the zip's data is not JSON") from error
    if not isinstance(found, dict):
        raise InvalidRequest("the zip's data is not a JSON object")
    return found


def hyperparameters(algorithm: Algorithm, data: dict[str, Any]) -> dict[str, Any]:
    """The algorithm's hyper-parameters that `data` holds in plain; unchecked."""
    found = {
        name: data[name]
        for name in algorithm.kinds
        if name in data and name != "policy_kwargs" and not isinstance(data[name], dict)
    }
    policy = data.get("policy_kwargs")
    if isinstance(policy, dict):
        shapes = {name: _plain(policy[name]) for name in POLICY if name in policy}
        if shapes := {name: value for name, value in shapes.items() if value is not None}:
            found["policy_kwargs"] = shapes
    return found


def _plain(value: Any) -> Any:
    """A member of `policy_kwargs`; of a class the name that it has here, as far as Python's way of showing it tells."""
    match = ACTIVATION.fullmatch(value) if isinstance(value, str) else None
    return ACTIVATIONS.get(match[1]) if match else value
