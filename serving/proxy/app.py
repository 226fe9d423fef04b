"""The Flask application: what belongs together is a blueprint, and this puts them together."""

from flask import Flask

from serving.proxy import (
    access,
    anomaly_detection,
    answers,
    clients,
    files,
    gateway,
    guard,
    health,
    metrics,
    models_api,
    openapi,
    store,
    task_metrics,
)
from serving.proxy.database import Database
from serving.proxy.predictor import Predictor
from serving.proxy.upstream import Upstream
from serving.resources import open_database, storage_url
from serving.settings import GatewaySettings, HomeSettings, ProxySettings, StorageSettings, TaskSettings
from serving.tasks.application import celery_application
from training.storage import Storage, open_storage

PREDICTOR = "inlier-predictor"
"""Among the extensions of the application: what the gRPC port shares with it."""


def create_app(
    settings: ProxySettings | None = None,
    gateway_settings: GatewaySettings | None = None,
    database: Database | None = None,
    home: HomeSettings | None = None,
    task_settings: TaskSettings | None = None,
    storage_settings: StorageSettings | None = None,
    storage: Storage | None = None,
    proxy_metrics: metrics.ProxyMetrics | None = None,
) -> Flask:
    """Return the proxy as a WSGI application; the schema must be there (``schema.upgrade``).

    Parameters
    ----------
    settings, gateway_settings, home, task_settings, storage_settings : optional
        From the environment when not given.
    database : Database, optional
        What ``open_database`` gives when not given.
    storage : Storage, optional
        What the settings name when not given.
    proxy_metrics : ProxyMetrics, optional
        Where this process counts; a board of its own when not given.
    """
    settings, home = settings or ProxySettings(), home or HomeSettings()
    task_settings, storage_settings = task_settings or TaskSettings(), storage_settings or StorageSettings()
    database = database or open_database(home, settings)
    storage = storage or open_storage(
        storage_url(storage_settings, home), storage_settings.endpoint_url, storage_settings.region
    )
    app = Flask("inlier", static_folder=None)
    app.url_map.merge_slashes = False  # a path that is none is said to be none, not redirected to another
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    answers.register(app)
    guard.register(app, settings)
    access.register(app, database, settings)
    proxy_metrics = proxy_metrics or metrics.ProxyMetrics()
    task_metrics.register(proxy_metrics, database)
    proxy_metrics.show_breakers_of(lambda: store.labels(database))
    app.register_blueprint(health.blueprint(database))
    app.register_blueprint(metrics.blueprint(proxy_metrics))
    gateway_settings = gateway_settings or GatewaySettings()
    upstream = Upstream(gateway_settings)
    predictor = Predictor(database, upstream, proxy_metrics, gateway_settings, settings.max_rows)
    app.extensions[PREDICTOR] = predictor
    app.register_blueprint(gateway.blueprint(database, predictor, settings.token_seconds))
    app.register_blueprint(clients.blueprint(database))
    app.register_blueprint(files.blueprint(storage, storage_settings))
    app.register_blueprint(models_api.blueprint(storage))
    app.register_blueprint(openapi.blueprint())
    celery = celery_application(task_settings, home)
    app.register_blueprint(anomaly_detection.blueprint(database, storage, celery, task_settings))
    return app
