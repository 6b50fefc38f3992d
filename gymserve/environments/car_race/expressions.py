"""Compiles expressions of the reward language to closures.

A closure is a function of a frame that returns a float, a bool or a list of floats.
"""

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from gymserve.environments.car_race.functions import (
    FUNCTIONS,
    MOST_ELEMENTS,
    RewardError,
    Term,
    elements,
    number,
    whole,
)

PROPS = ("is_alive", "observation", "direction", "rotational_velocity")
OLD_NAMES = {"isAlive": "is_alive", "obs": "observation", "dir": "direction", "rotation_vel": "rotational_velocity"}
UNSET = object()


class RewardSyntaxError(Exception):
    """The source contains something that the language does not have; `line` says where."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class Frame:
    """The state of one call: the variables' values, the current line, and how many nodes it may still evaluate."""

    __slots__ = ("budget", "line", "values")

    def __init__(self, props: list[object], size: int, budget: int) -> None:
        self.values, self.line, self.budget = props + [UNSET] * (size - len(props)), 1, budget

    def spend(self, nodes: int) -> None:
        self.budget -= nodes
        if self.budget < 0:
            raise RewardError("it takes too many steps: use shorter loops")


class Names:
    """Assigns variables to the slots of a frame; the props have the first ones."""

    def __init__(self) -> None:
        self.props = ""
        self.slots: dict[str, int] = {}
        self.loops = 0  # number of loops around the statement that is being compiled

    def slot_for(self, name: str, line: int) -> int:
        """The slot of a variable that is assigned to.

        Raises:
            RewardSyntaxError: the name is that of the parameter or of a function.
        """
        if name == self.props:
            raise RewardSyntaxError(line, f"{name} cannot be assigned to: it is the parameter")
        if name in FUNCTIONS or name == "range":
            raise RewardSyntaxError(line, f"{name} is a function: call the variable something else")
        return self.slots.setdefault(name, len(self.slots))


Closure = Callable[[Frame], Any]  # returns a term or, for a statement, what ended its block


def expression(node: ast.expr, names: Names) -> Closure:
    """Compiles an expression.

    Raises:
        RewardSyntaxError: the language has no such expression.
    """
    make = KINDS.get(type(node))
    if make is None:
        raise RewardSyntaxError(node.lineno, f"{type(node).__name__} ({shown(node)}) is not in the reward language")
    return make(node, names)


def shown(node: ast.AST) -> str:
    """The beginning of a node's source, for a message."""
    return ast.unparse(node).strip().splitlines()[0][:40]


def _constant(node: ast.Constant, names: Names) -> Closure:
    value = node.value
    if isinstance(value, bool):
        return lambda frame: value
    if not isinstance(value, (int, float)):
        raise RewardSyntaxError(node.lineno, f"{value!r:.40} is not a number: strings are only allowed in props[…]")
    try:
        as_float = float(value)
    except OverflowError:
        as_float = math.inf
    if not math.isfinite(as_float):
        raise RewardSyntaxError(node.lineno, "the number is too large")
    return lambda frame: as_float


def _name(node: ast.Name, names: Names) -> Closure:
    name, slot = node.id, names.slots.get(node.id)
    if name == names.props:
        raise RewardSyntaxError(node.lineno, f"{name} must be followed by a key: {name}[{PROPS[0]!r}]")
    if slot is None:
        raise RewardSyntaxError(node.lineno, f"there is no {name:.40}")

    def get(frame: Frame) -> object:
        value = frame.values[slot]
        if value is UNSET:
            raise RewardError(f"{name:.40} has no value yet")
        return value

    return get


def _subscript(node: ast.Subscript, names: Names) -> Closure:
    if isinstance(node.value, ast.Name) and node.value.id == names.props:
        return _prop(node)
    of, which = expression(node.value, names), node.slice
    if isinstance(which, ast.Slice):
        if which.step is not None:
            raise RewardSyntaxError(node.lineno, "a slice with a step is not in the reward language")
        bounds = [None if bound is None else expression(bound, names) for bound in (which.lower, which.upper)]
        return lambda frame: elements(of(frame))[slice(*(bound and whole(bound(frame)) for bound in bounds))]
    index = expression(which, names)

    def get(frame: Frame) -> float:
        values, place = elements(of(frame)), whole(index(frame))
        if not -len(values) <= place < len(values):
            raise RewardError(f"there is no element {place} in a list of {len(values)}")
        return values[place]

    return get


