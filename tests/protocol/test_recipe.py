"""Recipes survive a round trip through a journal, and their kinds say which environments are alike."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gymserve.protocol import wire
from gymserve.protocol.recipe import Recipe, Trial, Wrapper

VALUES = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=5)
MAPS = st.dictionaries(st.text(max_size=5), VALUES | st.lists(VALUES, max_size=3), max_size=3)
TRIALS = st.builds(Trial, st.integers(0, 2**63 - 1), st.none() | MAPS, MAPS)
RECIPES = st.builds(
    Recipe,
    env_id=st.text(),
    environment=st.text(),
    kwargs=MAPS,
    seed=st.none() | st.integers(0, 2**32 - 1),
    num_envs=st.integers(1, 5),
    max_episode_steps=st.none() | st.integers(1, 10),
    render_mode=st.sampled_from([None, "rgb_array"]),
    autoreset_mode=st.sampled_from([None, "SameStep"]),
    global_seed=st.none() | st.integers(0, 2**63 - 1),
    clip_actions=st.booleans(),
    trials=st.lists(TRIALS, max_size=3).map(tuple),
    created=st.just(0.0) | st.floats(1, 1e10),
).filter(lambda recipe: not (recipe.is_graded and recipe.is_vector))
CART = Recipe(env_id="CartPole-v1", environment="CartPole-v1", kwargs={"a": 1, "b": 1})
GRADED = CART.replace(trials=(Trial(1, None, {"b": 2}), Trial(3, {"size": 4}, {"c": 3})))


@pytest.mark.parametrize(
    "changes", [{"num_envs": 10**7}, {"num_envs": 0}, {"num_envs": 2}, {"trials": GRADED.trials * 10_000}], ids=str
)
def test_sizes_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="this is not a recipe"):
        Recipe.from_dict(GRADED.replace(**changes).to_dict())


@given(RECIPES)
def test_a_recipe_survives_a_round_trip(recipe: Recipe) -> None:
    assert Recipe.from_dict(wire.unpack(wire.pack(recipe.to_dict()))) == recipe


@given(RECIPES)
def test_recipes_of_one_kind_make_the_same_environment(recipe: Recipe) -> None:
    again = Recipe.of_kind(recipe.kind)
    assert again.kind == recipe.kind and not again.is_graded
    first = recipe.for_trial(0)
    for name in ("environment", "kwargs", "num_envs", "max_episode_steps", "render_mode", "clip_actions"):
        assert getattr(again, name) == getattr(first, name)


def test_recipes_of_other_versions_are_read() -> None:
    data = {"env_id": "CartPole-v1", "num_envs": 1, "later": {"x": 1}}
    assert Recipe.from_dict(data) == Recipe(env_id="CartPole-v1", environment="CartPole-v1")
    kept = set(GRADED.to_dict())
    assert kept - set(CART.to_dict()) == {"trials", "allowance"} and not kept & {"created", "clip_actions"}


@pytest.mark.parametrize(
    "data", [None, [], {}, {"env_id": 3}, {"env_id": "x", "num_envs": "2"}, {"env_id": "x", "trials": [{}]}]
)
def test_malformed_recipes_are_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="not a recipe"):
        Recipe.from_dict(data)


def test_a_trials_kwargs_override_the_common_ones() -> None:
    assert [GRADED.for_trial(index).kwargs for index in (-1, 0, 1, 2)] == [
        {"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1, "b": 1, "c": 3}, {"a": 1, "b": 1, "c": 3},
    ]  # fmt: skip
    assert CART.for_trial(0) is CART and GRADED.kind == CART.replace(kwargs={"a": 1, "b": 2}).kind != CART.kind


def test_wrappers_survive_a_round_trip_and_old_journals_have_none() -> None:
    recipe = Recipe.from_dict(
        {"env_id": "CartPole-v1", "wrappers": [{"name": "ClipReward", "kwargs": {"max_reward": 1}}]}
    )
    assert recipe.wrappers == (Wrapper("ClipReward", {"max_reward": 1}),)
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert Recipe.of_kind(recipe.kind).wrappers == recipe.wrappers
    plain = Recipe.from_dict({"env_id": "CartPole-v1"})
    assert plain.wrappers == () and "wrappers" not in plain.to_dict() and plain.kind != recipe.kind
