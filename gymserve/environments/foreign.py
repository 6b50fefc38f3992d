"""What environments raise, and how that is told: they are others' code, so it may be anything, of any length."""

import signal
from pathlib import Path
from typing import Any

import gymnasium

from gymserve.protocol.errors import EnvironmentFailed, InvalidValue

MOST_CHARACTERS = 500  # of what is told of an error
EXPECTED = (
    "as Gymnasium has it, reset(seed=…, options=…) returns (observation, info), and step(action) returns "
    "(observation, reward, terminated, truncated, info)"
)
_UNPACKING = (
    "values to unpack",
    "cannot unpack",
    "unexpected keyword argument 'seed'",
    "unexpected keyword argument 'opt",
)
_OURS = (str(Path(gymnasium.__file__).parent), str(Path(__file__).parent.parent))


def pass_on_interrupt(error: BaseException) -> None:
    """Raises a Ctrl-C again. It is one where SIGINT is not ignored, as hosts and background processes do."""
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        raise error


def one_line(text: str) -> str:
    """A text without line breaks and control characters, and not longer than anybody wants to read."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: MOST_CHARACTERS + 1])
    shown = " ".join(shown.split())
    return shown if len(text) <= MOST_CHARACTERS else f"{shown[:MOST_CHARACTERS]}…"


def words(error: BaseException) -> str:
    """An error's class and text, on one line."""
    try:
        text = str(error)
    except BaseException as another:  # its own __str__ may raise anything
        pass_on_interrupt(another)
        text = ""
    name = one_line(type(error).__name__)
    return f"{name}: {one_line(text)}" if text else name


def failure(error: BaseException) -> EnvironmentFailed:
    """What a call into an environment ended in, for the caller. A Ctrl-C is raised again instead."""
    pass_on_interrupt(error)
    if isinstance(error, InvalidValue):
        return EnvironmentFailed(f"the environment's observation is not in its space: {one_line(str(error))}")
    hint = f" ({EXPECTED})" if _is_of_another_shape(error) else ""
    return EnvironmentFailed(f"the environment raised {words(error)}{hint}")


def close(env: Any) -> None:
    """Closes an environment; one that cannot be closed is forgotten all the same."""
    try:
        env.close()
    except BaseException as error:
        pass_on_interrupt(error)


def check_reset(answer: object) -> None:
    """Refuses what a reset of gym before 0.26 returns, also where that has two elements by chance.

    Raises:
        TypeError: it is not (observation, info).
    """
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
        raise TypeError("cannot unpack what reset returned")


def _is_of_another_shape(error: BaseException) -> bool:
    """Whether it was raised by Gymnasium or by us when an answer was taken apart, or a call had other parameters."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    file = last.tb_frame.f_code.co_filename if last is not None else ""
    return (
        isinstance(error, (ValueError, TypeError))
        and file.startswith(_OURS)
        and any(text in str(error) for text in _UNPACKING)
    )
