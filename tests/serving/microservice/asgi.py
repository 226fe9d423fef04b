"""Calling the application without a network."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.microservice.app import Microservice
from serving.microservice.service import Service
from serving.settings import MicroserviceSettings


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))

    @property
    def info(self) -> str:
        assert set(self.json) == {"status"}
        assert set(self.json["status"]) == {"code", "info", "reason", "status"}
        return self.json["status"]["info"]


class Client:
    """An application, and requests to it."""

    def __init__(self, user: Any, **settings: Any) -> None:
        self.service = Service(user, MicroserviceSettings(**settings))
        self.app = Microservice(self.service)

    def __call__(
        self,
        path: str,
        body: Any = None,
        method: str | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        chunks: Iterable[bytes] | None = None,
    ) -> Answer:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        method = method or ("GET" if body is None and chunks is None else "POST")
        sent = {"content-type": "application/json", **(headers or {})}
        if chunks is None:
            sent.setdefault("content-length", str(len(raw)))
        return asyncio.run(self.asked(path, method, query, sent, list(chunks) if chunks is not None else [raw]))

    async def asked(
        self, path: str, method: str, query: str, headers: Mapping[str, str], chunks: list[bytes]
    ) -> Answer:
        waiting = [
            {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
            for index, chunk in enumerate(chunks)
        ]
        events: list[Any] = []

        async def receive() -> Any:
            if not waiting:
                await asyncio.Event().wait()
            return waiting.pop(0)

        async def send(event: Any) -> None:
            events.append(event)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await asyncio.create_task(self.app(scope, receive, send))
        start, *rest = events
        return Answer(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            b"".join(event["body"] for event in rest),
        )
