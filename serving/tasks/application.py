"""The Celery application: one task, which says which row to run."""

import importlib.util
import logging
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError

from serving.errors import DeployError
from serving.settings import HomeSettings, TaskSettings
from serving.tasks import folder_broker

log = logging.getLogger(__name__)

TASK_NAME = "inlier.run"
SEND_SECONDS = 2.0
"""How long a broker may take to take a message; then the reaper sends it later."""


def celery_application(settings: TaskSettings, home: HomeSettings) -> Celery:
    """Return the application for the broker that the settings name.

    Raises
    ------
    DeployError
        For a URL that names no broker.
    """
    app = Celery("inlier", set_as_current=False)
    app.conf.update(
        task_default_queue=settings.queue,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=False,
        task_publish_retry=False,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=SEND_SECONDS,
        broker_heartbeat=10,
        enable_utc=True,
        **_broker(settings.broker_url, home),
    )
    return app


def _broker(url: str, home: HomeSettings) -> dict[str, Any]:
    # max_retries is for whoever sends: a worker connects anew for ever, by broker_connection_max_retries
    options: dict[str, Any] = {"max_retries": 1, "interval_start": 0.0, "interval_step": 0.2}
    parts = urlsplit(url)
    if not url or parts.scheme == "filesystem":
        folder_broker.register()
        folder = Path(unquote(parts.path)) if parts.path.strip("/") else home.home.absolute() / "broker"
        return {
            "broker_url": f"{folder_broker.ALIAS}://localhost",
            "broker_transport_options": options | {"folder": str(folder)},
        }
    if parts.scheme in ("redis", "rediss"):
        if importlib.util.find_spec("redis") is None:  # kombu's words for that are none
            raise DeployError(
                f"a broker of {parts.scheme}:// needs redis, which is not installed; install inlier[redis]"
            )
        options |= {"socket_connect_timeout": SEND_SECONDS, "socket_timeout": 10.0, "socket_keepalive": True}
    elif parts.scheme in ("amqp", "amqps", "pyamqp"):
        options |= {"confirm_publish": True}
    else:
        raise DeployError(f"a broker is redis://, amqp:// or filesystem://, not {parts.scheme}://")
    return {"broker_connection_max_retries": None, "broker_transport_options": options, **_verified(parts)}


def _verified(parts: SplitResult) -> dict[str, Any]:
    """Have the broker's certificate checked, unless the URL of a Redis says otherwise.

    By itself kombu asks Redis for no certificate, and RabbitMQ for one of any name.
    """
    url = parts.geturl()
    if parts.scheme == "amqps":
        return {"broker_url": url, "broker_use_ssl": {"server_hostname": parts.hostname}}
    if parts.scheme == "rediss" and "ssl_cert_reqs" not in parse_qs(parts.query):
        url = parts._replace(query=f"{parts.query}&ssl_cert_reqs=required".lstrip("&")).geturl()
    return {"broker_url": url}


def send(app: Celery, task_id: str, celery_id: str) -> bool:
    """Tell the workers of a task; False when the broker does not take it, and the reaper has to, later."""
    try:
        app.send_task(TASK_NAME, args=[task_id], task_id=celery_id, retry=False, ignore_result=True)
    except (KombuError, CeleryError, OSError) as error:
        log.warning("the broker took no message for task %s: %s", task_id, error)
        return False
    return True
