"""The schema, brought up to date by Alembic's migrations, which are part of this package."""

import logging

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from serving.proxy.database import WRITES, Database

log = logging.getLogger(__name__)

SCHEMA_LOCK = 0x1271E4  # PostgreSQL's advisory locks are numbers of one's own choice


def upgrade(database: Database) -> None:
    """Bring the schema up to date: safe to run again, and by several processes at once.

    Everything is one transaction that holds the database's lock from its beginning, so that a second process waits
    and then finds nothing to do. A schema of a later version is left as it is: that version was rolled back, or is
    being rolled out, and every migration leaves what the version before it can work with.
    """
    config = Config()
    config.set_main_option("script_location", "serving.proxy:migrations")
    config.set_main_option("path_separator", "os")
    with database.engine.execution_options(**WRITES).begin() as connection:
        lock_schema(connection)
        if later := _later(config, connection):
            log.warning("the schema is of a later version (%s), and left as it is", later)
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _later(config: Config, connection: Connection) -> str | None:
    """Return the schema's revision if this version does not know it."""
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    return revision if revision not in known | {None} else None


def lock_schema(connection: Connection) -> None:
    """Wait until no other process changes the schema or makes what comes with it; held until the transaction ends."""
    if connection.dialect.name == "postgresql":  # SQLite lets one write at a time anyhow
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
