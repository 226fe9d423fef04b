"""The database, as commands that need no proxy open it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.proxy.database import Database
    from serving.settings import HomeSettings


@contextmanager
def upgraded(home: "HomeSettings") -> Iterator["Database"]:
    """Open what INLIER_DATABASE_URL names, or the home's file, and bring its schema up to date.

    Raises
    ------
    DeployError
        If the database cannot be used, or there is no place for its file.
    """
    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

    from serving.deploy.home import Home
    from serving.proxy.schema import upgrade
    from serving.resources import open_database, unusable
    from serving.settings import ProxySettings

    settings = ProxySettings()
    if not settings.database_url:  # a container with a server for its database may have no place to write
        Home(home.home).prepare()
    try:
        database = open_database(home, settings)
        try:
            upgrade(database)
            yield database
        finally:
            database.close()
    except (SQLAlchemyError, CommandError) as error:
        raise unusable(home, error) from error
