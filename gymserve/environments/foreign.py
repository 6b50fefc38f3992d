"""Handles errors of environments; as foreign code, they may raise anything, with messages of any length."""

import signal
from pathlib import Path

import gymnasium

from gymserve.protocol.errors import EnvironmentFailed, InvalidValue
from gymserve.protocol.generics import ForeignEnv

MOST_CHARACTERS = 500  # of an error's message
EXPECTED = (
    "in Gymnasium's API, reset(seed=…, options=…) returns (observation, info), and step(action) returns "
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
    """Re-raises a Ctrl-C; hosts and background processes ignore SIGINT, so there it can only be the environment's own error."""
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        raise error


def one_line(text: str) -> str:
    """The text on one line, without control characters, and cut to a readable length."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: MOST_CHARACTERS + 1])
    shown = " ".join(shown.split())
    return shown if len(text) <= MOST_CHARACTERS else f"{shown[:MOST_CHARACTERS]}…"


def error_text(error: BaseException) -> str:
    """An error's class and message, on one line."""
    try:
        text = str(error)
    except BaseException as another:  # its own __str__ may raise anything
        pass_on_interrupt(another)
        text = ""
    name = one_line(type(error).__name__)
    return f"{name}: {one_line(text)}" if text else name


def failure(error: BaseException) -> EnvironmentFailed:
    """The error to report for an exception of an environment; a Ctrl-C is raised again instead."""
    pass_on_interrupt(error)
    if isinstance(error, InvalidValue):
        return EnvironmentFailed(f"the environment's observation is not in its space: {one_line(str(error))}")
    hint = f" ({EXPECTED})" if _has_another_api(error) else ""
    return EnvironmentFailed(f"the environment raised {error_text(error)}{hint}")


def close(env: ForeignEnv) -> None:
    """Closes an environment, and ignores its errors."""
    try:
        env.close()
    except BaseException as error:
        pass_on_interrupt(error)


def check_reset(answer: object) -> None:
    """Refuses the result of a reset in gym before 0.26, even if it has two elements by chance.

    Raises:
        TypeError: the result is not (observation, info).
    """
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
        raise TypeError("cannot unpack what reset returned")


def _has_another_api(error: BaseException) -> bool:
    """Whether Gymnasium or our code raised the error because the environment's methods have other parameters or results."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    file = last.tb_frame.f_code.co_filename if last is not None else ""
    return (
        isinstance(error, (ValueError, TypeError))
        and file.startswith(_OURS)
        and any(text in str(error) for text in _UNPACKING)
    )
