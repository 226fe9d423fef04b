import stat
import threading

import pytest

from serving.deploy.credentials import LOCAL, Credentials, section
from serving.errors import DeployError


def test_they_are_kept_by_server_client_and_scope(tmp_path):
    path = tmp_path / "home" / "credentials"
    Credentials(path).put(LOCAL, "test", "js", {"consumer_key": "a"})
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    Credentials(path).put("http://far:8000", "test", "js", {"consumer_key": "b"})
    kept = Credentials(path)
    assert kept.get(LOCAL, "test", "js") == {"consumer_key": "a"}
    assert kept.get("http://far:8000", "test", "js") == {"consumer_key": "b"}
    assert kept.get(LOCAL, "test", "all") is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept.put(LOCAL, "test", "all", {"consumer_key": "c"})
    kept.drop(LOCAL, "test", "all")
    kept.drop(LOCAL, "test", "all")
    assert kept.get(LOCAL, "test", "all") is None
    kept.drop(LOCAL, "test")
    kept.drop(LOCAL, "unknown")
    assert Credentials(path).get(LOCAL, "test", "js") is None


def test_what_somebody_else_kept_meanwhile_stays(tmp_path):
    path = tmp_path / "credentials"
    mine = Credentials(path)
    Credentials(path).put(LOCAL, "other", "js", {"consumer_key": "a"})
    mine.put(LOCAL, "test", "js", {"consumer_key": "b"})
    assert Credentials(path).get(LOCAL, "other", "js") == {"consumer_key": "a"}


def _put(path, start, name):
    start.wait(10)
    Credentials(path).put(LOCAL, name, "js", {"consumer_key": name})


def test_changes_at_once_are_all_kept(tmp_path):
    path, names = tmp_path / "credentials", [f"c{number}" for number in range(8)]
    start = threading.Barrier(len(names))
    threads = [threading.Thread(target=_put, args=(path, start, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [Credentials(path).get(LOCAL, name, "js") for name in names] == [{"consumer_key": name} for name in names]


def test_a_home_keeps_its_keys_at_whatever_port():
    assert section("http://127.0.0.1:8000") == section("http://localhost:9") == section("http://[::1]:9") == LOCAL
    assert section("http://far:8000/") == "http://far:8000"


def test_damage_is_named(tmp_path):
    path = tmp_path / "credentials"
    for damage in ("{", "[]", '{"local": 1}', '{"local": {"test": {"js": "x"}}}'):
        path.write_text(damage)
        with pytest.raises(DeployError, match=r"cannot read .*credentials"):
            Credentials(path)
