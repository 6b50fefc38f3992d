"""The reward language: it means the same as in Python, and a reward function cannot reach anything else."""

import ast
import math
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gymserve.environments.car_race.reward import MOST_CHARACTERS, read
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest

DOCUMENTED = """
def reward_func(props):
    reward = 0
    if props["isAlive"]:
        reward = 1
    obs = props["obs"]
    if obs[0] < obs[-1] and props["dir"] == -1:
        reward += 1
    elif obs[0] > obs[-1] and props["dir"] == 1:
        reward += 1
    else:
        reward += 0
    return reward
"""
FUNCTIONS = [
    DOCUMENTED.replace("isAlive", "is_alive").replace('"obs"', '"observation"').replace('"dir"', '"direction"'),
    "def f(props):\n    a, b, c, d, e = props['observation']\n    return a + b * 2 - c / 3 // 1 % 5 + d ** 0.5 - -e",
    "def f(p: dict) -> int:\n    'text'\n    total: float = 0\n    for x in p['observation']:\n        if x > 50:\n"
    "            continue\n        total += x\n        if total > 90: break\n    return round(total / 7, 3)",
    "def f(props):\n    observation = props['observation']\n    best = 0\n    for i in range(1, len(observation)):\n"
    "        if observation[i] > observation[best]: best = i\n    return [3, 1, 4, 1, 5][best] if best in (0, 2, 4) else best",
    "def f(props):\n    x = y = props['rotational_velocity']\n"
    "    return min(x, 3) + max(props['observation'][1:4]) + sum([x, y])",
    "def f(props):\n"
    "    return (props['is_alive'] or 5) + (not props['is_alive']) + abs(props['direction']) + int(2.9) + float(1)",
    "def f(props):\n    return 1 < props['observation'][2] <= 100 != 3",
]  # fmt: skip
numbers = st.floats(0, 200, width=32)


@pytest.mark.parametrize("source", FUNCTIONS)
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.booleans(), st.lists(numbers, min_size=5, max_size=5), st.sampled_from([-1.0, 0.0, 1.0]))
def test_it_means_the_same_as_in_python(source: str, alive: bool, observation: list[float], direction: float) -> None:
    props = {
        "is_alive": alive, "observation": observation, "direction": direction, "rotational_velocity": 15.0,
    }  # fmt: skip
    names: dict[str, Any] = {}
    exec(source, names)  # a source from this file
    function = next(value for name, value in names.items() if name != "__builtins__")
    assert read(source)(alive, observation, direction, 15.0) == pytest.approx(float(function(props)), rel=1e-12)


def test_the_documented_function_and_names_of_rewards_api() -> None:
    reward = read(DOCUMENTED)
    assert reward(True, [10.0, 0.0, 0.0, 0.0, 20.0], -1.0, 15.0) == 2
    assert reward(True, [20.0, 0.0, 0.0, 0.0, 10.0], -1.0, 15.0) == 1
    assert reward(False, [20.0, 0.0, 0.0, 0.0, 10.0], 1.0, 15.0) == 1


def test_an_expression_is_enough() -> None:
    reward = read("  min(observation) / 200 + direction if is_alive else -10\n")
    assert reward(True, [200.0, 100.0, 150.0, 100.0, 120.0], 1.0, 15.0) == 1.5
    assert reward(False, [0.0] * 5, 0.0, 15.0) == -10


