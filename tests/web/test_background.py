"""The thread that keeps background processes running outlives whatever a look at them raises."""

from pathlib import Path

import pytest

from gymserve.settings import Settings
from gymserve.web.background import Background, Process
from tests.servers import wait_for


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_look_that_fails_is_not_the_last(tmp_path: Path) -> None:
    looks: list[BaseException] = []
    raised = iter([RuntimeError("a bug"), OSError("no file"), SystemExit()])  # the last one ends a thread

    def has_work() -> bool:
        looks.append(next(raised))
        raise looks[-1]

    background = Background(
        Process("grader.reporter", lease="testing", has_work=has_work, settings=Settings(DATA=str(tmp_path)))
    )
    for number in range(1, 4):
        background.wake()
        wait_for(lambda number=number: len(looks) >= number)
