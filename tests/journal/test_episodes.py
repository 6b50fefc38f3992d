"""Episodes: each has a reset, its steps, and all other records up to the next reset."""

import pytest

from gymserve.journal import Closed, Created, Ended, Monitored, Record, Reset, Step, episodes_of, recipe_of
from gymserve.protocol.recipe import Recipe, Trial

TRIALS = (Trial(1), Trial(2, kwargs={"gravity": 2.0}))
RECIPE = Recipe(env_id="CartPole-v1", environment="CartPole-v1", kwargs={"gravity": 1.0}, trials=TRIALS)


def reset(call: int) -> Reset:
    return Reset(call, 0, float(call), 1, None, None)


def step(call: int, reward: float = 1.0, end: bool = False) -> Step:
    return Step(call, 0, 0, reward, end, False, float(call) if end else None)


JOURNAL: list[Record] = [
    Created(RECIPE), Monitored({"directory": "a"}, 0.0), reset(1), step(2), Monitored(None, 2.5), step(3, 2.0, end=True),
    Ended(2, "broken: it raised", None, 3.5), reset(4), step(5), Ended(2, "late", None, 6.0), Closed("idle", 7.0),
]  # fmt: skip


def test_a_journal_is_split_at_its_resets() -> None:
    one, two = episodes_of(iter(JOURNAL))
    assert (one.number, one.place, one.reset) == (1, 2, JOURNAL[2])
    assert (two.number, two.place, two.reset) == (2, 7, JOURNAL[7])
    assert [*one.records, *two.records] == JOURNAL[2:]
    assert one.moves == [JOURNAL[2], JOURNAL[3], JOURNAL[5]] and two.moves == [JOURNAL[7], JOURNAL[8]]
    assert (one.total, one.is_over) == (3.0, True) and (two.total, two.is_over) == (1.0, False)


def test_an_episode_has_the_recipe_of_its_trial() -> None:
    assert [episode.recipe.kwargs["gravity"] for episode in episodes_of(JOURNAL)] == [1.0, 2.0]


def test_a_broken_next_trial_does_not_end_the_one_before() -> None:
    """The record that the next trial could not begin is among the records of the one before."""
    one, two = episodes_of(JOURNAL)
    assert one.ended is None and two.ended == JOURNAL[9]


def test_a_journal_without_a_reset_has_no_episode() -> None:
    assert episodes_of(JOURNAL[:2]) == [] and recipe_of(JOURNAL) == RECIPE
    for none in ([], JOURNAL[1:]):
        with pytest.raises(ValueError, match="does not begin with a recipe"):
            episodes_of(none)
