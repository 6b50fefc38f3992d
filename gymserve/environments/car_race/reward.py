"""The reward language: a subset of Python for reward functions, run by an interpreter of our own.

A reward is an expression, for example `1 if is_alive else -10`, or one function of one parameter, with any names:

    def reward_func(props):
        reward = 0
        if props["is_alive"]:
            reward = 1 + min(props["observation"]) / 200
        return reward

The source is converted to closures once (`expressions.py`, `functions.py`, `statements.py`). It never becomes a code
object, and whatever these files do not name is refused. All numbers are floats, no value is longer than `MOST_ELEMENTS`, and
each call has a budget of nodes. So a reward function cannot reach anything else, use much memory, or run for long.
"""

import ast
import math
import textwrap
from collections.abc import Iterator
from functools import lru_cache

from gymserve.environments.car_race.expressions import PROPS, Closure, Frame, Names, RewardSyntaxError
from gymserve.environments.car_race.functions import RewardError
from gymserve.environments.car_race.statements import body
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest

MOST_CHARACTERS = 5000
MOST_NODES = 1500
MOST_DEPTH = 40
BUDGET = 5000  # nodes that one call may evaluate
SAMPLES = (
    (True, [200.0] * 5, 0.0, 15.0),
    (True, [0.0, 40.0, 80.0, 120.0, 160.0], -1.0, 15.0),
    (False, [0.0] * 5, 1.0, 15.0),
)


class Reward:
    """A reward function; called with the values of `PROPS`, it returns a finite float.

    Raises:
        EnvironmentFailed: the function failed, or did not return a finite number; the message gives the line.
    """

    def __init__(self, run: Closure, names: Names) -> None:
        self._run, self._size = run, len(names.slots)

    def __call__(self, is_alive: bool, observation: list[float], direction: float, rotational_velocity: float) -> float:
        frame = Frame([is_alive, observation, direction, rotational_velocity], self._size, BUDGET)
        try:
            answer = self._run(frame)
        except (RewardError, ArithmeticError, ValueError) as error:
            raise EnvironmentFailed(f"the reward function, line {frame.line}: {error}") from error
        value = answer[0] if isinstance(answer, tuple) else None
        if isinstance(value, (bool, float)) and math.isfinite(value):
            return float(value)
        returned = "nothing (it ends without a return)" if value is None else f"{value!r:.40}"
        raise EnvironmentFailed(
            f"the reward function, line {frame.line}: it must return a finite number, not {returned}"
        )


def read(source: object) -> Reward:
    """Reads a reward function from its source, and tries it on a few samples.

    Raises:
        InvalidRequest: the source is not in the language, or the function fails; the message gives the line and the reason.
    """
    if not isinstance(source, str) or not 0 < len(source) <= MOST_CHARACTERS:
        raise InvalidRequest(f"the reward function must be a string of 1 to {MOST_CHARACTERS} characters")
    return _read(source)


@lru_cache(256)
def _read(source: str) -> Reward:
    try:
        tree = _parse(textwrap.dedent(source))
        names = Names()
        reward = Reward(_function(tree, names), names)
        for sample in SAMPLES:
            reward(*sample)
    except RewardSyntaxError as refusal:
        raise InvalidRequest(f"the reward function, line {refusal.line}: {refusal}") from None
    except EnvironmentFailed as error:
        raise InvalidRequest(str(error)) from None
    return reward


def _parse(source: str) -> ast.Module:
    """Parses the source.

    Raises:
        RewardSyntaxError: it is not valid Python, or too large.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise RewardSyntaxError(error.lineno or 1, f"it is not valid Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError):
        raise RewardSyntaxError(1, "it is not valid Python") from None
    for number, (depth, node) in enumerate(_nodes(tree), 1):
        line = getattr(node, "lineno", 1)
        if depth > MOST_DEPTH:
            raise RewardSyntaxError(line, f"it is nested more than {MOST_DEPTH} deep")
        if number > MOST_NODES:
            raise RewardSyntaxError(
                line, f"it is too long: it has more than {MOST_NODES} names, numbers and operations"
            )
    return tree


def _nodes(tree: ast.AST) -> Iterator[tuple[int, ast.AST]]:
    """(depth, node) of each node; without recursion, which a deep tree would exhaust."""
    waiting = [(0, tree)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, node
        waiting.extend((depth + 1, child) for child in ast.iter_child_nodes(node))


def _function(tree: ast.Module, names: Names) -> Closure:
    """Compiles the only statement of the source: an expression or a function."""
    if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
        names.props = "props"
        names.slots = {name: index for index, name in enumerate(PROPS)}
        return body([ast.copy_location(ast.Return(tree.body[0].value), tree.body[0])], names)
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    others = [each for each in tree.body if not isinstance(each, ast.FunctionDef)] or functions[1:]
    if others or not functions:
        line = others[0].lineno if others else 1
        raise RewardSyntaxError(
            line, "it must be one expression or one function (def reward_func(props): …), and nothing else"
        )
    function = functions[0]
    args = function.args
    if function.decorator_list or getattr(function, "type_params", None):
        raise RewardSyntaxError(function.lineno, "a function with decorators or type parameters is refused")
    if len(args.args) != 1 or args.posonlyargs or args.kwonlyargs or args.vararg or args.kwarg or args.defaults:
        raise RewardSyntaxError(function.lineno, "the function must have one parameter, without a default")
    names.props = args.args[0].arg
    names.slots = {f"props.{name}": index for index, name in enumerate(PROPS)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.slot_for(node.id, node.lineno)
    return body(function.body, names)
