"""Finding the model files of -p, and getting them to where they are needed, with a proxy on a real socket."""

import hashlib
import shutil
import socket
import threading
from dataclasses import replace

import pytest

from serving.deploy import fetch, model_files
from serving.deploy.calls import Proxy
from serving.deploy.service import ModelFile, from_model
from serving.errors import CallError, DeployError
from serving.settings import DeploySettings
from tests.serving.deploy.proxies import RunningProxy
from training.files import sha256


@pytest.fixture
def running(tmp_path, monkeypatch):
    with RunningProxy(tmp_path / "proxy") as running:
        monkeypatch.setenv("INLIER_API_KEY", running.key("admin"))
        yield running


@pytest.fixture
def proxy(running):
    return Proxy(running.server)


def model(path):
    return from_model("mine", str(path), "rest", 1.0, DeploySettings())


def test_a_file_of_this_machine_is_known_by_its_digest(inne_file):
    found = model_files.locate(model(inne_file), None).file
    digest = sha256(inne_file)
    assert found == ModelFile(f"microservices/mine/{digest}.pkl", digest, inne_file)


def test_what_is_no_model_file_is_one_line(tmp_path, inne_file, proxy):
    bare = tmp_path / "bare.pkl"
    bare.write_bytes(inne_file.read_bytes())
    damaged = tmp_path / "damaged.pkl"
    damaged.write_bytes(b"x")
    shutil.copyfile(f"{inne_file}.json", f"{damaged}.json")
    wrong = {
        tmp_path / "none.pkl": "there is no model file",
        "no/such/model.pkl": "neither on this machine nor in the storage",
        "../../etc/passwd.pkl": "there is no model file",
        tmp_path: "is a folder",
        "a\0b": "there is no model file",
        "x" * 5000: "cannot read",
        bare: "has no bare.pkl.json beside it",
        damaged: "its sidecar says",
    }
    for path, message in wrong.items():
        for where in (None, proxy):
            with pytest.raises(DeployError) as error:
                model_files.locate(model(path), where)
            if where is proxy or "neither" not in message:
                assert message in str(error.value)
            assert str(error.value).startswith("mine: ")
            assert len(str(error.value).splitlines()) == 1


def test_up_into_the_storage_and_down_again(inne_file, proxy, tmp_path):
    here = model_files.locate(model(inne_file), proxy)
    said = []
    model_files.upload([here], proxy, said.append)
    model_files.upload([here], proxy, said.append)  # it is there
    assert len(said) == 1

    there = model_files.locate(model(here.file.key), proxy)
    assert there.file == replace(here.file, path=None)
    with model_files.on_this_machine([there, here], proxy) as (fetched, same):
        assert same == here
        assert fetched.file.path.read_bytes() == inne_file.read_bytes()
    assert not fetched.file.path.exists()

    forged = replace(there, file=replace(there.file, sha256="0" * 64))
    with pytest.raises(CallError, match="not what its sidecar"), model_files.on_this_machine([forged], proxy):
        pass


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_what_has_gone_from_the_storage_is_put_there_again(inne_file, proxy, suffix):
    here = model_files.locate(model(inne_file), proxy)
    model_files.upload([here], proxy, print)
    assert proxy.send("DELETE", f"/files/{here.file.key}{suffix}")[0] == 204
    model_files.upload([here], proxy, print)
    assert model_files.locate(model(here.file.key), proxy).file.sha256 == here.file.sha256


def test_an_init_container_fetches_with_a_key_that_can_only_read(
    running, proxy, inne_file, tmp_path, monkeypatch, capsys
):
    here = model_files.locate(model(inne_file), proxy)
    model_files.upload([here], proxy, print)
    url = f"{running.server}/files/{here.file.key}"
    target = tmp_path / "model.pkl"

    monkeypatch.setenv("INLIER_API_KEY", "topsecret\nkey")
    assert fetch.main([url, here.file.sha256, str(target)]) == 1
    assert capsys.readouterr().err == "error: INLIER_API_KEY should be printable ASCII characters and nothing else\n"
    monkeypatch.setenv("INLIER_API_KEY", running.key("read") + "\n")
    assert fetch.main([url, "0" * 64, str(target)]) == 1
    assert "is not the file that was meant" in capsys.readouterr().err
    assert not target.exists()
    assert fetch.main([url, here.file.sha256, str(target)]) == 0
    assert target.read_bytes() == inne_file.read_bytes()
    assert (tmp_path / "model.pkl.json").exists()
    assert fetch.main([f"{url}x", here.file.sha256, str(target)]) == 1
    assert "404" in capsys.readouterr().err
    monkeypatch.setenv("INLIER_API_KEY", "")
    assert fetch.main([url, here.file.sha256, str(target)]) == 1
    assert "401" in capsys.readouterr().err


def test_a_proxy_that_is_away_for_a_moment_is_asked_again(running, proxy, inne_file, tmp_path, monkeypatch):
    here = model_files.locate(model(inne_file), proxy)
    model_files.upload([here], proxy, print)
    running.close()
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            running.open()

    monkeypatch.setattr(fetch.time, "sleep", wait)
    url = f"{running.server}/files/{here.file.key}"
    assert fetch.main([url, here.file.sha256, str(tmp_path / "model.pkl")]) == 0
    assert waits == [0.5, 1.0]


@pytest.mark.parametrize("cut", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nmo", b"odd\r\n\r\n"])
def test_an_answer_that_is_cut_short_is_asked_for_again(cut, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch.time, "sleep", lambda seconds: None)
    answers = [cut] + [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nmodel"] * 2
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url, target = f"http://127.0.0.1:{server.getsockname()[1]}/files/m.pkl", tmp_path / "model.pkl"
        assert fetch.main([url, hashlib.sha256(b"model").hexdigest(), str(target)]) == 0
        thread.join(10)
    assert target.read_bytes() == b"model"
