"""Codecs for values of Gymnasium spaces, as JSON and as compact msgpack, and for the spaces themselves, as JSON.

Both the server and the client use this package. Values from outside are checked. Keep the `codec(space)` of a space in use:

    actions = codec(env.action_space)
    env.step(actions.from_json([0.5]))      # InvalidValue names the element: action[0] is 3.0, above its limit of 2.0

| space | JSON | packed (msgpack) |
|---|---|---|
| Box, MultiBinary, MultiDiscrete | nested list of numbers (a bool Box: of 0 and 1) | bytes: little-endian, row by row |
| Discrete | integer | integer |
| Text | string | string |
| Tuple | list | list |
| Dict | object | map, keys in the space's order |
| OneOf | [index, value] | [index, value] |
| Sequence | list | list; if stacked, rows |
| Graph | {"nodes", "edges", "edge_links"} | [nodes, edges, edge_links], rows each; nil for no edges |

Rows are any number of elements of one space: concatenated bytes if the elements are arrays or numbers (edge links are pairs
of int32), and a list of packed elements otherwise. A bool Box is packed as uint8, a longdouble Box as float64.
"""

from gymserve.protocol.spaces import arrays, clipped, containers, foreign, graphs, scalars  # noqa: F401  they register their codecs
from gymserve.protocol.spaces.contract import Codec, codec, from_bytes, to_bytes
from gymserve.protocol.spaces.descriptions import describe, from_description, member
from gymserve.protocol.spaces.plain import jsonable

__all__ = ["Codec", "codec", "describe", "from_bytes", "from_description", "jsonable", "member", "to_bytes"]
