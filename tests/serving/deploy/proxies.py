"""A proxy on a real socket, in this process, that asks for keys as one on a cluster does."""

import json
import threading
from pathlib import Path
from typing import Any, Self

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from serving.deploy.calls import Proxy
from serving.deploy.credentials import Credentials
from serving.deploy.first_start import first_start
from serving.proxy import access
from serving.proxy.app import create_app
from serving.proxy.database import Database, sqlite_url
from serving.settings import GatewaySettings, HomeSettings, ProxySettings, StorageSettings


class KeepAlive(WSGIRequestHandler):
    """As gunicorn does."""

    protocol_version = "HTTP/1.1"


class RunningProxy:
    """Listens until it is closed; ``open`` lets it listen again at the same port."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._database = Database(sqlite_url(folder / "inlier.db"))
        first_start(self._database, Credentials(folder / "credentials"))
        settings = ProxySettings(access="keys")
        storage = StorageSettings(url=str(folder / "storage"))
        (folder / "storage").mkdir(exist_ok=True)
        home = HomeSettings(home=folder)
        self._app = create_app(settings, GatewaySettings(), self._database, home, storage_settings=storage)
        self._keys: dict[str, str] = {}
        self._server: BaseWSGIServer | None = None
        self.port = 0
        self.open()

    @property
    def server(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        self._server = make_server("127.0.0.1", self.port, self._app, threaded=True, request_handler=KeepAlive)
        self.port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def key(self, role: str) -> str:
        """Return an API key of a role."""
        if role not in self._keys:
            with self._database.writing() as session:
                self._keys[role] = access.add_key(session, f"test-{role}", role)
        return self._keys[role]

    def variations(self, client: str = "test") -> list[dict[str, Any]]:
        """Return what a client has."""
        proxy = Proxy(self.server, self.key("admin"))
        status, body = proxy.send("GET", f"/clients/{client}/variations")
        assert status == 200
        return list(json.loads(body)["variations"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._database.close()
