"""What an environment renders: pictures, and what its other render modes give."""

import io
from typing import Any

import numpy as np
from PIL import Image

from gymserve.environments.foreign import failure
from gymserve.protocol import errors, wire


def pictures(env: Any, copies: int | None = None) -> list[np.ndarray]:
    """An environment's picture as (height, width, 3) uint8, of a vector environment those of its first `copies`.

    Raises:
        EnvironmentFailed: it raised an error, or gave something else.
    """
    try:
        state = env.render()
        pictures = [state] if copies is None else list(state[:copies])
        pixels = [np.ascontiguousarray(picture, np.uint8) for picture in pictures]
    except BaseException as error:
        raise failure(error) from error
    for each in pixels:
        if each.ndim != 3 or each.shape[2] != 3 or not each.size:
            shape = "×".join(map(str, each.shape)) or "nothing"
            raise errors.EnvironmentFailed(f"the environment rendered {shape}, expected height×width×3")
    return pixels


def without_pictures(env: Any) -> Any:
    """What an environment renders in a mode without pictures.

    Raises:
        EnvironmentFailed: it raised an error, or gave what cannot be sent.
    """
    try:
        state = env.render()
        wire.pack(wire.typed(state))
    except BaseException as error:
        raise failure(error) from error
    return state


def png(pixels: np.ndarray) -> bytes:
    """A picture as PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=1)
    return file.getvalue()