def _prop(node: ast.Subscript) -> Closure:
    key = node.slice.value if isinstance(node.slice, ast.Constant) else None
    name = OLD_NAMES.get(key, key) if isinstance(key, str) else None
    if name not in PROPS:
        raise RewardSyntaxError(node.lineno, f"there is no {shown(node)}: there are {', '.join(PROPS)}")
    slot = PROPS.index(name)
    return lambda frame: frame.values[slot]


def _list(node: ast.List | ast.Tuple, names: Names) -> Closure:
    if len(node.elts) > MOST_ELEMENTS:
        raise RewardSyntaxError(node.lineno, f"a list has at most {MOST_ELEMENTS} elements")
    parts = [expression(each, names) for each in node.elts]
    return lambda frame: [number(part(frame)) for part in parts]


OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,  # unlike **, it never returns a complex number
}


def operation(kind: ast.operator, line: int) -> Callable[[float, float], float]:
    """The function of an arithmetic operator.

    Raises:
        RewardSyntaxError: the language has no such operator.
    """
    if type(kind) not in OPERATORS:
        raise RewardSyntaxError(line, f"{type(kind).__name__} is not in the reward language")
    return OPERATORS[type(kind)]


def _arithmetic(node: ast.BinOp, names: Names) -> Closure:
    act = operation(node.op, node.lineno)
    left, right = expression(node.left, names), expression(node.right, names)
    return lambda frame: act(number(left(frame)), number(right(frame)))


def _unary(node: ast.UnaryOp, names: Names) -> Closure:
    of = expression(node.operand, names)
    if isinstance(node.op, ast.Not):
        return lambda frame: not of(frame)
    if isinstance(node.op, ast.USub):
        return lambda frame: -number(of(frame))
    if isinstance(node.op, ast.UAdd):
        return lambda frame: number(of(frame))
    raise RewardSyntaxError(node.lineno, f"{type(node.op).__name__} is not in the reward language")


def _logic(node: ast.BoolOp, names: Names) -> Closure:
    parts = [expression(each, names) for each in node.values]
    ends = isinstance(node.op, ast.Or)  # `or` stops at the first true part, `and` at the first false one

    def evaluate(frame: Frame) -> object:
        value = None
        for part in parts:
            value = part(frame)
            if bool(value) is ends:
                return value
        return value

    return evaluate


ORDERS: dict[type[ast.AST], Callable[[Term, Term], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
EQUALITIES: dict[type[ast.AST], Callable[[Term, Term], bool]] = {ast.Eq: operator.eq, ast.NotEq: operator.ne}


def _comparison_operator(kind: ast.cmpop, line: int) -> Callable[[Term, Term], bool]:
    if type(kind) in ORDERS:
        order = ORDERS[type(kind)]
        return lambda left, right: order(number(left), number(right))
    if type(kind) in EQUALITIES:
        return EQUALITIES[type(kind)]
    if isinstance(kind, (ast.In, ast.NotIn)):
        wanted = isinstance(kind, ast.In)
        return lambda left, right: (number(left) in elements(right)) is wanted
    raise RewardSyntaxError(line, "comparisons are < <= > >= == != in")


def _comparison(node: ast.Compare, names: Names) -> Closure:
    first = expression(node.left, names)
    rest = [
        (_comparison_operator(kind, node.lineno), expression(each, names))
        for kind, each in zip(node.ops, node.comparators, strict=True)
    ]

    def compare(frame: Frame) -> bool:
        left = first(frame)
        for holds, part in rest:
            right = part(frame)
            if not holds(left, right):
                return False
            left = right
        return True

    return compare


def _choice(node: ast.IfExp, names: Names) -> Closure:
    test, yes, no = (expression(each, names) for each in (node.test, node.body, node.orelse))
    return lambda frame: yes(frame) if test(frame) else no(frame)


def _call(node: ast.Call, names: Names) -> Closure:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in FUNCTIONS:
        raise RewardSyntaxError(node.lineno, f"{shown(node.func)} cannot be called: there are {', '.join(FUNCTIONS)}")
    act, least, most = FUNCTIONS[name]
    if node.keywords or not least <= len(node.args) <= most:
        raise RewardSyntaxError(node.lineno, f"{name} takes {least} to {most} arguments, without names")
    parts = [expression(each, names) for each in node.args]
    return lambda frame: act(*(part(frame) for part in parts))


KINDS: dict[type[ast.AST], Callable[[Any, Names], Closure]] = {  # Any: each takes its kind of node
    ast.BinOp: _arithmetic,
    ast.BoolOp: _logic,
    ast.Call: _call,
    ast.Compare: _comparison,
    ast.Constant: _constant,
    ast.IfExp: _choice,
    ast.List: _list,
    ast.Name: _name,
    ast.Subscript: _subscript,
    ast.Tuple: _list,
    ast.UnaryOp: _unary,
}
