import os
import stat
import threading

import pytest

from serving.deploy.home import Home, Running, write_text
from serving.errors import DeployError


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def test_the_folder_is_private(home):
    home.prepare()
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeployError, match=r"cannot write to .*file/home: Not a directory; --home or INLIER_HOME"):
        Home(tmp_path / "file" / "home").prepare()


def test_a_lock_is_held_by_one(home):
    with home.lock("up.lock", wait=False), pytest.raises(BlockingIOError), home.lock("up.lock", wait=False):
        pass
    with home.lock("up.lock", wait=False):
        pass


def test_a_lock_can_be_waited_for(home):
    held, got = threading.Event(), threading.Event()

    def wait():
        held.wait()
        with home.lock("deploy.lock", wait=True):
            got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    with home.lock("deploy.lock", wait=False):
        held.set()
        assert not got.is_set()
    thread.join()
    assert got.is_set()


def test_running_is_what_holds_the_lock(home):
    running = Running(os.getpid(), "127.0.0.1", 8000, "/x.sock")
    assert home.running() is None
    home.announce(running)
    assert home.running() is None
    with home.lock("up.lock", wait=False):
        assert home.running() == running
        home.withdraw()
        assert home.running() is None


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"pid": 1}', "null"])
def test_a_damaged_state_is_no_state(home, state):
    write_text(home.path / "up.json", state)
    assert home.running() is None


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_the_address_commands_call(host, server):
    assert Running(1, host, 8000, "").server == server


def test_the_socket_of_a_deep_or_odd_home_is_elsewhere(tmp_path):
    short = Home(tmp_path)
    if len(str(tmp_path)) < 60:
        assert short.socket().parent == tmp_path
    for odd in (tmp_path / ("d" * 120), tmp_path / "a b", tmp_path / "50%"):
        socket = Home(odd).socket()
        assert len(os.fsencode(socket)) < 90
        assert socket == Home(odd).socket()
        assert socket.parent.stat().st_mode & 0o77 == 0
    assert Home(tmp_path / "a b").socket() != Home(tmp_path / "a c").socket()


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x"
    write_text(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "one"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
