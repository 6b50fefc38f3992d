"""Places for what goes on live."""

import pytest

from gymserve.protocol.errors import LimitReached
from gymserve.web.http.places import ConcurrencyLimit


def test_no_account_takes_the_places_of_others() -> None:
    places = ConcurrencyLimit(5, each=2)
    leave = [places.enter(1) for _ in range(2)]
    for account, left in ((1, False), (2, True), (2, True), (2, False), (3, True), (4, False)):
        if left:
            leave.append(places.enter(account))
        else:
            with pytest.raises(LimitReached):
                places.enter(account)
    leave.pop(0)()
    places.enter(1)
    with pytest.raises(LimitReached):
        places.enter(1)


def test_without_accounts_there_are_as_many_as_there_are() -> None:
    places = ConcurrencyLimit(3, each=1)
    leave = [places.enter(0) for _ in range(3)]
    with pytest.raises(LimitReached):
        places.enter(0)
    for each in leave:
        each()
    assert [places.enter(0) for _ in range(3)]
