"""The database and the storage that the settings name, for whatever shares them: proxies, workers, commands."""

from serving.proxy.database import Database, sqlite_url
from serving.settings import HomeSettings, ProxySettings, StorageSettings


def open_database(home: HomeSettings, settings: ProxySettings) -> Database:
    """Return the proxy's database: what the settings name, or a file in the home."""
    url = settings.database_url or sqlite_url(home.home.absolute() / "inlier.db")
    return Database(url, pool_size=settings.threads)


def storage_url(settings: StorageSettings, home: HomeSettings) -> str:
    """Return where files are kept: what the settings name, or a folder of the home."""
    return settings.url or str(home.home.absolute() / "storage")
