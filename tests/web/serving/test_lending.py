"""When a connection is lent: only if that is likely to pay."""

from gymserve.web.serving.lending import Loans

HEAD = b"POST /step HTTP/1.1\r\nContent-Length: %d\r\nX: %d\r\n\r\n"


def ask(loans: Loans, length: int, other: int = 0) -> bool:
    """Notes a request; returns whether its connection should be lent."""
    loans.head = HEAD % (length, other)
    start = HEAD.index(b"%d")
    loans.digits = (start, start + len(str(length)))
    return loans.repeated_head() is not None


def test_a_connection_is_lent_after_two_equal_heads() -> None:
    loans = Loans()
    assert [ask(loans, 12), ask(loans, 9), ask(loans, 1000)] == [False, True, True]
    assert [ask(loans, 12, other) for other in (1, 1, 2, 3, 3)] == [False, True, False, False, True]


def test_a_request_that_others_follow_is_like_no_other() -> None:
    loans = Loans()
    loans.head, loans.digits = b"", (0, 0)
    assert loans.repeated_head() is None is loans.repeated_head()


def test_loans_that_do_not_pay_become_rare_and_those_that_do_go_on() -> None:
    loans, made = Loans(), 0
    for _ in range(3000):
        if ask(loans, 12):
            made += 1
            loans.note(0)
    assert 3 <= made <= 10
    while not ask(loans, 12):
        pass
    loans.note(100)
    assert ask(loans, 12) and ask(loans, 12)
