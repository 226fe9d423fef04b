"""Addresses and ports of this machine: which are free, and who reaches them."""

import errno
import ipaddress
import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody listens on; another may take one before it is used."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port() -> int:
    """Return one such port."""
    return free_ports(1)[0]


def cannot_listen(host: str, port: int) -> str | None:
    """Say why a port cannot be listened on; None if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"port {port} of {host} is in use"
            return f"cannot listen on port {port} of {host}: {error.strerror or error}"
        return None


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
