"""``inlier keys``: keys for the proxy's own API."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from serving.proxy.database import Database

HOME = click.option("--home", type=click.Path(path_type=Path), help="The folder of its files.  [default: ./.inlier]")


@click.group()
def keys() -> None:
    """Make, list and delete keys for the API; roles are read, run and admin.

    Keys are asked for when `inlier up` listens on more than the loopback address. They are sent as the header
    "Authorization: Bearer KEY"; `inlier task` takes them from INLIER_API_KEY.
    """


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["read", "run", "admin"]), default="run", show_default=True)
@HOME
def create(name: str, role: str, home: Path | None) -> None:
    """Make a key and print it, this once."""
    from serving.proxy import access
    from serving.proxy.bodies import check_name

    try:
        check_name(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    with _database(home) as database, database.writing() as session:
        key = access.add_key(session, name, role)
    click.echo(key)


@keys.command("list")
@HOME
def list_keys(home: Path | None) -> None:
    """List keys: name, role, first characters, when they were made."""
    from serving.proxy import access

    with _database(home) as database, database.browsing() as session:
        for key in access.all_keys(session):
            click.echo(f"{key.name}\t{key.role}\t{key.hint}...\t{key.created_at:%Y-%m-%d %H:%M:%S}Z")


@keys.command()
@click.argument("name")
@HOME
def delete(name: str, home: Path | None) -> None:
    """Delete a key."""
    from serving.proxy import access

    with _database(home) as database, database.writing() as session:
        access.delete_key(session, name)


@contextmanager
def _database(home: Path | None) -> Iterator["Database"]:
    from serving.cli.database import upgraded
    from serving.settings import HomeSettings

    with upgraded(HomeSettings() if home is None else HomeSettings(home=home)) as database:
        yield database
