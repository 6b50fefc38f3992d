"""Untrusted Stable-Baselines3 model files, read without executing anything in them.

Such a file is a zip: `data`, a JSON object whose non-plain members are pickled (and ignored here), and `.pth` files, which
`uploads.sandbox` reads.
"""

import io
import json
import re
import zipfile
import zlib

from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.wire import JSONObject, JSONValue
from gymserve.training.plan.algorithms import Algorithm
from gymserve.training.plan.hyperparameters import POLICY

NAME = re.compile(r"data|system_info\.txt|_stable_baselines3_version|[A-Za-z0-9_]{1,50}(?:\.[A-Za-z0-9_]{1,50})?\.pth")
NEEDED = ("data", "policy.pth")
MOST_FILES = 20
MOST_BYTES = 256 * 2**20  # for all files together
MOST_DATA = 4 * 2**20
MOST_RATIO = 20  # of unpacked to packed size; weights hardly compress
ACTIVATION = re.compile(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>")
ACTIVATIONS = {"Tanh": "tanh", "ReLU": "relu", "ELU": "elu", "LeakyReLU": "leaky_relu", "SiLU": "silu"}


def parts(data: bytes) -> dict[str, bytes]:
    """Return the files of a zip by name.

    Raises:
        InvalidRequest: it is not a model's zip, contains unexpected files, or unpacks to too much.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check(infos, len(data))
            files = {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError, RuntimeError) as error:
        raise InvalidRequest(f"the body is not the zip file of a model: {error!s:.200}") from error
    except zlib.error as error:
        raise InvalidRequest("the body is not the zip file of a model: it is damaged") from error
    return files


def _check(infos: list[zipfile.ZipInfo], size: int) -> None:
    names = [info.filename for info in infos]
    if len(infos) > MOST_FILES or len(set(names)) < len(names):
        raise InvalidRequest(f"the zip has more than {MOST_FILES} files, or two of one name")
    for info in infos:
        if NAME.fullmatch(info.filename) is None:
            raise InvalidRequest(
                f"the zip contains {info.filename!r:.100}, which a Stable-Baselines3 model never contains"
            )
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidRequest(f"{info.filename} is encrypted, or uses an unsupported compression")
    if missing := [name for name in NEEDED if name not in names]:
        raise InvalidRequest(f"the zip lacks {', '.join(missing)}: it was not written by Stable-Baselines3's save()")
    whole = sum(info.file_size for info in infos)
    if whole > min(MOST_BYTES, MOST_RATIO * size):
        raise InvalidRequest(
            f"the zip would unpack to {whole} bytes: the limits are {MOST_BYTES} bytes and {MOST_RATIO} times its size"
        )
    if next(info.file_size for info in infos if info.filename == "data") > MOST_DATA:
        raise InvalidRequest(f"the zip's data is longer than {MOST_DATA} bytes")


def attributes(data: bytes) -> dict[str, object]:
    """Return the object in `data`; its pickled members are text.

    Raises:
        InvalidRequest: it is not a JSON object.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("the zip's data is not JSON") from error
    if not isinstance(content, dict):
        raise InvalidRequest("the zip's data is not a JSON object")
    return content


def hyperparameters(algorithm: Algorithm, data: JSONObject) -> JSONObject:
    """Return the algorithm's hyper-parameters that `data` contains as plain values, unchecked."""
    values = {
        name: data[name]
        for name in algorithm.kinds
        if name in data and name != "policy_kwargs" and not isinstance(data[name], dict)
    }
    policy = data.get("policy_kwargs")
    if isinstance(policy, dict):
        shapes = {name: _plain(policy[name]) for name in POLICY if name in policy}
        if shapes := {name: value for name, value in shapes.items() if value is not None}:
            values["policy_kwargs"] = shapes
    return values


def _plain(value: object) -> JSONValue:
    """Return a member of `policy_kwargs`; for a class, the name that it has here, if its printed form shows that."""
    match = ACTIVATION.fullmatch(value) if isinstance(value, str) else None
    return ACTIVATIONS.get(match[1]) if match else value
