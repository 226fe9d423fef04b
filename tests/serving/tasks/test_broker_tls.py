"""Brokers over TLS: who has no good certificate gets no message."""

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import pools

from serving.deploy.addresses import free_port
from serving.settings import HomeSettings, TaskSettings
from serving.tasks.application import celery_application, send

LIMIT = 30.0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For localhost, of nobody whom this machine trusts; its key is beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine")
    path = tmp_path_factory.mktemp("certificate") / "own.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    more = ["-addext", "subjectAltName=DNS:localhost", "-out", path, "-keyout", path.with_suffix(".key")]
    subprocess.run(["openssl", *words, *more], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def port(certificate: Path) -> Iterator[int]:
    """Where a Redis speaks TLS and nothing else."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not on this machine")
    port = free_port()
    files = [
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        certificate.with_suffix(".key"),
        "--tls-auth-clients",
        "no",
    ]
    words = [program, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", "", *files]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=certificate.parent) as server:
        try:
            end = time.monotonic() + LIMIT
            while True:
                try:
                    ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
                except OSError:
                    assert time.monotonic() < end
                    assert server.poll() is None
                    time.sleep(0.05)
                else:
                    break
            yield port
        finally:
            server.kill()


def sends(url: str, home: Path) -> bool:
    app = celery_application(TaskSettings(broker_url=url), HomeSettings(home=home))
    try:
        return send(app, "task", "celery")
    finally:
        app.close()
        pools.reset()  # they go by host and port, whatever else a URL says


def test_a_certificate_of_nobody_is_refused(port: int, tmp_path: Path) -> None:
    assert not sends(f"rediss://localhost:{port}/0", tmp_path)


def test_a_certificate_that_is_trusted_is_good(port: int, certificate: Path, tmp_path: Path) -> None:
    assert sends(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}", tmp_path)


def test_a_certificate_of_another_name_is_refused(port: int, certificate: Path, tmp_path: Path) -> None:
    assert not sends(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}", tmp_path)


def test_who_says_so_is_not_asked_for_one(port: int, tmp_path: Path) -> None:
    assert sends(f"rediss://localhost:{port}/0?ssl_cert_reqs=none", tmp_path)


def test_rabbitmq_has_to_be_the_one_that_is_named(tmp_path: Path) -> None:
    settings = TaskSettings(broker_url="amqps://user:secret@broker.example:5671//")
    app = celery_application(settings, HomeSettings(home=tmp_path))
    assert app.conf.broker_use_ssl == {"server_hostname": "broker.example"}
    assert app.conf.broker_url == "amqps://user:secret@broker.example:5671//"
