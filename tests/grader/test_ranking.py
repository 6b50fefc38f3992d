"""Places follow scores, ties share or not as the challenge says, and what has no finite score never ranks."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from grader.ranking import Place, Ranking, Row, Rules, standings

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


def short(found: list[Place]) -> list[tuple[int | None, str, int]]:
    return [(place.rank, place.row.submission, place.tries) for place in found]


BOARD = [Row("a", "1", 5.0, 1.0, 1), Row("b", "2", 7.0, 2.0, 2), Row("a", "3", 7.0, 3.0, 3), Row("c", "4", None, None, 4),
         Row("b", "5", 1.0, 9.0, 5), Row("d", "6", 0.0, 0.0, 6)]  # fmt: skip


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


def test_baselines_stand_between_and_take_no_rank() -> None:
    found = places(BOARD, **PLAIN, baselines=[Row("random", "random", 3.0)], qualifying_score=3.0)
    assert short(found) == [(1, "2", 2), (1, "3", 2), (None, "random", 0), (3, "6", 1)]
    assert [place.qualified for place in found] == [True, True, True, False]


@given(ROWS, RULES)
def test_ranks_are_those_of_the_scores(rows: list[Row], rules: dict[str, str]) -> None:
    found = places(rows, **rules)
    finite = {row.entrant for row in rows if row.score is not None and math.isfinite(row.score)}
    assert {place.row.entrant for place in found} == finite and len(found) == len(finite)
    sign = 1 if rules["better"] == "higher" else -1
    scores = [sign * (place.row.score or 0.0) for place in found]
    assert scores == sorted(scores, reverse=True)
    for index, place in enumerate(found):
        assert place.rank is not None and 1 <= place.rank <= index + 1
        assert place.tied == (sum(other.rank == place.rank for other in found) > 1)
        if rules["ties"] == "shared":
            assert place.rank == 1 + sum(score > scores[index] for score in scores)
    if rules["rule"] == "best":
        for place in found:
            own = [sign * row.score for row in rows if row.entrant == place.row.entrant and row.score is not None]
            assert max(score for score in own if math.isfinite(score)) == sign * (place.row.score or 0.0)


@given(ROWS, RULES, st.randoms())
def test_the_order_of_the_rows_does_not_matter(rows: list[Row], rules: dict[str, str], chance: Any) -> None:
    mixed = rows[:]
    chance.shuffle(mixed)
    assert places(mixed, **rules) == places(rows, **rules)


@given(ROWS, ROWS, RULES)
def test_a_changed_ranking_is_as_one_made_anew(before: list[Row], after: list[Row], rules: dict[str, Any]) -> None:
    ruled, baselines = Rules(**rules), [Row("base", "", 1.0)]
    told = standings(before, ruled)
    first = Ranking(told.values(), ruled, baselines)
    shown = first[:]
    fresh = standings(after, ruled)
    changes = {entrant: fresh.get(entrant) for entrant in {*told, *fresh}}
    changed, anew = first.changed(changes), Ranking(fresh.values(), ruled, baselines)
    assert changed[:] == anew[:] and first[:] == shown
    ranks = {place.row.entrant: place.rank for place in anew[:]}
    assert all(changed.rank(entrant) == ranks.get(entrant) for entrant in "abcdef")
    assert [len(changed), changed[1:3]] == [len(anew), anew[:][1:3]]
