"""Episodes: a journal's parts, each of which begins with a reset. Of a graded instance they are its trials."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from gymserve.journal.records import BROKEN, Created, Ended, Record, Reset, Step
from gymserve.protocol.recipe import Recipe


@dataclass(frozen=True)
class Episode:
    """From a reset to the record before the next one.

    Args:
        number: in its journal, from 1.
        place: of the reset among the journal's records, from 0.
        recipe: of its environment.
        records: the reset first.
    """

    number: int
    place: int
    recipe: Recipe
    records: Sequence[Record]

    @property
    def reset(self) -> Reset:
        """Its first record."""
        reset = self.records[0]
        assert isinstance(reset, Reset)
        return reset

    @cached_property
    def steps(self) -> list[Step]:
        """In their order."""
        return [record for record in self.records if isinstance(record, Step)]

    @property
    def moves(self) -> list[Reset | Step]:
        """All that moved the environment: the reset and the steps."""
        return [self.reset, *self.steps]

    @property
    def ended(self) -> Ended | None:
        """The record that ended the trial otherwise than a step or the next reset; None: there is none."""
        return next((each for each in self.records if isinstance(each, Ended) and each.kind != BROKEN), None)

    @property
    def is_over(self) -> bool:
        """Whether its last step ended it."""
        return bool(self.steps) and bool(self.steps[-1].terminated or self.steps[-1].truncated)

    @property
    def total(self) -> float:
        """Its return."""
        return float(sum(step.reward for step in self.steps))


def recipe_of(records: Sequence[Record]) -> Recipe:
    """The recipe of the journal's instance.

    Raises:
        ValueError: the journal does not begin with one.
    """
    if not records or not isinstance(records[0], Created):
        raise ValueError("the journal does not begin with a recipe")
    return records[0].recipe


def episodes_of(records: Iterable[Record]) -> list[Episode]:
    """The episodes of a journal, in order; of a vector instance those that all copies begin together.

    Raises:
        ValueError: the journal does not begin with a recipe.
    """
    kept = list(records)
    recipe = recipe_of(kept)
    starts = [place for place, record in enumerate(kept) if isinstance(record, Reset)]
    return [
        Episode(number, start, recipe.for_trial(number - 1), kept[start:end])
        for number, (start, end) in enumerate(pairwise([*starts, len(kept)]), 1)
    ]
