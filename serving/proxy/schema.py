"""The schema, brought up to date by Alembic's migrations, which are part of this package."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from serving.proxy.database import WRITES, Database

SCHEMA_LOCK = 0x1271E4  # PostgreSQL's advisory locks are numbers of one's own choice


def upgrade(database: Database) -> None:
    """Bring the schema up to date: safe to run again, and by several processes at once.

    Everything is one transaction that holds the database's lock from its beginning, so that a second process waits
    and then finds nothing to do.
    """
    config = Config()
    config.set_main_option("script_location", "serving.proxy:migrations")
    config.set_main_option("path_separator", "os")
    with database.engine.execution_options(**WRITES).begin() as connection:
        lock_schema(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def lock_schema(connection: Connection) -> None:
    """Wait until no other process changes the schema or makes what comes with it; held until the transaction ends."""
    if connection.dialect.name == "postgresql":  # SQLite lets one write at a time anyhow
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
