"""The command ``seldon-cli``: ask for predictions, and manage clients, keys and variations."""

import sys
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import click
import orjson

from serving.cli.running import run
from serving.deploy.algorithms import from_algorithms, to_algorithms
from serving.deploy.calls import Proxy, error_message
from serving.deploy.credentials import Keys, Pair
from serving.deploy.home import Home
from serving.deploy.places import DEFAULT_SERVER, find_proxy
from serving.errors import CallError
from serving.settings import DeploySettings, HomeSettings, ProxySettings

RECOMMENDATIONS = ("attr", "import", "rec_alg", "rec_exp", "db", "memcached", "model")
JS_PREDICT = "/js/predict"
PREDICT = "/predict"
RPC_PORT = 5000  # the original's
TOKEN = "/token"  # noqa: S105


@dataclass(frozen=True)
class Context:
    """What all commands share."""

    proxy: Proxy
    keys: Keys
    quiet: bool
    debug: bool

    def show(self, content: Any, status: int | str = 200) -> None:
        """Print an answer, and before it the status unless it should be quiet."""
        if not self.quiet:
            click.echo(f"response code {status}")
        if content is not None:
            click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())

    def pair(self, client: str, scope: str) -> Pair:
        """Return the kept key of a client."""
        pair = self.keys.get(client, scope)
        if pair is None:
            raise CallError(
                f"no key of scope {scope!r} for client {client!r} is kept in {self.keys.place}; "
                f"seldon-cli keys --action create --client-name {client} --scope {scope} makes one"
            )
        return pair

    def trace(self, line: str) -> None:
        """Tell what is done, with --debug."""
        if self.debug:
            click.echo(line, err=True)


pass_context = click.make_pass_decorator(Context)


