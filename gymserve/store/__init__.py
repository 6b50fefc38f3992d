"""The database: connections, models and migrations. Every room may import it."""

from gymserve.system import extras

extras.require("server")

from gymserve.store.database import Database, connect, rows_changed

__all__ = ["Database", "connect", "rows_changed"]
