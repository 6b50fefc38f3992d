"""Maps a vector of numbers to a tree of names, and back to names for each number."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces

Tree: TypeAlias = "Mapping[str, Tree | tuple[int, ...]]"
"""Name → a tree, or the shape of the array with this name; () for a number."""


def size(tree: Tree) -> int:
    """The number of numbers in the tree's leaves."""
    return sum(count for _, _, count in _leaves(tree))


def names(tree: Tree) -> tuple[str, ...]:
    """A name for each number: the path to it, and its index if the leaf is an array."""
    return tuple(
        " ".join((*path, *map(str, index))) for path, shape, _ in _leaves(tree) for index in np.ndindex(*shape)
    )


def space(tree: Tree) -> spaces.Dict:
    """The space of the dicts that `unfold` returns, float64 and unbounded."""
    return spaces.Dict(
        {
            name: space(part) if isinstance(part, Mapping) else spaces.Box(-np.inf, np.inf, part, np.float64)
            for name, part in tree.items()
        }
    )


def unfold(tree: Tree, vector: np.ndarray) -> dict[str, object]:
    """The vector's numbers under their names.

    Args:
        vector: (size(tree),) float64; the dict's arrays are views of it.
    """
    whole: dict[str, Any] = {}  # Any: a tree of arrays
    start = 0
    for path, shape, count in _leaves(tree):
        at = whole
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = vector[start : start + count].reshape(shape)
        start += count
    return whole


def _leaves(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], tuple[int, ...], int]]:
    """(path, shape, count) of each leaf, in the order of the vector."""
    for name, part in tree.items():
        if isinstance(part, Mapping):
            yield from _leaves(part, (*path, name))
        else:
            yield (*path, name), part, int(np.prod(part))