class _Group(click.Group):
    """Also knows the commands of the original that Inlier does not have, to say so."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in RECOMMENDATIONS:
            raise CallError(f"{cmd_name!r} belonged to recommendations, another product; Inlier does prediction")
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version_of("inlier"), prog_name="seldon-cli", message="%(prog)s %(version)s (Inlier)")
@click.option("--debug", is_flag=True, help="Say what is asked of the server.")
@click.option("-q", "--quiet", is_flag=True, help="Print the answer alone.")
@click.option(
    "--server",
    metavar="URL",
    help=f"The proxy.  [default: INLIER_SERVER, `inlier up`'s, the cluster's, {DEFAULT_SERVER}]",
)
@click.option("--home", type=click.Path(path_type=Path), help="The home of `inlier up`.  [default: ./.inlier]")
@click.option("--namespace", metavar="NAME", help="Of the proxy on a cluster.  [default: inlier]")
@click.option("--context", "context_name", metavar="NAME", help="Of the kubeconfig.  [default: its current one]")
@click.pass_context
def cli(
    ctx: click.Context,
    debug: bool,
    quiet: bool,
    server: str | None,
    home: Path | None,
    namespace: str | None,
    context_name: str | None,
) -> None:
    """Ask for predictions, and manage clients, their keys and variations."""
    place = Home(home or HomeSettings().home)
    settings = DeploySettings() if namespace is None else DeploySettings(namespace=namespace)
    proxy, keys = ctx.with_resource(find_proxy(server, place, context_name, settings))
    ctx.obj = Context(proxy, keys, quiet, debug)


@cli.command()
@click.option("--action", type=click.Choice(["call"]), default="call")
@click.option("--client-name", required=True, metavar="C", help="Whose key is used.")
@click.option("--endpoint", required=True, metavar="E", help="For example /js/predict.")
@click.option("--method", type=click.Choice(["GET", "POST"]), help="[default: GET; POST for /predict]")
@click.option("--json", "message", metavar="J", help='For example {"data": {"f1": 1.0}}; - reads standard input.')
@pass_context
def api(
    context: Context, action: str, client_name: str, endpoint: str, method: str | None, message: str | None
) -> None:
    """Call the API as a client does."""
    del action  # there is one
    method = method or ("POST" if endpoint == PREDICT else "GET")
    text = sys.stdin.read() if message == "-" else message
    query: dict[str, str] = {}
    body = None
    if endpoint == JS_PREDICT:
        query = {"consumer_key": context.pair(client_name, "js")["consumer_key"]}
    elif endpoint == TOKEN:
        query = dict(context.pair(client_name, "all"))
    elif endpoint == PREDICT:
        query = {"oauth_token": _token(context, client_name)}
    else:
        raise CallError(f"unknown endpoint {endpoint!r}; there are {JS_PREDICT}, {PREDICT} and {TOKEN}")
    if text is not None and method == "POST":
        body = text.encode("utf-8", "surrogateescape")
    elif text is not None:
        query["json"] = text
    context.trace(f"{method} {context.proxy.server}{endpoint}")
    _print_answer(context, *context.proxy.send(method, endpoint, query, body))


def _token(context: Context, client: str) -> str:
    status, body = context.proxy.send("GET", TOKEN, dict(context.pair(client, "all")))
    if status != 200:
        _refused(context, status, body)
    return str(orjson.loads(body)["access_token"])


def _print_answer(context: Context, status: int, body: bytes) -> None:
    if status != 200:
        _refused(context, status, body)
    try:
        context.show(orjson.loads(body), status)
    except orjson.JSONDecodeError:
        click.echo(body.decode("utf-8", "replace"))


def _refused(context: Context, status: int, body: bytes) -> NoReturn:
    if not context.quiet:
        click.echo(f"response code {status}")
    click.echo(f"error: {error_message(status, body)}", err=True)
    sys.exit(1)


@cli.command()
@click.option("--action", type=click.Choice(["list", "setup", "delete"]), required=True)
@click.option("--client-name", metavar="C")
@pass_context
def client(context: Context, action: str, client_name: str | None) -> None:
    """List clients, make one, delete one."""
    if action == "list":
        context.show([each["name"] for each in context.proxy.call("GET", "/clients")["clients"]])
        return
    name = _named(client_name)
    if action == "setup":
        try:
            context.show(context.proxy.call("POST", "/clients", {"name": name}), 201)
        except CallError as error:
            if error.status != 409:
                raise
            context.show(context.proxy.call("GET", context.proxy.client(name)))
        return
    context.proxy.call("DELETE", context.proxy.client(name))
    context.keys.drop(name)
    context.show(None, 204)


@cli.command()
@click.option("--action", type=click.Choice(["list", "create", "delete"]), required=True)
@click.option("--client-name", metavar="C")
@click.option("--scope", type=click.Choice(["js", "all"]), help="js is for /js/predict, all for /token.")
@pass_context
def keys(context: Context, action: str, client_name: str | None, scope: str | None) -> None:
    """List keys, make one (shown this once), delete those of a scope or all."""
    if action == "list":
        clients = context.proxy.call("GET", "/clients")["clients"]
        if client_name:
            clients = [context.proxy.call("GET", context.proxy.client(client_name))]
        context.show({each["name"]: each["keys"] for each in clients})
        return
    name = _named(client_name)
    where = context.proxy.client(name, "keys")
    if action == "create":
        made = context.proxy.call("POST", where, {"scope": scope or "js"})
        pair = {field: made[field] for field in ("consumer_key", "consumer_secret") if field in made}
        context.keys.put(name, made["scope"], pair)
        context.show(made, 201)
        return
    for key in context.proxy.call("GET", where)["keys"]:
        if scope in {None, key["scope"]}:
            context.proxy.call("DELETE", f"{where}/{key['id']}")
    context.keys.drop(name, scope)  # a cluster's `inlier migrate` would make the proxy know what is kept there again
    context.show(None, 204)


@cli.command("predict_alg")
@click.option("--action", type=click.Choice(["list", "show", "create", "commit", "add", "delete"]), required=True)
@click.option("--client-name", required=True, metavar="C")
@click.option("-f", "source", type=click.File("rb"), help="A JSON file of variations; - is standard input.")
@pass_context
def predict_alg(context: Context, action: str, client_name: str, source: Any) -> None:
    """Show or replace the variations among which a client's requests are shared out."""
    where = context.proxy.client(client_name, "variations")
    if action in {"create", "add"}:
        if source is None:
            raise CallError(f"--action {action} reads the variations from a file: -f FILE, or -f - for standard input")
        variations = from_algorithms(source.read())
        if action == "add":
            variations = [*context.proxy.call("GET", where)["variations"], *variations]
        context.show(to_algorithms(context.proxy.call("PUT", where, {"variations": variations})["variations"]))
    elif action == "delete":
        context.show(to_algorithms(context.proxy.call("PUT", where, {"variations": []})["variations"]))
    else:  # what was put is in force at once, so that a commit has nothing left to do
        context.show(to_algorithms(context.proxy.call("GET", where)["variations"]))


@cli.command()
@click.option("--client-name", required=True, metavar="C", help="Whose key, of scope all, is used.")
@click.option("--json", "message", required=True, metavar="J", help="As for api; - reads standard input.")
@click.option(
    "--rpc-server",
    metavar="HOST:PORT",
    help=f"The proxy's gRPC port.  [default: the proxy's host, port INLIER_PROXY_GRPC_PORT or {RPC_PORT}]",
)
@pass_context
def rpc(context: Context, client_name: str, message: str, rpc_server: str | None) -> None:
    """Ask for the same prediction over gRPC: seldon.protos.Seldon/Predict, with a token in the metadata."""
    from serving.deploy import rpc_call  # what speaks gRPC takes a while to import

    text = sys.stdin.read() if message == "-" else message
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CallError(f"--json is not JSON: {error}") from None
    address = rpc_server or _rpc_address(context)
    token = _token(context, client_name)
    context.trace(f"{rpc_call.METHOD} {address}")
    context.show(rpc_call.predict(address, token, content), "OK")


def _rpc_address(context: Context) -> str:
    if context.proxy.forwarded:
        raise CallError(
            "the cluster's gRPC port is not forwarded by itself: "
            f"kubectl port-forward service/inlier-proxy {RPC_PORT}, and say --rpc-server localhost:{RPC_PORT}"
        )
    host = urlsplit(context.proxy.server).hostname or ""
    port = ProxySettings().grpc_port or RPC_PORT
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _named(client: str | None) -> str:
    if not client:
        raise CallError("which client? Say --client-name C")
    return client


def main() -> None:
    """Run the command; see ``run``."""
    run(cli, "seldon-cli")
