"""Hyper-parameters that are known to learn well, by environment and algorithm: `tuned.toml`."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from gymserve.protocol.errors import Untrainable


@cache
def tuned() -> dict[str, dict[str, dict[str, Any]]]:
    """Environment → algorithm → values that learn well."""
    return tomllib.loads((Path(__file__).parent / "tuned.toml").read_text())


def tuned_for(environment: str, algorithm: str) -> dict[str, Any]:
    """Raises: Untrainable: none are known for this pair."""
    found = tuned().get(environment, {}).get(algorithm)
    if found is None:
        known = ", ".join(f"{one} on {other}" for other, ones in tuned().items() for one in ones)
        raise Untrainable(f"no tuned values are known for {algorithm} on {environment}: there are {known}")
    return found
