"""The cut of a video: the episodes that it shows."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from gymserve.recording.video.cutting import cut


@settings(max_examples=300, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 300) | st.just(3), min_size=1, max_size=60),
    fps=st.none() | st.sampled_from([1, 4, 20, 30, 50, 125]),
    seconds=st.floats(0.01, 90),
)
def test_a_cut_shows_as_many_episodes_as_fit(lengths: list[int], fps: float | None, seconds: float) -> None:
    """Compares with the plain definition: the largest number of episodes that fits at eight times the speed."""
    plan = cut(lengths, fps, seconds)
    most, last = max(1, int(seconds * plan.rate)), len(lengths) - 1

    def frames_of(shown: list[int]) -> int:
        return sum(1 + math.ceil(lengths[each] / plan.stride) + plan.hold for each in shown)

    choices = [[0], *([round(i * last / (number - 1)) for i in range(number)] for number in range(2, last + 2))]
    fitting = [shown for shown in choices if frames_of(shown) <= most]
    assert plan.shown == (fitting[-1] if fitting else [0])
    assert plan.frames == min(most, frames_of(plan.shown))
    assert plan.speed == 8 or plan.shown == choices[-1]
