"""Probes: /health/ping says that the process answers, /health/status that it can do its work too."""

from flask import Blueprint, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from serving.errors import UpstreamDown
from serving.proxy.answers import answer
from serving.proxy.database import Database


def blueprint(database: Database) -> Blueprint:
    """Return the probes."""
    routes = Blueprint("health", __name__, url_prefix="/health")

    @routes.get("/ping")
    def ping() -> Response:
        return Response("pong", mimetype="text/plain")

    @routes.get("/status")
    def status() -> Response:
        try:
            with database.reading() as connection:
                connection.execute(text("SELECT count(*) FROM clients"))
        except SQLAlchemyError as error:
            raise UpstreamDown(f"the database does not answer: {type(error).__name__}") from error
        return answer({"status": "ok"})

    return routes
