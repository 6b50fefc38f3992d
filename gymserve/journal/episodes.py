"""Episodes: the parts of a journal, each of which begins with a reset. In a graded instance they are the trials."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from gymserve.journal.records import BROKEN, Created, Ended, Record, Reset, Step
from gymserve.protocol.recipe import Recipe


@dataclass(frozen=True)
class Episode:
    """The records from a reset to the one before the next reset.

    Args:
        number: the number of the episode in its journal, from 1.
        place: the index of the reset among the journal's records, from 0.
        recipe: the recipe of the episode's environment.
        records: the records, the reset first.
    """

    number: int
    place: int
    recipe: Recipe
    records: Sequence[Record]

    @property
    def reset(self) -> Reset:
        """The first record."""
        reset = self.records[0]
        assert isinstance(reset, Reset)
        return reset

    @cached_property
    def steps(self) -> list[Step]:
        """The steps, in order."""
        return [record for record in self.records if isinstance(record, Step)]

    @property
    def moves(self) -> list[Reset | Step]:
        """The records of calls to the environment: the reset and the steps."""
        return [self.reset, *self.steps]

    @property
    def ended(self) -> Ended | None:
        """The record of a trial's end that neither a step nor the next reset shows, or None."""
        return next((each for each in self.records if isinstance(each, Ended) and each.kind != BROKEN), None)

    @property
    def is_over(self) -> bool:
        """Whether the last step ended the episode."""
        return bool(self.steps) and bool(self.steps[-1].terminated or self.steps[-1].truncated)

    @property
    def total(self) -> float:
        """The return: the sum of the rewards."""
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
    """Splits a journal into episodes. Those of a vector instance begin where a reset was requested.

    Raises:
        ValueError: the journal does not begin with a recipe.
    """
    journal = list(records)
    recipe = recipe_of(journal)
    starts = [place for place, record in enumerate(journal) if isinstance(record, Reset)]
    return [
        Episode(number, start, recipe.for_trial(number - 1), journal[start:end])
        for number, (start, end) in enumerate(pairwise([*starts, len(journal)]), 1)
    ]
