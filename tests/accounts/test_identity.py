"""What a role allows."""

from gymserve.accounts.identity import Identity


def test_a_role_includes_those_below_it() -> None:
    roles = ("participant", "organiser", "admin")
    for number, role in enumerate(roles):
        who = Identity(1, "a", role)
        assert [who.has_role(each) for each in roles] == [place <= number for place in range(3)]
        assert who.sees_all is (role == "admin")
