"""A Box for actions that are clipped to its bounds instead of refused."""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

from gymserve.protocol.spaces.arrays import ArrayCodec
from gymserve.protocol.spaces.contract import codec


class ClippedBox(spaces.Box):
    """A Box whose codec accepts all finite numbers of its dtype, because the environment clips them to its bounds."""

    @classmethod
    def like(cls, box: spaces.Box) -> "ClippedBox":
        return cls(box.low, box.high, box.shape, box.dtype.type)

    def clip(self, value: np.ndarray) -> np.ndarray:
        """The nearest value within the bounds."""
        return np.clip(value, self.low, self.high)


@codec.register
def _(space: ClippedBox) -> ArrayCodec:
    kind: Any = np.finfo if space.dtype.kind == "f" else np.iinfo  # Any: numpy types them apart
    limits = kind(space.dtype)
    return ArrayCodec(np.full_like(space.low, limits.min), np.full_like(space.high, limits.max), space.dtype)


@batch_space.register(ClippedBox)
def _batched(space: ClippedBox, n: int = 1) -> ClippedBox:
    """Batches the space for vector environments, whose copies clip too."""
    batched = batch_space.dispatch(spaces.Box)(space, n)
    assert isinstance(batched, spaces.Box)
    return ClippedBox.like(batched)
