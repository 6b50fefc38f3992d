"""PostgreSQL's driver with a client-side time limit on answers.

`statement_timeout` runs in the server. It does not help if the server is stopped or cut off behind a proxy, since the
kernel goes on acknowledging packets.
"""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, event

T = TypeVar("T")


class TimedConnection(psycopg.Connection[Any]):
    """A connection that closes if an answer takes longer than `seconds`."""

    seconds = float("inf")

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Waits for the server's answer.

        Raises:
            psycopg.OperationalError: the answer did not come in time.
        """
        return super().wait(self._within(gen), *args, **kwargs)

    def _within(self, gen: PQGen[T]) -> PQGen[T]:
        deadline = time.monotonic() + self.seconds
        try:
            state = next(gen)
            while True:
                ready = yield state
                if not ready and time.monotonic() > deadline:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {self.seconds:g} s")
                state = gen.send(ready)
        except StopIteration as end:
            return end.value


def limit(engine: Engine, *, ping_seconds: float, statement_seconds: float) -> None:
    """Limits how long the connections of `engine` wait: for the ping before each use, and for a statement."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: object, record: object, arguments: Any, keywords: Any) -> TimedConnection:
        connection = TimedConnection.connect(*arguments, **keywords)
        connection.seconds = statement_seconds
        return connection

    ping = engine.dialect.do_ping

    def short_ping(connection: Any) -> bool:
        connection.seconds = ping_seconds
        try:
            return ping(connection)
        finally:
            connection.seconds = statement_seconds

    engine.dialect.do_ping = short_ping  # type: ignore[assignment, method-assign]  # SQLAlchemy has no event for pings
