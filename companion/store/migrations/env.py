"""Alembic's entry: the connection is the store's own, already in a transaction."""

from alembic import context

from companion.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
