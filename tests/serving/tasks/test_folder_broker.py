from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from kombu.exceptions import ChannelError

from serving.errors import DeployError
from serving.settings import HomeSettings, TaskSettings
from serving.tasks import folder_broker
from serving.tasks.application import celery_application, send


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    folder_broker.register()
    options = {"folder": str(tmp_path / "broker")}
    with Connection("inlier-folder://localhost", transport_options=options) as connection:
        yield connection


def put(channel: Any, body: str, queue: str = "q") -> None:
    message = channel.prepare_message(body)
    channel._put(queue, {**message, "properties": {**message["properties"], "delivery_info": {}}})


def test_in_the_order_in_which_they_came(connection: Connection) -> None:
    channel = connection.channel()
    channel._new_queue("q")
    for number in range(20):
        put(channel, str(number))
    assert channel._size("q") == 20
    assert [channel._get("q")["body"] for _ in range(20)] == [str(number) for number in range(20)]
    with pytest.raises(folder_broker.Empty):
        channel._get("q")


def test_each_message_reaches_one_reader_whole(connection: Connection, tmp_path: Path) -> None:
    total, readers = 400, 4
    channel = connection.channel()
    channel._new_queue("q")

    def write(start: int) -> list[str]:
        mine = connection.clone().channel()
        for number in range(start, total, 2):
            put(mine, f"{number} " + "x" * 20_000)
        return []

    def read(_: int) -> list[str]:
        mine, found, idle = connection.clone().channel(), [], 0
        while idle < 2000:
            try:
                found.append(mine._get("q")["body"].split()[0])
                idle = 0
            except folder_broker.Empty:
                idle += 1
        return found

    with ThreadPoolExecutor(readers + 2) as pool:
        writers = [pool.submit(write, start) for start in range(2)]
        found = [number for each in [pool.submit(read, n) for n in range(readers)] for number in each.result()]
        for writer in writers:
            writer.result()
    while channel._size("q"):
        found.append(channel._get("q")["body"].split()[0])
    assert sorted(map(int, found)) == list(range(total))
    for folder in ("parts", "taken"):
        assert list((tmp_path / "broker" / folder).iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"1", b"\xff\xfe", b'{"body": 1}', b"[" * 100_000])
def test_what_is_no_message_is_dropped(
    connection: Connection, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    channel = connection.channel()
    channel._new_queue("q")
    (tmp_path / "broker/queues/q/000-broken.json").write_bytes(content)
    (tmp_path / "broker/queues/q/.part").write_bytes(b"not even one of ours")
    put(channel, "good")
    assert channel._get("q")["body"] == "good"
    assert "dropped a message that is none" in caplog.text


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b", "a\0b"])
def test_names_of_queues(connection: Connection, name: str) -> None:
    with pytest.raises(ChannelError, match="cannot be called"):
        connection.channel()._put(name, {})


def test_purge_and_delete(connection: Connection) -> None:
    channel = connection.channel()
    channel._new_queue("q")
    put(channel, "a")
    put(channel, "b")
    assert channel._purge("q") == 2
    assert channel._has_queue("q")
    assert not channel._has_queue("r")
    assert channel._size("r") == 0


def test_a_folder_that_cannot_be_written_is_no_lost_task(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "broker").write_text("a file is in the way")
    app = celery_application(TaskSettings(), HomeSettings(home=tmp_path))
    assert not send(app, "x", "y")
    assert "the broker took no message for task x" in caplog.text


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://guest:guest@127.0.0.1:1//"])
def test_a_broker_that_is_away_is_no_lost_task(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = celery_application(TaskSettings(broker_url=url), HomeSettings(home=tmp_path))
    assert not send(app, "x", "y")
    assert "the broker took no message for task x" in caplog.text


def test_a_folder_by_its_url(tmp_path: Path) -> None:
    folder = tmp_path / "here and there"
    app = celery_application(
        TaskSettings(broker_url=f"filesystem://{folder.as_uri().removeprefix('file://')}"), HomeSettings(home=tmp_path)
    )
    assert send(app, "x", "y")
    assert len(list((folder / "queues" / "inlier").iterdir())) == 1


def test_a_broker_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="not http://"):
        celery_application(TaskSettings(broker_url="http://x"), HomeSettings(home=tmp_path))
