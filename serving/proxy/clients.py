"""The API for whoever runs the proxy: clients, keys, variations. It is loopback that protects it (see ``guard``).

=======  =================================  ========================================================================
GET      /clients                           ``{"clients": [{"name", "created_at", "keys", "variations"}]}``
POST     /clients                           ``{"name"}``; 201, or 409 when it is there
GET      /clients/<name>                    one of them
DELETE   /clients/<name>                    with its keys, tokens and variations; 204
GET      /clients/<name>/keys               ``{"keys": [{"id", "scope", "hint", "created_at"}]}``
POST     /clients/<name>/keys               ``{"scope": "js" | "all"}``; 201 with consumer_key (and consumer_secret),
                                            shown this once
DELETE   /clients/<name>/keys/<id>          with its tokens; 204
GET      /clients/<name>/variations         ``{"variations": [{"label", "ratio", "kind", "url", "model_name"}]}``
PUT      /clients/<name>/variations         the same, in the place of all; ``"moved": {old URL: new URL}`` beside it is
                                            followed by the variations of every client in the same transaction
=======  =================================  ========================================================================
"""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from serving.proxy import bodies, store
from serving.proxy.answers import answer
from serving.proxy.database import Database
from serving.proxy.requests import json_body
from serving.proxy.tables import Client, Key, Variation


def show_key(key: Key) -> dict[str, Any]:
    """Return what can be told of a key."""
    return {"id": key.id, "scope": key.scope, "hint": key.hint, "created_at": key.created_at}


def show_variation(variation: Variation) -> dict[str, Any]:
    """Return a variation."""
    return {name: getattr(variation, name) for name in ("label", "ratio", "kind", "url", "model_name")}


def show_client(client: Client) -> dict[str, Any]:
    """Return a client with all it has."""
    return {
        "name": client.name,
        "created_at": client.created_at,
        "keys": [show_key(key) for key in client.keys],
        "variations": [show_variation(variation) for variation in client.variations],
    }


def blueprint(database: Database) -> Blueprint:
    """Return the client API."""
    routes = Blueprint("clients", __name__, url_prefix="/clients")

    @routes.get("")
    def list_clients() -> Response:
        with database.browsing() as session:
            query = select(Client).options(selectinload(Client.keys), selectinload(Client.variations))
            return answer({"clients": [show_client(client) for client in session.scalars(query.order_by(Client.name))]})

    @routes.post("")
    def add_client() -> Response:
        body = bodies.read(bodies.NewClient, json_body())
        with database.writing() as session:
            return answer(show_client(store.add_client(session, body.name)), 201)

    @routes.get("/<name>")
    def get_client(name: str) -> Response:
        with database.browsing() as session:
            return answer(show_client(store.find_client(session, name)))

    @routes.delete("/<name>")
    def delete_client(name: str) -> Response:
        with database.writing() as session:
            session.delete(store.find_client(session, name, to_change=True))
        return Response(status=204)

    @routes.get("/<name>/keys")
    def list_keys(name: str) -> Response:
        with database.browsing() as session:
            return answer({"keys": [show_key(key) for key in store.find_client(session, name).keys]})

    @routes.post("/<name>/keys")
    def add_key(name: str) -> Response:
        body = bodies.read(bodies.NewKey, json_body())
        with database.writing() as session:
            key = store.add_key(session, store.find_client(session, name, to_change=True), body.scope)
        response = answer({field: value for field, value in asdict(key).items() if value is not None}, 201)
        response.headers["Cache-Control"] = "no-store"
        return response

    @routes.delete("/<name>/keys/<int:key_id>")
    def delete_key(name: str, key_id: int) -> Response:
        with database.writing() as session:
            store.delete_key(session, store.find_client(session, name, to_change=True), key_id)
        return Response(status=204)

    @routes.get("/<name>/variations")
    def list_variations(name: str) -> Response:
        with database.browsing() as session:
            client = store.find_client(session, name)
            return answer({"variations": [show_variation(variation) for variation in client.variations]})

    @routes.put("/<name>/variations")
    def put_variations(name: str) -> Response:
        body = bodies.read(bodies.Variations, json_body())
        with database.writing() as session:
            client = store.find_client(session, name, to_change=True)
            store.replace_variations(session, client, body.variations)
            store.move_variations(session, body.moved)
            session.flush()
            session.refresh(client, ["variations"])
            return answer({"variations": [show_variation(variation) for variation in client.variations]})

    return routes
