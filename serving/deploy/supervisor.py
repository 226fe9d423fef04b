"""supervisord: its configuration, and talking to it.

Its programs run in the home, so that no path of the home is in its configuration, whose syntax would trip over some.
"""

import os
import subprocess
import sys
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from serving.deploy.home import Home, write_text
from serving.errors import DeployError

PYTHON = "INLIER_PYTHON"
LEASH = "INLIER_LEASH"
STATES_ALIVE = {"STARTING", "RUNNING"}

_HEAD = """\
; Written by `inlier up` and `start-microservice`; changes are lost.
[unix_http_server]
file={socket}
chmod=0700

[supervisord]
nodaemon=true
silent=true
logfile=logs/supervisord.log
logfile_maxbytes=5MB
logfile_backups=2
pidfile=supervisord.pid
childlogdir=logs

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
_PROGRAM = """
[program:{name}]
command={command}
autostart=true
autorestart=true
startsecs=1
startretries=5
stopsignal=TERM
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=2
"""


@dataclass(frozen=True)
class Program:
    """A program that is kept running: a Python module and its arguments (plain words, no paths of the home)."""

    name: str
    module: str
    arguments: Sequence[str]
    stop_seconds: int = 10

    def section(self) -> str:
        """Return its section of the configuration."""
        words = [f'"%(ENV_{PYTHON})s"', "-S", "-E", f'"%(ENV_{LEASH})s"']
        words += [f'"%(ENV_{PYTHON})s"', "-P", "-m", self.module, *(word.replace("%", "%%") for word in self.arguments)]
        return _PROGRAM.format(name=self.name, command=" ".join(words), stop_seconds=self.stop_seconds)


def write_config(home: Home, programs: Sequence[Program]) -> None:
    """Write the configuration: what should run."""
    head = _HEAD.format(socket=str(home.socket()).replace("%", "%%"))
    write_text(home.config, head + "".join(program.section() for program in programs))


def spawn(home: Home) -> subprocess.Popen[bytes]:
    """Start supervisord on a home, in a session of its own and tied to this process."""
    leash = str(Path(__file__).with_name("leash.py"))
    environment = os.environ | {"INLIER_HOME": str(home.path), PYTHON: sys.executable, LEASH: leash}
    command = [sys.executable, "-S", "-E", leash, sys.executable, "-P", "-m", "supervisor.supervisord"]
    return subprocess.Popen(  # noqa: S603
        [*command, "-c", home.config.name],
        cwd=home.path,
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )


class Supervisor:
    """A running supervisord."""

    def __init__(self, socket: str) -> None:
        transport = SupervisorTransport(None, None, f"unix://{socket}")
        self._proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except OSError as error:
            raise DeployError(f"the supervisor of `inlier up` does not answer: {error}") from error

    def reload(self) -> None:
        """Let it read its configuration again; nothing starts or stops by that."""
        self._call("reloadConfig")

    def start(self, name: str) -> None:
        """Start a program that the configuration has got."""
        self._call("addProcessGroup", name)

    def stop(self, name: str) -> None:
        """Stop a program, gracefully, and forget it; one that is not there is no error."""
        try:
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        except xmlrpc.client.Fault as fault:
            if "BAD_NAME" not in fault.faultString:
                raise DeployError(f"{name} does not stop: {fault.faultString}") from fault

    def stop_all(self) -> None:
        """Tell every program to stop, all at once; supervisord by itself stops one after the other."""
        self._call("stopAllProcesses", False)

    def states(self) -> dict[str, tuple[str, int]]:
        """Return state and process id of every program."""
        return {info["name"]: (info["statename"], info["pid"]) for info in self._call("getAllProcessInfo")}


def log_tail(home: Home, name: str, lines: int = 12) -> list[str]:
    """Return the last lines that a program wrote."""
    path = home.logs / f"{name}.log"
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 16_384))
            return stream.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []
