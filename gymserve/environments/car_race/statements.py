"""Compiles statements of the reward language to closures, which return None, or what ends their block."""

import ast
from collections.abc import Callable
from typing import Any

from gymserve.environments.car_race.expressions import (
    Closure,
    Frame,
    Names,
    RewardSyntaxError,
    expression,
    operation,
    shown,
)
from gymserve.environments.car_race.functions import MOST_ELEMENTS, RewardError, elements, number

BREAK, CONTINUE = "break", "continue"  # a return statement's value is returned as a tuple


def body(statements: list[ast.stmt], names: Names) -> Closure:
    """Compiles a block: a closure that runs its statements in order, and returns what ended them, or None.

    Raises:
        RewardSyntaxError: the language has no such statement.
    """
    steps = [(each.lineno, step) for each in statements if (step := _statement(each, names)) is not None]

    def run(frame: Frame) -> object:
        for line, step in steps:
            frame.line = line
            if (end := step(frame)) is not None:
                return end
        return None

    return run


def _statement(node: ast.stmt, names: Names) -> Closure | None:
    """Compiles a statement; returns None for one that does nothing."""
    if isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and _is_text(node.value)):
        return None
    make = KINDS.get(type(node))
    if make is None:
        raise RewardSyntaxError(node.lineno, f"{type(node).__name__} ({shown(node)}) is not in the reward language")
    return make(node, names)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _assign(node: ast.Assign, names: Names) -> Closure:
    value = expression(node.value, names)
    stores = [_store(target, names) for target in node.targets]

    def assign(frame: Frame) -> None:
        result = value(frame)
        for store in stores:
            store(frame, result)

    return assign


def _store(target: ast.expr, names: Names) -> Callable[[Frame, object], None]:
    if isinstance(target, (ast.Tuple, ast.List)):
        return _unpack(target, names)
    if not isinstance(target, ast.Name):
        raise RewardSyntaxError(target.lineno, f"{shown(target)} cannot be assigned to: only variables can")
    slot = names.slot_for(target.id, target.lineno)

    def store(frame: Frame, value: object) -> None:
        frame.values[slot] = value

    return store


def _unpack(target: ast.Tuple | ast.List, names: Names) -> Callable[[Frame, object], None]:
    stores = [_store(each, names) for each in target.elts]

    def unpack(frame: Frame, value: object) -> None:
        values = elements(value)
        if len(values) != len(stores):
            raise RewardError(f"a list of {len(values)} cannot be unpacked into {len(stores)} variables")
        for store, each in zip(stores, values, strict=True):
            store(frame, each)

    return unpack


def _augmented(node: ast.AugAssign, names: Names) -> Closure:
    act = operation(node.op, node.lineno)
    if not isinstance(node.target, ast.Name):
        raise RewardSyntaxError(node.lineno, f"{shown(node.target)} cannot be assigned to: only variables can")
    before = expression(ast.copy_location(ast.Name(node.target.id), node), names)
    value, store = expression(node.value, names), _store(node.target, names)
    return lambda frame: store(frame, act(number(before(frame)), number(value(frame))))


def _annotated(node: ast.AnnAssign, names: Names) -> Closure:
    if node.value is None:
        raise RewardSyntaxError(node.lineno, "the variable has no value")
    return _assign(ast.copy_location(ast.Assign([node.target], node.value), node), names)


def _if(node: ast.If, names: Names) -> Closure:
    test, yes, no = expression(node.test, names), body(node.body, names), body(node.orelse, names)
    return lambda frame: yes(frame) if test(frame) else no(frame)


def _for(node: ast.For, names: Names) -> Closure:
    if node.orelse:
        raise RewardSyntaxError(node.orelse[0].lineno, "else after a loop is not in the reward language")
    over, store = _range(node.iter, names) or expression(node.iter, names), _store(node.target, names)
    names.loops += 1
    block, size = body(node.body, names), sum(1 for _ in ast.walk(node))
    names.loops -= 1

    def loop(frame: Frame) -> object:
        for each in list(elements(over(frame))):
            frame.spend(size)
            store(frame, each)
            end = block(frame)
            if end is BREAK:
                break
            if end is not None and end is not CONTINUE:
                return end
        return None

    return loop


def _range(node: ast.expr, names: Names) -> Closure | None:
    """Compiles `range(n)` or `range(n, m)`; returns None for another expression."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"):
        return None
    if node.keywords or not 1 <= len(node.args) <= 2:
        raise RewardSyntaxError(node.lineno, "range takes one or two arguments")
    bounds = [expression(each, names) for each in node.args]

    def count(frame: Frame) -> list[float]:
        *first, last = (number(bound(frame)) for bound in bounds)
        start = first[0] if first else 0.0
        if not (start.is_integer() and last.is_integer() and abs(start) < 2**31 and last - start <= MOST_ELEMENTS):
            raise RewardError(f"range needs whole numbers, and may have at most {MOST_ELEMENTS} elements")
        return [float(each) for each in range(int(start), int(last))]

    return count


def _return(node: ast.Return, names: Names) -> Closure:
    if node.value is None:
        raise RewardSyntaxError(node.lineno, "return needs a value")
    value = expression(node.value, names)
    return lambda frame: (value(frame),)


def _leave(node: ast.Break | ast.Continue, names: Names) -> Closure:
    if not names.loops:
        raise RewardSyntaxError(node.lineno, f"{ast.unparse(node)} is outside of a loop")
    end = BREAK if isinstance(node, ast.Break) else CONTINUE
    return lambda frame: end


KINDS: dict[type[ast.AST], Callable[[Any, Names], Closure]] = {  # Any: each takes its kind of node
    ast.AnnAssign: _annotated,
    ast.Assign: _assign,
    ast.AugAssign: _augmented,
    ast.Break: _leave,
    ast.Continue: _leave,
    ast.For: _for,
    ast.If: _if,
    ast.Return: _return,
}
