"""What Alembic runs for a migration: on the connection, and in the transaction, that ``schema.upgrade`` holds."""

from alembic import context

from serving.proxy.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
