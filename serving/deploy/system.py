"""`inlier up`: proxy and microservices of a home in the foreground, until it is told to stop."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from types import FrameType

import urllib3
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from serving.deploy import declared as declarations
from serving.deploy.addresses import cannot_listen, is_loopback
from serving.deploy.credentials import Credentials
from serving.deploy.first_start import first_start
from serving.deploy.home import Home, Running
from serving.deploy.process import is_ready, programs
from serving.deploy.supervisor import Supervisor, log_tail, spawn, write_config
from serving.errors import DeployError
from serving.proxy import store
from serving.proxy.access import has_keys
from serving.proxy.database import Database
from serving.resources import open_database, unusable
from serving.settings import DeploySettings, HomeSettings, ProxySettings, StorageSettings

READY_SECONDS = 60
POLL_SECONDS = 0.1
ACCESS = "INLIER_PROXY_ACCESS"
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]


def up(home: Home, host: str, port: int, *, insecure: bool, say: Say) -> None:
    """Run the system until SIGINT, SIGTERM or SIGHUP; nothing is left running then."""
    home.prepare()
    settings = DeploySettings()
    try:
        with home.lock("up.lock", wait=False), _stop_signals() as stopping:
            if problem := cannot_listen(host, port):
                raise DeployError(f"{problem}; --port or INLIER_PORT takes another")
            _prepare(home, host, port, settings, asks_for_keys=not (is_loopback(host) or insecure))
            if insecure and not ProxySettings().access_is_told:
                os.environ[ACCESS] = "open"  # the proxy wants to be told
            if not is_loopback(host):
                os.environ.setdefault("INLIER_PROXY_ALLOWED_HOSTS", '["*"]')
            _run(home, Running(os.getpid(), host, port, str(home.socket())), stopping, say)
    except BlockingIOError:
        other = home.running()
        where = f" (process {other.pid}, {other.server})" if other else ""
        raise DeployError(f"another `inlier up` runs in {home.path}{where}") from None


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect the signals to stop instead of dying of them."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        received.append(number)

    before = {number: signal.signal(number, note) for number in STOPS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prepare(home: Home, host: str, port: int, settings: DeploySettings, *, asks_for_keys: bool) -> None:
    found = HomeSettings(home=home.path)
    try:
        database = open_database(found, ProxySettings())
        with closing(database):
            first_start(database, Credentials(home.credentials))
            if asks_for_keys:
                _ask_for_keys(database, host)
            _restore(home, database)
    except (SQLAlchemyError, CommandError) as error:
        raise unusable(found, error) from error
    write_config(home, programs(home, settings, host, port))
    home.socket().unlink(missing_ok=True)  # a killed supervisor leaves it


def _ask_for_keys(database: Database, host: str) -> None:
    """Let the proxy ask for keys, if there is one that somebody could have."""
    with database.browsing() as session:
        if not has_keys(session):
            raise DeployError(
                f"{host} can be reached from other machines, and there are no API keys: make one with "
                "`inlier keys create NAME --role admin`, or say --insecure to let everybody do everything"
            )
    os.environ[ACCESS] = "keys"


def _restore(home: Home, database: Database) -> None:
    """Get what was declared ready to start again: at its port, or at another if that was taken meanwhile."""
    moved: dict[str, str] = {}
    for version in declarations.read_all(home):
        if not version.serving:
            declarations.forget(home, version)
        elif any(cannot_listen("127.0.0.1", port) for port in version.ports):
            elsewhere = declarations.save(home, declarations.with_free_ports(version))
            moved |= {url: elsewhere.urls[kind] for kind, url in version.urls.items()}
    if moved:
        with database.writing() as session:
            store.move_variations(session, moved)


def _run(home: Home, running: Running, stopping: list[int], say: Say) -> None:
    supervisor = spawn(home)
    try:
        look_for_examples = _says_when_there_are_examples(home, say)
        if _wait(home, running, supervisor, stopping):
            home.announce(running)
            say(f"Inlier listens on {running.server} (its files are in {home.path}); Ctrl-C stops it.")
            _tell_of_microservices(home, supervisor, stopping, say)
        while not stopping and supervisor.poll() is None:
            time.sleep(POLL_SECONDS)
            look_for_examples()
        if not stopping:
            raise DeployError(f"the supervisor died (status {supervisor.returncode}); {home.logs} may say why")
        say("Inlier stops ...")
    finally:
        home.withdraw()
        _stop(running, supervisor)


def _tell_of_microservices(home: Home, supervisor: subprocess.Popen[bytes], stopping: list[int], say: Say) -> None:
    """Say of each microservice that comes back when it is ready, or that it is not."""
    waiting = declarations.read_all(home)
    until = time.monotonic() + READY_SECONDS
    with urllib3.PoolManager(timeout=2.0, retries=False) as pool:
        while waiting and time.monotonic() < until and not stopping and supervisor.poll() is None:
            for version in [version for version in waiting if is_ready(pool, version)]:
                say(f"{version.name}: version {version.version} is ready")
                waiting.remove(version)
            time.sleep(POLL_SECONDS)
    for version in waiting:
        say(f"{version.name}: version {version.version} is not ready; {home.logs / version.program_name}.log says more")


def _wait(home: Home, running: Running, supervisor: subprocess.Popen[bytes], stopping: list[int]) -> bool:
    """Wait until the proxy answers; False means to stop instead."""
    until = time.monotonic() + READY_SECONDS
    with urllib3.PoolManager(timeout=2.0, retries=False) as pool:
        while time.monotonic() < until and supervisor.poll() is None:
            if stopping:
                return False
            try:
                if pool.request("GET", f"{running.server}/health/status").status == 200:
                    return True
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(POLL_SECONDS)
    lines = "".join(f"\n  {line}" for name in ("supervisord", "proxy") for line in log_tail(home, name))
    raise DeployError(f"the proxy did not start. The end of its log:{lines}")


def _says_when_there_are_examples(home: Home, say: Say) -> Callable[[], None]:
    """Return what is called now and then, and says once that a new home's worker has made the examples."""
    pending = not (home.examples.exists() or StorageSettings().url)

    def look() -> None:
        nonlocal pending
        if pending and home.examples.exists():
            pending = False
            say("The examples of the documentation are in the storage.")

    return look


def _stop(running: Running, supervisor: subprocess.Popen[bytes]) -> None:
    """Stop the supervisor, which stops its programs; if it was killed, they stop by themselves."""
    if supervisor.poll() is None:
        with suppress(DeployError):  # it has no ear yet, or no more
            Supervisor(running.socket).stop_all()
        supervisor.terminate()
        supervisor.wait()
        return
    until = time.monotonic() + READY_SECONDS
    while cannot_listen(running.host, running.port) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
