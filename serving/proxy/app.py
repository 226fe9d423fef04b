"""The Flask application: what belongs together is a blueprint, and this puts them together."""

from flask import Flask

from serving.proxy import answers, clients, gateway, guard, health
from serving.proxy.database import Database, sqlite_url
from serving.proxy.upstream import Upstream
from serving.settings import GatewaySettings, HomeSettings, ProxySettings


def open_database(home: HomeSettings, settings: ProxySettings) -> Database:
    """Return the proxy's database: what the settings name, or a file in the home."""
    url = settings.database_url or sqlite_url(home.home.absolute() / "inlier.db")
    return Database(url, pool_size=settings.threads)


def create_app(
    settings: ProxySettings | None = None,
    gateway_settings: GatewaySettings | None = None,
    database: Database | None = None,
) -> Flask:
    """Return the proxy as a WSGI application; the schema must be there (``schema.upgrade``).

    Parameters
    ----------
    settings, gateway_settings : optional
        From the environment when not given.
    database : Database, optional
        What ``open_database`` gives when not given.
    """
    settings = settings or ProxySettings()
    database = database or open_database(HomeSettings(), settings)
    app = Flask("inlier", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    answers.register(app)
    guard.register(app, settings)
    app.register_blueprint(health.blueprint(database))
    app.register_blueprint(gateway.blueprint(database, Upstream(gateway_settings or GatewaySettings()), settings))
    app.register_blueprint(clients.blueprint(database))
    return app
