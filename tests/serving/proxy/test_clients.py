import io

import pytest

from serving.proxy import store
from serving.proxy.secrets import digest


def variation(label="inne", ratio=1.0, url="http://127.0.0.1:9000/predict", **more):
    return {"label": label, "ratio": ratio, "url": url} | more


def test_a_clients_life(http):
    made = http.post("/clients", json={"name": "shop"})
    assert made.status_code == 201
    assert http.post("/clients", json={"name": "shop"}).status_code == 409
    assert [client["name"] for client in http.get("/clients").json["clients"]] == ["shop"]
    assert http.get("/clients/shop").json["variations"] == []
    assert http.delete("/clients/shop").status_code == 204
    assert http.get("/clients/shop").status_code == 404


def test_keys_are_shown_once_and_kept_hashed(http, keys, database):
    made = http.post("/clients/test/keys", json={"scope": "all"}).json
    assert set(made) == {"id", "scope", "consumer_key", "consumer_secret"}
    assert http.post("/clients/test/keys", json={}).json["scope"] == "js"
    listed = http.get("/clients/test/keys")
    assert made["consumer_key"] not in listed.text
    assert made["consumer_key"].startswith(listed.json["keys"][2]["hint"])
    database.close()
    content = b"".join(path.read_bytes() for path in database_files(database))
    assert made["consumer_key"].encode() not in content
    assert made["consumer_secret"].encode() not in content
    assert digest(made["consumer_key"]).encode() in content


def database_files(database):
    from pathlib import Path

    return Path(database.url.database).parent.glob("inlier.db*")


def test_deleting_keys(http, keys):
    assert http.delete(f"/clients/test/keys/{keys['js'].id}").status_code == 204
    assert http.delete(f"/clients/test/keys/{keys['js'].id}").status_code == 404
    assert http.delete("/clients/test/keys/99999999999999999999999999").status_code == 404
    http.post("/clients", json={"name": "other"})
    assert http.delete(f"/clients/other/keys/{keys['all'].id}").status_code == 404


@pytest.mark.parametrize("name", ["", "Upper", "a_b", "-a", "a-", "a" * 64, "a.b", "a\0", "é"])
def test_a_name_is_a_dns_label(http, name):
    response = http.post("/clients", json={"name": name})
    assert response.status_code == 400
    assert "name" in response.json["error"]["message"]
    assert http.get(f"/clients/{name}x\0").status_code == 404


@pytest.mark.parametrize(
    ("body", "culprit"),
    [
        ([], "valid dictionary"),
        ({}, "name: Field required"),
        ({"name": 1}, "name"),
        ({"name": "a", "nmae": "b"}, "nmae"),
    ],
)
def test_wrong_bodies_name_the_field(http, body, culprit):
    response = http.post("/clients", json=body)
    assert response.status_code == 400
    assert culprit in response.json["error"]["message"]


def test_variations_are_replaced_as_a_whole(http, keys):
    both = {"variations": [variation("a", 0.7), variation("b", 0.2), variation("c", 0.1)]}
    response = http.put("/clients/test/variations", json=both)
    assert response.status_code == 200
    assert [(each["label"], each["ratio"]) for each in response.json["variations"]] == [
        ("a", 0.7),
        ("b", 0.2),
        ("c", 0.1),
    ]
    wrong = {"variations": [variation("a", 0.7), variation("b", 0.4)]}
    response = http.put("/clients/test/variations", json=wrong)
    assert response.status_code == 400
    assert "0.7, 0.4 add up to 1.1, not to 1" in response.json["error"]["message"]
    assert len(http.get("/clients/test/variations").json["variations"]) == 3
    assert http.put("/clients/test/variations", json={"variations": []}).json == {"variations": []}


@pytest.mark.parametrize(
    ("variations", "culprit"),
    [
        ([variation("a", 0.5), variation("a", 0.5)], "two variations are named 'a'"),
        ([variation("A")], "'A'"),
        ([variation(ratio="1")], "variations.0.ratio"),
        ([variation(ratio=float(2))], "not between 0 and 1"),
        ([variation(ratio=-1.0), variation("b", 2.0)], "not between 0 and 1"),
        ([variation(kind="rpc")], "variation 'inne' is of kind rpc: its url should be like grpc://127.0.0.1:5000"),
        ([variation(url="http://x/" + "a" * 2048)], "at most 2048"),
        ([variation(url="GRPC://x:5000")], "variation 'inne' is of kind rest: its url should be like http://"),
        ([variation(url="grpc://x:5000")], "variation 'inne' is of kind rest: its url should be like http://"),
        ([variation(kind="rpc", url="grpc://x")], "'grpc://x' should be grpc://host:port and nothing else"),
        ([variation(kind="rpc", url="grpc://x:5000/predict")], "and nothing else"),
        ([variation(kind="rpc", url="grpc://user@x:5000")], "variations.0.url"),
        ([variation(kind="rpc", url="grpc://@x:5000")], "variations.0.url"),
        ([variation(kind="soap")], "variations.0.kind"),
        ([variation(url="ftp://x/")], "'ftp://x/'"),
        ([variation(url="http://x:99999/")], "variations.0.url"),
        ([variation(url="http://x:0/")], "port 0"),
        ([variation(url="http://[x/")], "variations.0.url"),
        ([variation(url="http://x/\0")], "variations.0.url"),
        ([variation(url="http://user:pw@x/")], "variations.0.url"),
        ([variation(model_name="\0")], "variations.0.model_name"),
        ([{"label": "a"}], "variations.0.ratio"),
    ],
)
def test_wrong_variations_are_named(http, keys, variations, culprit):
    response = http.put("/clients/test/variations", json={"variations": variations})
    assert response.status_code == 400
    assert culprit in response.json["error"]["message"]


