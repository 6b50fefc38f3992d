"""Rendering: pictures of environments, and the output of their other render modes."""

import io
from typing import Any

import numpy as np
from PIL import Image

from gymserve.environments.foreign import failure
from gymserve.protocol import errors, wire


def render_pictures(env: Any, copies: int | None = None) -> list[np.ndarray]:
    """Renders an environment, or the first `copies` of a vector environment, as arrays of (height, width, 3) uint8.

    Raises:
        EnvironmentFailed: the environment raised an error, or did not render a picture.
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


def render_other(env: Any) -> object:
    """Renders an environment in a mode other than pictures.

    Raises:
        EnvironmentFailed: the environment raised an error, or its output cannot be encoded.
    """
    try:
        state = env.render()
        wire.pack(wire.typed(state))
    except BaseException as error:
        raise failure(error) from error
    return state


def png(pixels: np.ndarray) -> bytes:
    """Encodes a picture as PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=1)
    return file.getvalue()