REFUSED = {
    "": "a string of 1 to 5000 characters",
    "#": "line 1: it must be one expression or one function",
    "import os": "line 1: it must be one expression or one function",
    "def f(p):\n    import os\n    return 1": r"line 2: Import \(import os\)",
    "def f(p):\n    return 1\nprint(2)": "line 3: it must be one expression or one function",
    "def f(p):\n    return 1\ndef g(p):\n    return 1": "line 3: it must be one expression or one function",
    "def f(p):\n    return p.__class__": r"line 2: Attribute \(p.__class__\)",
    "().__class__.__bases__[0].__subclasses__()": r"line 1: \(\).__class__.__bases__\[0\].__subclasses__ cannot be called",
    "observation.__len__": "line 1: Attribute",
    "__import__('os')": "line 1: __import__ cannot be called",
    "getattr(observation, 'x')": "line 1: getattr cannot be called",
    "eval('1')": "line 1: eval cannot be called",
    "print(1)": "line 1: print cannot be called",
    "min.__call__(1)": "line 1: min.__call__ cannot be called",
    "(lambda: 1)()": "line 1: lambda: 1 cannot be called",
    "lambda: 1": "line 1: Lambda",
    "[x for x in observation]": "line 1: ListComp",
    "sum(x for x in observation)": "line 1: GeneratorExp",
    "{1: 2}": "line 1: Dict",
    "{1}": "line 1: Set",
    "f'{is_alive}'": "line 1: JoinedStr",
    "(x := 1)": "line 1: NamedExpr",
    "(yield)": "line 1: Yield",
    "'a' * 9": "line 1: 'a' is not a number",
    "b'a'": "line 1: b'a' is not a number",
    "1j": "line 1: 1j is not a number",
    "None": "line 1: None is not a number",
    "1 << 9": "line 1: LShift",
    "~1": "line 1: Invert",
    "1 is 2": "line 1: comparisons are",
    "x + 1": "line 1: there is no x",
    "props": "line 1: props must be followed by a key",
    "props['speed']": r"line 1: there is no props\['speed'\]",
    "props[is_alive]": "line 1: there is no props",
    "min(1, key=2)": "line 1: min takes",
    "abs(1, 2)": "line 1: abs takes",
    "abs(*observation)": "line 1: Starred",
    "observation[::2]": "line 1: a slice with a step",
    "observation['x']": "line 1: 'x' is not a number",
    "1e999": "line 1: the number is too large",
    "9 ** 9 ** 9 ** 9": "line 1: math range error",
    "(-8) ** 0.5": "line 1: math domain error",
    "1 / 0": "line 1: float division by zero",
    "1e300 * 1e300": "line 1: it must return a finite number, not inf",
    "1e300 * 1e300 * 0": "line 1: it must return a finite number, not nan",
    "observation": "line 1: it must return a finite number, not",
    "observation + observation": "line 1: a list is used where a number is needed",
    "observation * 9": "line 1: a list is used where a number is needed",
    "[observation]": "line 1: a list is used where a number is needed",
    "is_alive[0]": "line 1: a number is used where a list is needed",
    "observation[5]": "line 1: there is no element 5 in a list of 5",
    "observation[0.5]": "line 1: 0.5 is not an index of a list",
    "round(1, 1e6)": "line 1: round takes -15 to 15 digits",
    "not": "line 1: it is not valid Python: invalid syntax",
    "a\0b": "line 1: it is not valid Python",
    "\ud800": "line 1: it is not valid Python",
    "def f(p, q):\n    return 1": "line 1: the function must have one parameter",
    "def f(p=1):\n    return 1": "line 1: the function must have one parameter",
    "def f(*p):\n    return 1": "line 1: the function must have one parameter",
    "@f\ndef f(p):\n    return 1": "line 2: a function with decorators",
    "async def f(p):\n    return 1": "line 1: it must be one expression or one function",
    "class F:\n    x = 1": "line 1: it must be one expression or one function",
    "def f(p):\n    pass": "line 1: it must return a finite number, not nothing",
    "def f(p):\n    return": "line 2: return needs a value",
    "def f(p):\n    x = 1\n    while x:\n        x = 1\n    return 1": "line 3: While",
    "def f(p):\n    global x\n    return 1": "line 2: Global",
    "def f(p):\n    del p\n    return 1": "line 2: Delete",
    "def f(p):\n    try:\n        return 1\n    except: pass": "line 2: Try",
    "def f(p):\n    with p:\n        return 1": "line 2: With",
    "def f(p):\n    raise p": "line 2: Raise",
    "def f(p):\n    p = 1\n    return 1": "line 2: p cannot be assigned to",
    "def f(p):\n    p['is_alive'] = 1\n    return 1": "line 2: .* cannot be assigned to",
    "def f(p):\n    p['observation'][0] += 1\n    return 1": "line 2: .* cannot be assigned to",
    "def f(p):\n    p.x: int = 1\n    return 1": "line 2: .* cannot be assigned to",
    "def f(p):\n    min = 1\n    return min": "line 2: min is a function",
    "def f(p):\n    break": "line 2: break is outside of a loop",
    "def f(p):\n    x += 1\n    return x": "line 2: x has no value yet",
    "def f(p):\n    a, b = p['observation']\n    return a": "line 2: a list of 5 cannot be unpacked into 2 variables",
    "def f(p):\n    for x in range(65):\n        y = x\n    return y": "line 2: range needs whole numbers",
    "def f(p):\n    for x in 1:\n        y = x\n    return 1": "line 2: a number is used where a list is needed",
}  # fmt: skip


@pytest.mark.guarantee("a reward function tries to reach, import, grow, nest or loop")
@pytest.mark.parametrize("source", REFUSED)
def test_everything_else_is_refused_with_the_line(source: str) -> None:
    with pytest.raises(InvalidRequest, match=REFUSED[source]):
        read(source)


@pytest.mark.parametrize("source", [None, 5, True, ["1"], {"a": 1}, b"1", "1" * (MOST_CHARACTERS + 1)])
def test_values_that_are_not_sources_are_refused(source: Any) -> None:
    with pytest.raises(InvalidRequest, match="must be a string of 1 to 5000 characters"):
        read(source)


