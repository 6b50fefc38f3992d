"""What a role allows."""

from gymserve.accounts.audit import Actor
from gymserve.accounts.identity import Identity


def test_a_role_includes_those_below_it() -> None:
    roles = ("participant", "organiser", "admin")
    for number, role in enumerate(roles):
        who = Identity(1, "a", role)
        assert [who.has_role(each) for each in roles] == [place <= number for place in range(3)]
        assert who.sees_all is (role == "admin")


def test_an_actor_has_the_account_of_its_identity() -> None:
    assert Actor.of(Identity(7, "a", "admin"), "192.0.2.1") == Actor(7, "a", "192.0.2.1")
    assert Actor.of(Identity(0, "everybody", "admin")).account_id is None  # of an open server
