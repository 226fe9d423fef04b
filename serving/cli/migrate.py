"""``inlier migrate``: what a system of several machines needs once, before its proxies and workers start."""

import time

import click

RETRY_SECONDS = 1.0


@click.command()
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=0.0,
    show_default=True,
    help="How many seconds to wait for a database that does not answer yet.",
)
def migrate(wait: float) -> None:
    """Bring the schema of the database up to date, and make the client `test` if there is none.

    Safe to run again, and by several at once: a job or an init container runs it before each new version. A key in
    INLIER_ADMIN_KEY becomes the API key `admin` (with INLIER_PROXY_ACCESS=keys, the first that there is), and takes
    the place of an earlier one; so do INLIER_METRICS_KEY and INLIER_READER_KEY, of role read. Keys of clients in
    INLIER_CREDENTIALS are made known. `inlier up` does all this by itself.
    """
    from serving.errors import DeployError

    end = time.monotonic() + wait
    while True:
        try:
            _migrate()
        except DeployError:
            if time.monotonic() >= end:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def _migrate() -> None:
    from serving.cli.database import upgraded
    from serving.deploy.first_start import first_client
    from serving.deploy.given_keys import put_credentials
    from serving.proxy.access import put_key
    from serving.settings import HomeSettings, ProxySettings

    given = ProxySettings()
    with upgraded(HomeSettings()) as database, database.writing() as session:
        first_client(session)
        for name, key in (("admin", given.admin_key), ("metrics", given.metrics_key), ("reader", given.reader_key)):
            if key.get_secret_value():
                put_key(session, name, key.get_secret_value())
        if given.credentials.get_secret_value():
            put_credentials(session, given.credentials.get_secret_value())
    click.echo("the database is up to date")
