"""The database and the storage that the settings name, for whatever shares them: proxies, workers, commands."""

from sqlalchemy.exc import SQLAlchemyError

from serving.errors import DeployError
from serving.proxy.database import Database, sqlite_url
from serving.settings import HomeSettings, ProxySettings, StorageSettings


def open_database(home: HomeSettings, settings: ProxySettings) -> Database:
    """Return the proxy's database: what the settings name, or a file in the home.

    Raises
    ------
    DeployError
        When its URL is none, or its driver is not installed; nothing is connected to yet.
    """
    url = settings.database_url or sqlite_url(home.home.absolute() / "inlier.db")
    try:
        return Database(url, pool_size=settings.threads)
    except (SQLAlchemyError, ModuleNotFoundError, ValueError) as error:
        raise unusable(home, error) from error


def unusable(home: HomeSettings, error: Exception) -> DeployError:
    """Return what to say, in a line, of an error of the database."""
    why = str(error).splitlines()[0]
    return DeployError(f"the database cannot be used: {why} (INLIER_DATABASE_URL, or {home.home.absolute()})")


def storage_url(settings: StorageSettings, home: HomeSettings) -> str:
    """Return where files are kept: what the settings name, or a folder of the home."""
    return settings.url or str(home.home.absolute() / "storage")
