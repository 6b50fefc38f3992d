"""The limit on long requests: no account occupies all threads of a worker."""

import pytest

from gymserve.protocol.errors import LimitReached
from gymserve.web.http.concurrency import ConcurrencyLimit


def test_no_account_exceeds_its_share() -> None:
    limit = ConcurrencyLimit(5, each=2)
    leave = [limit.enter(1) for _ in range(2)]
    for account, is_admitted in ((1, False), (2, True), (2, True), (2, False), (3, True), (4, False)):
        if is_admitted:
            leave.append(limit.enter(account))
        else:
            with pytest.raises(LimitReached):
                limit.enter(account)
    leave.pop(0)()
    limit.enter(1)
    with pytest.raises(LimitReached):
        limit.enter(1)


def test_without_accounts_one_visitor_may_use_the_whole_limit() -> None:
    limit = ConcurrencyLimit(3, each=1)
    leave = [limit.enter(0) for _ in range(3)]
    with pytest.raises(LimitReached):
        limit.enter(0)
    for each in leave:
        each()
    assert [limit.enter(0) for _ in range(3)]
