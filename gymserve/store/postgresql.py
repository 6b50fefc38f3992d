"""PostgreSQL's driver, with a limit on our side to how long an answer is waited for.

`statement_timeout` runs in the server; for one that is stopped, or cut off behind a proxy, the kernel goes on acknowledging.
"""

import time
from collections.abc import Generator
from typing import Any

import psycopg
from sqlalchemy import Engine, event


class Connection(psycopg.Connection[Any]):
    """A connection that is closed when an answer does not come within `seconds`."""

    seconds = float("inf")

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Raises: psycopg.OperationalError: the answer did not come in time."""
        return super().wait(self._within(gen), *args, **kwargs)

    def _within(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
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
    """Has `engine` use connections that wait no longer: for a sign of life before each use, and for a statement."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, named: Any) -> Connection:
        made = Connection.connect(*arguments, **named)
        made.seconds = statement_seconds
        return made

    ping = engine.dialect.do_ping

    def short_ping(connection: Any) -> bool:
        connection.seconds = ping_seconds
        try:
            return ping(connection)
        finally:
            connection.seconds = statement_seconds

    engine.dialect.do_ping = short_ping  # type: ignore
