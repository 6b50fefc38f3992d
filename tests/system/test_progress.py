"""The progress line."""

import pytest

from gymserve.system.terminal.progress import BAR_WIDTH, Progress, bar


@pytest.mark.parametrize(
    ("done", "total", "filled"),
    [(0, 10, 0), (5, 10, BAR_WIDTH // 2), (10, 10, BAR_WIDTH), (20, 10, BAR_WIDTH), (0, 0, 0)],
)
def test_a_bar_shows_the_fraction_done(done: int, total: int, filled: int) -> None:
    assert bar(done, total) == "█" * filled + "·" * (BAR_WIDTH - filled)


def test_the_line_is_shown_only_on_a_terminal_and_cleared_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    for progress in (Progress("quiet"), Progress("loud", shown=True)):
        progress.update("1")
        progress.update("2")  # too soon
        progress.end()
    assert capsys.readouterr().err == "\rloud: 1\033[K\r\033[K"
