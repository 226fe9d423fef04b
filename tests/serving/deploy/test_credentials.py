import stat

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


def test_a_home_keeps_its_keys_at_whatever_port():
    assert section("http://127.0.0.1:8000") == section("http://localhost:9") == section("http://[::1]:9") == LOCAL
    assert section("http://far:8000/") == "http://far:8000"


def test_damage_is_named(tmp_path):
    path = tmp_path / "credentials"
    for damage in ("{", "[]", '{"local": 1}', '{"local": {"test": {"js": "x"}}}'):
        path.write_text(damage)
        with pytest.raises(DeployError, match=r"cannot read .*credentials"):
            Credentials(path)
