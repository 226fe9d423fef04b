"""Requests with the same key get the same variation."""

from collections import Counter

import pytest

from tests.serving.proxy.fake_microservice import FakeMicroservice
from tests.serving.proxy.test_gateway import SEED_JSON, token


@pytest.fixture
def two(http, keys):
    fakes = [FakeMicroservice() for _ in range(2)]
    variations = [{"label": label, "ratio": 0.5, "url": fake.url} for label, fake in zip("ab", fakes, strict=True)]
    http.put("/clients/test/variations", json={"variations": variations})

    def ask(header=None, **parameters):
        query = {"consumer_key": keys["js"].consumer_key, "json": SEED_JSON} | parameters
        headers = {} if header is None else {"X-Inlier-Sticky": header}
        answer = http.get("/js/predict", query_string=query, headers=headers)
        return answer.json["meta"]["variation"] if answer.status_code == 200 else answer.json["error"]["message"]

    yield ask
    for fake in fakes:
        fake.close()


def test_a_key_keeps_its_variation(two):
    drawn = {key: {two(header=key) for _ in range(4)} for key in map(str, range(30))}
    assert {len(variations) for variations in drawn.values()} == {1}
    assert set(Counter(next(iter(variations)) for variations in drawn.values())) == {"a", "b"}


def test_header_parameter_and_token_give_the_same(two, http, keys):
    given = token(http, keys["all"]).json["access_token"]
    for key in ("anna", "bernd", "Zoë", "x" * 256):
        expected = two(sticky=key)
        assert two(header=key.encode().decode("latin-1")) == expected
        assert two(header=key.encode().decode("latin-1"), sticky=key) == expected
        answer = http.post("/predict", query_string={"oauth_token": given, "sticky": key}, data=SEED_JSON)
        assert answer.json["meta"]["variation"] == expected


def test_without_a_key_it_is_chance(two):
    # 40 draws all alike: once in 5e11
    assert {two() for _ in range(40)} == {"a", "b"}
    assert {two(header="", sticky="") for _ in range(40)} == {"a", "b"}


def test_keys_that_cannot_be_used(two):
    assert "differ" in two(header="a", sticky="b")
    assert "257 bytes" in two(header="x" * 257)
    assert "given 2 times" in two(sticky=["a", "b"])
    assert "NUL" in two(sticky="\0")
