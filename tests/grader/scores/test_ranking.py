"""Places follow scores and the challenge's rule for ties; submissions without a finite score never rank."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gymserve.grader.scores.ranking import Place, Ranking, Rules, standings
from gymserve.grader.scores.ranking import RankingRow as Row

PLAIN: dict[str, Any] = {"better": "higher", "rule": "best", "ties": "shared"}
ROWS = st.lists(
    st.builds(
        Row,
        st.sampled_from("abcdef"),
        st.uuids().map(str),
        st.none() | st.sampled_from([math.nan, math.inf, -math.inf]) | st.integers(-3, 3).map(float),
        st.none() | st.integers(0, 2).map(float),
        st.integers(0, 9).map(float),
        st.none(),
        st.integers(0, 9),
    ),
    max_size=20,
)
RULES = st.fixed_dictionaries(
    {
        "better": st.sampled_from(["higher", "lower"]),
        "rule": st.sampled_from(["best", "last"]),
        "ties": st.sampled_from(["shared", "earlier", "secondary"]),
    }
)


def places(rows: list[Row], *, baselines: list[Row] = [], **rules: Any) -> list[Place]:  # noqa: B006
    return Ranking(standings(rows, Rules(**rules)).values(), Rules(**rules), baselines)[:]


def short(places: list[Place]) -> list[tuple[int | None, str, int]]:
    return [(place.rank, place.row.submission, place.tries) for place in places]


@pytest.mark.guarantee("an agent plays two runs at once, or leaves a bad one unplayed")
def test_the_last_submission_is_the_one_that_began_last() -> None:
    """The better of two simultaneous runs ends last; then a bad run is replaced by one with an unplayed trial."""
    bad, good = Row("a", "2", 1.0, time=3.0, began=2), Row("a", "1", 9.0, time=9.0, began=1)
    assert short(places([bad, good], **PLAIN | {"rule": "last"})) == [(1, "2", 2)]
    left = Row("a", "3", None, time=10.0, began=3)
    assert short(places([bad, good, left], **PLAIN | {"rule": "last"})) == []
    assert standings([bad, good, left], Rules(**PLAIN | {"rule": "last"})) == {"a": (None, 3)}
    assert short(places([bad, good, left], **PLAIN)) == [(1, "1", 3)]


BOARD = [
    Row(entrant, f"{number}", score, second, number, began=number)
    for number, (entrant, score, second) in enumerate(
        [("a", 5.0, 1.0), ("b", 7.0, 2.0), ("a", 7.0, 3.0), ("c", None, None), ("b", 1.0, 9.0), ("d", 0.0, 0.0)], 1
    )
]


def test_the_best_or_the_last_submission_of_an_entrant_counts() -> None:
    assert short(places(BOARD, **PLAIN)) == [(1, "2", 2), (1, "3", 2), (3, "6", 1)]
    assert short(places(BOARD, **PLAIN | {"rule": "last"})) == [(1, "3", 2), (2, "5", 2), (3, "6", 1)]
    assert short(places(BOARD, **PLAIN | {"better": "lower"})) == [(1, "6", 1), (2, "5", 2), (3, "1", 2)]


def test_ties() -> None:
    assert [place.tied for place in places(BOARD, **PLAIN)] == [True, True, False]
    assert short(places(BOARD, **PLAIN | {"ties": "earlier"})) == [(1, "2", 2), (2, "3", 2), (3, "6", 1)]
    assert short(places(BOARD, **PLAIN | {"ties": "secondary"})) == [(1, "3", 2), (2, "2", 2), (3, "6", 1)]
    lower = places(BOARD, **PLAIN | {"ties": "secondary"}, secondary_better="lower")
    assert short(lower) == [(1, "2", 2), (2, "3", 2), (3, "6", 1)]


def test_of_an_entrants_equal_submissions_the_first_graded_counts() -> None:
    """The time decides, not the names."""
    equals = [Row("a", "2", 5.0, time=1.0), Row("a", "1", 5.0, time=2.0)]
    for rows in (equals, equals[::-1]):
        assert short(places(rows, **PLAIN)) == [(1, "2", 2)]


def test_baselines_never_tie_and_need_a_finite_score() -> None:
    baselines = [
        Row("equal", "equal", 7.0),
        *(Row("odd", f"{odd}", odd) for odd in (math.nan, math.inf, None)),
    ]
    ranked = places([Row("a", "1", 7.0), Row("b", "2", 5.0)], **PLAIN, baselines=baselines)
    assert short(ranked) == [(1, "1", 1), (None, "equal", 0), (2, "2", 1)]
    assert [place.tied for place in ranked] == [False, False, False]


def test_reaching_the_exact_score_qualifies() -> None:
    rows = [Row(name, name, score) for name, score in (("a", 2.0), ("b", 3.0), ("c", 4.0))]
    for better, expected in (("lower", [True, True, False]), ("higher", [True, True, False])):
        ranked = places(rows, **PLAIN | {"better": better}, qualifying_score=3.0)
        assert [place.qualified for place in ranked] == expected


def test_baselines_are_listed_without_a_rank() -> None:
    ranked = places(BOARD, **PLAIN, baselines=[Row("random", "random", 3.0)], qualifying_score=3.0)
    assert short(ranked) == [(1, "2", 2), (1, "3", 2), (None, "random", 0), (3, "6", 1)]
    assert [place.qualified for place in ranked] == [True, True, True, False]


@given(ROWS, RULES)
def test_ranks_are_those_of_the_scores(rows: list[Row], rules: dict[str, str]) -> None:
    ranked = places(rows, **rules)
    last = {row.entrant: row for row in sorted(rows, key=lambda row: (row.began, row.submission))}
    counted = rows if rules["rule"] == "best" else list(last.values())
    finite = {row.entrant for row in counted if row.score is not None and math.isfinite(row.score)}
    assert {place.row.entrant for place in ranked} == finite and len(ranked) == len(finite)
    sign = 1 if rules["better"] == "higher" else -1
    scores = [sign * (place.row.score or 0.0) for place in ranked]
    assert scores == sorted(scores, reverse=True)
    for index, place in enumerate(ranked):
        assert place.rank is not None and 1 <= place.rank <= index + 1
        assert place.tied == (sum(other.rank == place.rank for other in ranked) > 1)
        if rules["ties"] == "shared":
            assert place.rank == 1 + sum(score > scores[index] for score in scores)
    if rules["rule"] == "best":
        for place in ranked:
            own = [sign * row.score for row in rows if row.entrant == place.row.entrant and row.score is not None]
            assert max(score for score in own if math.isfinite(score)) == sign * (place.row.score or 0.0)


@given(ROWS, RULES, st.randoms())
def test_the_order_of_the_rows_does_not_matter(rows: list[Row], rules: dict[str, str], chance: Any) -> None:
    mixed = rows[:]
    chance.shuffle(mixed)
    assert places(mixed, **rules) == places(rows, **rules)


@given(ROWS, ROWS, RULES)
def test_an_updated_ranking_equals_a_new_one(before: list[Row], after: list[Row], rules: dict[str, Any]) -> None:
    ruled, baselines = Rules(**rules), [Row("base", "", 1.0)]
    old = standings(before, ruled)
    first = Ranking(old.values(), ruled, baselines)
    shown = first[:]
    fresh = standings(after, ruled)
    changes = {entrant: fresh.get(entrant) for entrant in {*old, *fresh}}
    updated, expected = first.updated(changes), Ranking(fresh.values(), ruled, baselines)
    assert updated[:] == expected[:] and first[:] == shown
    ranks = {place.row.entrant: place.rank for place in expected[:]}
    assert all(updated.rank(entrant) == ranks.get(entrant) for entrant in "abcdef")
    assert [len(updated), updated[1:3]] == [len(expected), expected[:][1:3]]