def test_other_clients_follow_what_has_moved(http, keys):
    http.post("/clients", json={"name": "other"})
    old, new = "http://127.0.0.1:1/predict", "http://127.0.0.1:2/predict"
    http.put("/clients/other/variations", json={"variations": [variation(url=old)]})
    moved = {"variations": [variation(url=new)], "moved": {old: new, new: old}}
    assert http.put("/clients/test/variations", json=moved).status_code == 200
    assert http.get("/clients/other/variations").json["variations"][0]["url"] == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("http://127.0.0.1:1/predict", "grpc://127.0.0.1:2"),
        ("http://127.0.0.1:1/predict", "GRPC://127.0.0.1:2"),
        ("grpc://127.0.0.1:2", "http://x/predict"),
    ],
)
def test_what_moves_stays_of_its_kind(http, keys, old, new):
    response = http.put("/clients/test/variations", json={"variations": [], "moved": {old: new}})
    assert response.status_code == 400
    assert response.json["error"]["message"] == f"moved: {old!r} and {new!r} are of different kinds"


@pytest.mark.parametrize(
    ("old", "new", "culprit"),
    [
        ("http://x/\0", "http://x/", "moved"),  # which PostgreSQL does not even look for
        ("http://x/", "http://x/\0", "moved"),
        ("http://x/", "http://x/" + "a" * 2048, "at most 2048"),
    ],
)
def test_what_moves_is_a_url_that_there_is_room_for(http, keys, old, new, culprit):
    response = http.put("/clients/test/variations", json={"variations": [], "moved": {old: new}})
    assert response.status_code == 400
    assert culprit in response.json["error"]["message"]


def test_a_browser_cannot_be_used_against_it(http, keys):
    form = http.post("/clients", data='{"name": "evil"}', content_type="text/plain")
    assert form.status_code == 415
    assert http.post("/clients", data={"name": "evil"}).status_code == 415
    assert http.get("/clients", headers={"Host": "evil.example:8000"}).status_code == 403
    assert http.get("/clients", headers={"Host": ""}).status_code == 403
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:80"):
        assert http.get("/clients", headers={"Host": host}).status_code == 200
    assert "Access-Control-Allow-Origin" not in http.options("/clients", headers={"Origin": "http://x"}).headers


def test_probes_come_by_any_name(http):
    assert http.get("/health/ping", headers={"Host": "10.1.2.3:8000"}).text == "pong"
    assert http.get("/health/status", headers={"Host": "10.1.2.3:8000"}).json == {"status": "ok"}


def test_status_is_503_without_its_tables(http, database):
    with database.writing() as session:
        session.execute(store.delete(store.Client))
        session.connection().exec_driver_sql("ALTER TABLE clients RENAME TO gone")
    assert http.get("/health/ping").status_code == 200
    assert http.get("/health/status").status_code == 503


def test_a_large_body_is_a_413(http, keys):
    response = http.post("/clients", data=b" " * 1_000_001, content_type="application/json")
    assert response.status_code == 413
    assert "1000000 bytes" in response.json["error"]["message"]


@pytest.mark.parametrize(
    ("size", "length", "status"),
    [
        (1_000_000, None, 201),
        (1_000_001, None, 413),
        (2_000_000, None, 413),
        (1_000_000, 1_000_000, 201),
        (1_000_001, 1_000_001, 413),
        (999, 1000, 400),
    ],
)
def test_a_body_as_gunicorn_gives_it(http, size, length, status):
    environ = {"wsgi.input_terminated": True} | ({"CONTENT_LENGTH": str(length)} if length else {})
    answer = http.post(
        "/clients",
        input_stream=io.BytesIO(b'{"name": "shop"}'.ljust(size)),
        content_type="application/json",
        environ_overrides=environ,
    )
    assert answer.status_code == status, answer.text


def test_a_busy_database_is_a_503(http, keys, monkeypatch):
    from sqlalchemy.exc import OperationalError

    def locked(*arguments):
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    monkeypatch.setattr(store, "add_client", locked)
    assert http.post("/clients", json={"name": "a"}).status_code == 503
