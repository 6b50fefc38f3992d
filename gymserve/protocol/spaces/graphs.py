"""Codecs of Sequence and Graph, the spaces with any number of elements."""

from collections.abc import Callable

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import GraphInstance
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

from gymserve.protocol.generics import Space, Value
from gymserve.protocol.spaces.arrays import ArrayRows
from gymserve.protocol.spaces.containers import each
from gymserve.protocol.spaces.contract import Codec, Misfit, codec, shown

_LINK = np.dtype(np.int32)
_MOST_NODES = np.iinfo(_LINK).max


def rows(space: Space) -> Codec:
    """Makes the codec of any number of elements of `space`, batched like Gymnasium's vector environments do it."""
    batch = batch_space(space, n=1)
    if isinstance(batch, spaces.MultiDiscrete):
        low, high = batch.start[0], batch.start[0] + (batch.nvec[0] - 1)
    elif isinstance(batch, spaces.Box) and batch.low.size:
        low, high = batch.low[0], batch.high[0]
    else:
        return _ItemRows(space, batch)
    return ArrayRows(np.asarray(low), np.asarray(high), np.dtype(batch.dtype))


def unstacked(batch: Value, value: Value) -> Value:
    """Splits a value of a batched space into its elements."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value
    try:
        return list(iterate(batch, value))
    except Exception as error:  # the type of the error depends on the value
        raise Misfit(f"is {shown(value)}, which is not a batch of elements: {error}") from None


class _Items(Codec):
    """The codec of a tuple of any number of elements of one space."""

    def __init__(self, space: Space) -> None:
        self._part = codec(space)

    def _items(self, value: object) -> object:
        return value

    def _batched(self, items: list[object]) -> object:
        return tuple(items)

    def _each(self, call: Callable[..., object], data: object, *more: object) -> list[object]:
        if not isinstance(data, (list, tuple)):
            raise Misfit(f"is {shown(data)}, expected a list")
        return each([call] * len(data), data, *more)

    def write(self, value: object) -> list[object]:
        return self._each(self._part.write, self._items(value))

    def read(self, data: object) -> Value:
        return self._batched(self._each(self._part.read, data))

    def dump(self, value: object) -> list[object]:
        return self._each(self._part.dump, self._items(value))

    def load(self, data: object, check: bool) -> Value:
        return self._batched(self._each(self._part.load, data, check))


class _ItemRows(_Items):
    """The codec of elements that are batched like Gymnasium's vector environments do it, for example as a dict of arrays."""

    def __init__(self, space: Space, batch: Space) -> None:
        super().__init__(space)
        self._space, self._batch = space, batch

    def _items(self, value: object) -> list[Value]:
        return list(unstacked(self._batch, value))

    def _batched(self, items: list[object]) -> object:
        empty: Value = create_empty_array(self._space, n=len(items))
        return concatenate(self._space, items, empty) if items else empty


def _sequence(space: spaces.Sequence) -> Codec:
    return rows(space.feature_space) if space.stack else _Items(space.feature_space)


class GraphCodec(Codec):
    def __init__(self, space: spaces.Graph) -> None:
        self._nodes = rows(space.node_space)
        self._node_batch = space.batch_node_space
        self._edges = None if space.edge_space is None else rows(space.edge_space)
        self._edge_batch = space.batch_edge_space
        self._links = ArrayRows(np.zeros(2, _LINK), np.full(2, _MOST_NODES, _LINK), _LINK)

    def write(self, value: object) -> dict[str, object]:
        return dict(zip(GraphInstance._fields, self._through("write", value), strict=True))

    def dump(self, value: object) -> list[object]:
        return self._through("dump", value)

    def read(self, data: object) -> GraphInstance:
        if not isinstance(data, dict):
            raise Misfit(f'is {shown(data)}, expected an object with "nodes", "edges" and "edge_links"')
        stranger = next((key for key in data if key not in GraphInstance._fields), None)
        if stranger is not None or "nodes" not in data:
            raise Misfit('lacks "nodes"' if stranger is None else f"has the unknown key {shown(stranger)}")
        parts = GraphInstance(data["nodes"], data.get("edges"), data.get("edge_links"))
        return self._linked(self._through("read", parts))

    def load(self, data: object, check: bool) -> GraphInstance:
        if not isinstance(data, (list, tuple)) or len(data) != 3:
            raise Misfit(f"is {shown(data)}, expected [nodes, edges, edge_links]")
        graph = self._through("load", GraphInstance(*data), check)
        return self._linked(graph) if check else GraphInstance(*graph)

    def _through(self, method: str, graph: object, *more: object) -> list[Value]:
        """Converts the three parts of `graph` with the `method` of their codecs."""
        if not isinstance(graph, GraphInstance):
            raise Misfit(f"is {shown(graph)}, expected a GraphInstance")
        if (graph.edges is None) != (graph.edge_links is None):
            raise Misfit("has edges without edge_links, or the other way round")
        if graph.edges is not None and self._edges is None:
            raise Misfit("has edges, expected none", "edges")
        results = []
        for part, name, value in zip((self._nodes, self._edges, self._links), graph._fields, graph, strict=True):
            absent = value is None and name != "nodes"
            try:
                results.append(None if part is None or absent else getattr(part, method)(value, *more))
            except Misfit as misfit:
                raise misfit.within(name) from None
        return results

    def _linked(self, parts: list[Value]) -> GraphInstance:
        """Makes the graph; there must be as many links as edges, and they must lead to existing nodes."""
        graph = GraphInstance(*parts)
        if graph.edge_links is None:
            return graph
        edges = len(unstacked(self._edge_batch, graph.edges))
        if len(graph.edge_links) != edges:
            raise Misfit(f"has {len(graph.edge_links)} elements, but there are {edges} edges", "edge_links")
        nodes = len(unstacked(self._node_batch, graph.nodes))
        wrong = np.argwhere(graph.edge_links >= nodes)
        if len(wrong):
            row, side = map(int, wrong[0])
            link = graph.edge_links[row, side]
            raise Misfit(f"is {link}, but there are {nodes} nodes, numbered from 0", "edge_links", row, side)
        return graph


codec.register(spaces.Sequence, _sequence)
codec.register(spaces.Graph, GraphCodec)
