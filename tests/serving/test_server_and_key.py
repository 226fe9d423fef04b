"""What commands and the client are given: addresses and keys, good and bad."""

from collections.abc import Callable

import pytest

from serving.client import Client
from serving.deploy.calls import Proxy
from serving.errors import CallError
from serving.server_and_key import api_key

SERVER = "http://127.0.0.1:8000"
TAKING = [Client, Proxy]


@pytest.mark.parametrize("take", TAKING)
@pytest.mark.parametrize(
    "server", ["localhost:8000", "nowhere", "http://[::1", "http://", "http://h:x", "http://h:99999"]
)
def test_what_is_no_address_is_named(take: Callable[[str], object], server: str) -> None:
    with pytest.raises(CallError, match="is no address of a proxy; INLIER_SERVER or --server should be like"):
        take(server)


@pytest.mark.parametrize("take", TAKING)
@pytest.mark.parametrize("key", ["topsecret\nkey", "topsecret\x7f", "topsecreté€", "topsecret\udce9"])
def test_a_key_that_no_header_carries_is_refused_and_not_shown(take: Callable[[str, str], object], key: str) -> None:
    with pytest.raises(CallError, match="the API key should be printable ASCII") as refused:
        take(SERVER, key)
    assert "topsecret" not in str(refused.value)


def test_the_line_break_after_a_key_is_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INLIER_API_KEY", "environment\n")
    assert (api_key(), api_key("given\r\n")) == ("environment", "given")
    monkeypatch.setenv("INLIER_API_KEY", "é€")
    with pytest.raises(CallError, match="INLIER_API_KEY should be printable ASCII"):
        api_key()
