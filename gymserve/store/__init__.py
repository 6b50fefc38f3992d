"""What is kept in a database: connections, models, migrations. A leaf, which every room may use."""

from gymserve.store.database import Database, connect, rows_changed

__all__ = ["Database", "connect", "rows_changed"]
