"""Hyper-parameters known to learn well, by environment and algorithm: `tuned.toml`."""

import tomllib
from functools import cache
from pathlib import Path

from gymserve.protocol.errors import Untrainable
from gymserve.protocol.wire import JSONObject


@cache
def tuned() -> dict[str, dict[str, JSONObject]]:
    """Map each environment to its algorithms, and these to hyper-parameters known to learn well."""
    return tomllib.loads((Path(__file__).parent / "tuned.toml").read_text())


def tuned_for(environment: str, algorithm: str) -> JSONObject:
    """Return the tuned values of an environment and algorithm.

    Raises:
        Untrainable: none are known.
    """
    values = tuned().get(environment, {}).get(algorithm)
    if values is None:
        known = ", ".join(f"{one} on {other}" for other, ones in tuned().items() for one in ones)
        raise Untrainable(f"no tuned values are known for {algorithm} on {environment}: there are {known}")
    return values