BOMBS = [
    "(" * 2000 + "1" + ")" * 2000, "-" * 4990 + "1", "not " * 1200 + "1", "1" + "+1" * 2400, "[" * 4990, "1" + "[0]" * 1600,
    "observation[" * 400 + "0" + "]" * 400, "a" + ".a" * 2400, "1" * 4900, "[" + "1," * 2400 + "1]", "'" + "x" * 4900 + "'",
    "abs(" * 1200 + "1" + ")" * 1200, "lambda:" * 700 + "1", "1 if 1 else " * 400 + "1", "1 < " * 1200 + "1", "{" * 4990,
    "def f(p):\n" + "".join(" " * depth + "if 1:\n" for depth in range(1, 90)) + " " * 90 + "return 1", "f'" + "{" * 4000 + "'",
    "def f(p):\n" + "".join(" " * d + f"for x{d} in range(64):\n" for d in range(1, 9)) + " " * 9 + "y = 1\n return 1",
    "def f(p):\n x = 2\n" + " x = x * x\n" * 300 + " return x", "def f(p):\n x = [1]\n" + " x = [x, x]\n" * 300 + " return 1",
]  # fmt: skip


@pytest.mark.guarantee("a reward function tries to reach, import, grow, nest or loop")
@pytest.mark.parametrize("number", range(len(BOMBS)))
def test_bombs_are_refused_at_once_in_any_thread(number: int) -> None:
    errors: list[Exception] = []

    def read_bomb() -> None:
        try:
            read(BOMBS[number])
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=read_bomb)
    thread.start()
    thread.join(60)
    assert not thread.is_alive() and [type(error) for error in errors] == [InvalidRequest]
    assert len(str(errors[0])) < 300


def test_a_call_has_a_budget() -> None:
    loops = "def f(p):\n for i in range({0}):\n  for j in range({0}):\n   x = i * j\n return 1"
    assert read(loops.format(10))(True, [1.0] * 5, 0.0, 15.0) == 1
    with pytest.raises(InvalidRequest, match="line 4: it takes too many steps: use shorter loops"):
        read(loops.format(64))


def test_a_reward_may_fail_later_and_says_where() -> None:
    reward = read("def f(p):\n    x = p['observation'][0]\n    return 1 / (x - 7)")
    with pytest.raises(EnvironmentFailed, match="the reward function, line 3: float division by zero"):
        reward(True, [7.0] * 5, 0.0, 15.0)


names = st.sampled_from(
    ["is_alive", "observation", "direction", "rotational_velocity", "props", "min", "sum", "__import__", "x", "range"]
)
SIGNS = ("+", "-", "*", "/", "//", "%", "**", "<", "==", "in", "and", "or", "is", "<<", "@")
leaves = st.one_of(
    names,
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(repr),
    st.sampled_from(["True", "None", "'a'", "[]", "''"]),
)
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(SIGNS), inner).map(" ".join),
        st.tuples(names, inner).map("{0[0]}({0[1]})".format),
        st.tuples(inner, inner).map("({0[0]})[{0[1]}]".format),
        st.tuples(inner, names).map("({0[0]}).{0[1]}".format),
        st.lists(inner, max_size=4).map(lambda parts: f"[{', '.join(parts)}]"),
        st.tuples(inner, inner, inner).map("({0[0]} if {0[1]} else {0[2]})".format),
        inner.map("(-({0}))".format),
        inner.map("[x for x in ({0})]".format),
        inner.map("(lambda: ({0}))()".format),
    ),
    max_leaves=12,
)


FORMS = ("x = {}", "x += {}", "for x in {}: y = x", "if {}: x = 2", "return {}")


def runs(source: str) -> None:
    """Reads and calls a reward function; if it is not refused, it returns a finite float, or fails with a reason."""
    try:
        reward = read(source)
        value = reward(True, [1.0, 50.0, 200.0, 0.0, 3.5], 1.0, 15.0)
    except (InvalidRequest, EnvironmentFailed) as error:
        assert "the reward function" in str(error)
        return
    assert type(value) is float and math.isfinite(value)
    forbidden = (ast.Attribute, ast.Lambda, ast.ListComp, ast.Import)
    assert not [node for node in ast.walk(ast.parse(source.strip())) if isinstance(node, forbidden)]


@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(expressions)
def test_no_expression_escapes(source: str) -> None:
    runs(source)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.sampled_from(FORMS), expressions)))
def test_no_function_escapes(lines: list[tuple[str, str]]) -> None:
    runs("def f(props):\n x = 1\n" + "".join(f" {form.format(each)}\n" for form, each in lines) + " return x\n")


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=200))
def test_no_text_escapes(source: str) -> None:
    runs(source)
