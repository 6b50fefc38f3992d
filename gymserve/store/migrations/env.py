"""Alembic's environment: runs the migrations on the connection that `gymserve.store.schema` passes in."""

from alembic import context

from gymserve.store.models import TableModel

context.configure(
    connection=context.config.attributes["connection"], target_metadata=TableModel.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
