"""Creation: what an agent may ask for, and in which kind of host it ends up."""

from typing import Any

import pytest

from gymserve.environments import Catalogue, Environment
from gymserve.hosts import folders
from gymserve.hosts.pool.creation import graded_recipe, host_of, plain_recipe, request_body, with_global_seed
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.recipe import Recipe, Wrapper

SHARED = Environment("CartPole-v1", "CartPole-v1", "shared")
DEDICATED = Environment("HalfCheetah-v5", "HalfCheetah-v5", "dedicated")
SECRET = 987654321


def plain(**options: Any) -> Recipe:
    return plain_recipe("CartPole-v1", "CartPole-v1", options, most_envs=16)


def graded(**options: Any) -> Recipe:
    return graded_recipe(plain(), {"trials": [{"seed": SECRET}], **options})  # type: ignore[typeddict-item]  # any options


def test_only_light_and_plain_environments_share_a_host_untried() -> None:
    assert host_of(plain(), SHARED) == ("", False)
    for special in (
        plain(kwargs={"sutton_barto_reward": True}),
        plain(num_envs=2),
        plain(wrappers=[Wrapper("FlattenObservation")]),
    ):
        assert host_of(special, SHARED) == (special.kind, False)
    assert host_of(plain(), DEDICATED) == (plain().kind, True)


def test_a_graded_instance_never_shares_a_host() -> None:
    assert host_of(graded(), SHARED) == (folders.GRADED, True)
    assert host_of(graded(), DEDICATED)[1]


def test_only_vector_instances_have_an_autoreset_mode_by_themselves() -> None:
    assert plain().autoreset_mode is None
    assert plain(num_envs=2).autoreset_mode == "NextStep"
    assert plain(num_envs=2, autoreset_mode="Disabled").autoreset_mode == "Disabled"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_envs": 17}, "MAX_NUM_ENVS = 16, not 17"),
        ({"wrappers": [Wrapper("FlattenObservation", {"to": 1})]}, "unexpected keyword argument 'to'"),
    ],
)
def test_too_much_or_unknown_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRequest, match=text):
        plain(**options)


@pytest.mark.parametrize("options", [{"num_envs": 2}, {"autoreset_mode": "SameStep"}])
def test_a_graded_instance_is_no_vector(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="cannot be a vector instance"):
        graded_recipe(plain(**options), {"trials": [{"seed": 1}]})


def test_secret_seeds_are_not_in_what_identifies_a_request() -> None:
    assert str(SECRET) in str(graded().to_dict()) and str(SECRET) not in request_body(graded())
    assert request_body(graded()) == request_body(graded()) != request_body(graded(clip_actions=True))
    assert request_body(plain(seed=1)) != request_body(plain(seed=2))


def test_global_generators_are_seeded_from_the_first_seed_or_by_chance() -> None:
    assert with_global_seed(plain(seed=0)).global_seed == 0
    assert with_global_seed(graded()).global_seed == SECRET
    assert with_global_seed(plain()).global_seed != with_global_seed(plain()).global_seed


def test_the_catalogue_says_which_environments_are_light() -> None:
    catalogue = Catalogue()
    assert [catalogue.resolve(env_id).kind for env_id in ("CartPole-v1", "HalfCheetah-v5")] == ["shared", "dedicated"]
