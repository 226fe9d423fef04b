import json
import re
import time

import pytest

from serving.proxy import store
from tests.serving.proxy.fake_microservice import FakeMicroservice
from tests.serving.proxy.test_metrics import sample

SEED_JSON = '{"data":{"f1":2.1,"f2":2.05,"f3":1.95,"f4":2.01}}'


def test_the_answer_has_exactly_the_seeds_shape(served, microservice):
    status, answer = served(SEED_JSON)
    assert status == 200
    puid = answer["meta"]["puid"]
    assert re.fullmatch("[0-9a-f]{40}", puid)
    score = 1 / (1 + 2.1 + 2.05 + 1.95 + 2.01)
    assert answer == {
        "meta": {"puid": puid, "modelName": "model_sum", "variation": "inne"},
        "predictions": [
            {"prediction": score, "predictedClass": "Anomaly_score", "confidence": score},
            {"prediction": 1 - score, "predictedClass": "Complementary_score", "confidence": 1 - score},
        ],
        "custom": None,
    }
    assert list(answer) == ["meta", "predictions", "custom"]
    (asked,) = microservice.asked
    assert asked == {
        "meta": {"puid": puid},
        "data": {"names": ["f1", "f2", "f3", "f4"], "ndarray": [[2.1, 2.05, 1.95, 2.01]]},
    }


def test_several_rows_are_matched_by_name_and_answered_each(served, microservice):
    status, answer = served('{"data": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}')
    assert status == 200
    assert microservice.asked[0]["data"] == {"names": ["a", "b"], "ndarray": [[1, 2], [3, 4]]}
    assert answer["predictions"] == answer["rows"][0]
    assert [row[0]["prediction"] for row in answer["rows"]] == [1 / 4, 1 / 8]


def test_the_model_name_falls_back_to_the_variations(served, microservice, http):
    microservice.reply = lambda message: (200, {"data": {"names": ["A"], "ndarray": [[0.5]]}})
    assert served('{"data": {"a": 1}}')[1]["meta"]["modelName"] == "model_inne"
    variation = {"label": "inne", "ratio": 1.0, "url": microservice.url, "model_name": "mine"}
    http.put("/clients/test/variations", json={"variations": [variation]})
    assert served('{"data": {"a": 1}}')[1]["meta"]["modelName"] == "mine"


def test_a_tensor_is_understood_too(served, microservice):
    data = {"names": ["A", "B"], "tensor": {"shape": [2, 2], "values": [1, 2, 3, 4]}}
    microservice.reply = lambda message: (200, {"data": data})
    rows = served('{"data": [{"a": 1}, {"a": 2}]}')[1]["rows"]
    assert [[entry["prediction"] for entry in row] for row in rows] == [[1, 2], [3, 4]]


def test_jsonp(http, keys, served):
    query = {"consumer_key": keys["js"].consumer_key, "json": SEED_JSON, "jsonpCallback": "$cb_1", "_": "17"}
    response = http.get("/js/predict", query_string=query)
    assert response.status_code == 200
    assert response.mimetype == "application/javascript"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    callback, answer = re.fullmatch(r"([^(]+)\((.*)\)", response.text).groups()
    assert callback == "$cb_1"
    assert json.loads(answer)["meta"]["variation"] == "inne"


@pytest.mark.parametrize("callback", ["alert(1)//", "a.b", "1a", "if", "a b", "a\n", "</script>", "a" * 200, "a\0"])
def test_a_callback_that_is_no_identifier_is_refused(served, callback):
    status, answer = served(SEED_JSON, jsonpCallback=callback)
    assert status == 400
    assert "jsonpCallback" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("", "'json' is missing"),
        ("  ", "'json' is empty"),
        ("nope", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "query string"),
        ("[" * 15_000, "not JSON"),
        ("[]", '"data" is missing'),
        ("17", '"data" is missing'),
        ("{}", '"data" is missing'),
        ('{"data": {"f1": 1}, "extra": 1}', "'extra'"),
        ('{"data": null}', "not null"),
        ('{"data": "x"}', "not the text 'x'"),
        ('{"data": {}}', "an empty object"),
        ('{"data": []}', "no rows"),
        ('{"data": [1]}', "row 1"),
        ('{"data": [{"a": 1}, 2]}', "row 2"),
        ('{"data": [{"a": 1}, {"b": 2}]}', "row 2 lacks 'a' and adds 'b'"),
        ('{"data": {"f1": "text"}}', "row 1, feature 'f1': it should be a number, not the text 'text'"),
        ('{"data": {"f1": true}}', "'f1'"),
        ('{"data": {"f1": [1]}}', "'f1'"),
        ('{"data": {"f1": {"a": 1}}}', "'f1'"),
        ('{"data": {"f1": NaN}}', "NaN"),
        ('{"data": {"f1": Infinity}}', "Infinity"),
        ('{"data": {"f1": 1e400}}', "infinity"),
        ('{"data": {"f1": "\\ud800"}}', "not JSON"),
        ("\0", "NUL"),
    ],
)
def test_wrong_input_is_a_400_that_names_the_culprit(served, microservice, text, culprit):
    status, answer = served(text)
    assert (status, culprit in answer["error"]["message"]) in {(400, True), (414, True)}, answer
    assert microservice.asked == []


def test_too_many_rows(served):
    status, answer = served(json.dumps({"data": [{"a": 1}] * 101}))
    assert status == 413
    assert "101 rows" in answer["error"]["message"]


def test_null_and_time_go_on_to_the_model(served, microservice):
    microservice.reply = lambda message: (200, {"data": {"names": ["A"], "ndarray": [[0.5]]}})
    assert served('{"data": {"Time": "2026-01-01", "value": null}}')[0] == 200
    assert microservice.asked[0]["data"]["ndarray"] == [["2026-01-01", None]]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_model_refuses_is_the_clients_fault(served, microservice, status):
    microservice.reply = lambda message: (status, {"status": {"code": status, "info": "unknown feature 'f9'"}})
    assert served(SEED_JSON) == (400, {"error": {"code": "BAD_REQUEST", "message": "unknown feature 'f9'"}})


def tagged(tags):
    return {"meta": {"tags": tags}, "data": {"names": ["A"], "ndarray": [[0.5]]}}


def nested(depth):
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ((500, {"status": {"info": "broken"}}), 502),
        ((404, b"<html>"), 502),
        ((302, b""), 502),
        ((503, {"status": {"info": "still loading"}}), 503),
        ((429, b""), 503),
        ((200, b"<html>"), 502),
        ((200, []), 502),
        ((200, {"data": {"names": ["A"], "ndarray": []}}), 502),
        ((200, {"data": {"names": ["A"], "ndarray": [[1, 2]]}}), 502),
        ((200, {"data": {"names": ["A"], "ndarray": [["x"]]}}), 502),
        ((200, {"data": {"names": ["A"], "tensor": {"shape": [1], "values": [1]}}}), 502),
        ((200, tagged(None)), 502),
        ((200, tagged([])), 502),
        ((200, tagged("x")), 502),
        ((200, tagged({"model_name": {}})), 502),
        ((200, tagged({"no_verdict": "x"})), 502),
        ((200, tagged({"no_verdict": [nested(300)]})), 502),
        ((200, {"data": {"names": [1], "ndarray": [[0.5]]}}), 502),
        ((0, b""), 503),
    ],
)
def test_a_microservice_that_fails_is_named(served, microservice, reply, status):
    microservice.reply = lambda message: reply
    answered, answer = served(SEED_JSON)
    assert answered == status
    assert "variation 'inne'" in answer["error"]["message"]


def test_what_is_no_prediction_counts_as_a_failure(served, microservice, http):
    microservice.reply = lambda message: (200, tagged(None))
    for _ in range(5):
        served(SEED_JSON)
    labels = {"client": "test", "variation": "inne"}
    assert sample(http.get("/metrics").text, "inlier_gateway_breaker_opened_total", **labels) == 1


def test_a_slow_microservice_is_a_504(served, microservice):
    def slow(message):
        time.sleep(0.6)
        return 200, {}

    microservice.reply = slow
    status, answer = served(SEED_JSON)
    assert status == 504
    assert "300 ms" in answer["error"]["message"]


def test_a_dead_microservice_is_a_503(served, microservice, http):
    dead = FakeMicroservice()
    dead.close()
    http.put("/clients/test/variations", json={"variations": [{"label": "gone", "ratio": 1, "url": dead.url}]})
    status, answer = served(SEED_JSON)
    assert status == 503
    assert "variation 'gone' cannot be reached" in answer["error"]["message"]


def dead_url():
    dead = FakeMicroservice()
    dead.close()
    return dead.url


def test_a_refused_request_is_drawn_again_from_what_is_in_force_now(served, microservice, http, monkeypatch):
    http.put("/clients/test/variations", json={"variations": [{"label": "inne", "ratio": 1, "url": dead_url()}]})
    found = []

    def moves_meanwhile(connection, key, find=store.routes_by_key):
        found.append(find(connection, key))
        http.put("/clients/test/variations", json={"variations": [{"label": "i", "ratio": 1, "url": microservice.url}]})
        return found[-1]

    monkeypatch.setattr(store, "routes_by_key", moves_meanwhile)
    status, answer = served(SEED_JSON)
    assert (status, answer["meta"]["variation"]) == (200, "i")
    assert len(found) == 2


def test_a_refused_request_goes_to_another_variation_if_there_is_one(served, microservice, http):
    variations = [
        {"label": "gone", "ratio": 0.9, "url": dead_url()},
        {"label": "inne", "ratio": 0.1, "url": microservice.url},
    ]
    http.put("/clients/test/variations", json={"variations": variations})
    assert {served(SEED_JSON)[0] for _ in range(30)} == {200}


def test_nothing_is_asked_for_a_third_time(served, http, microservice):
    microservice.reply = lambda message: (0, b"")
    assert served(SEED_JSON)[0] == 503
    assert len(microservice.asked) == 2


@pytest.mark.parametrize(("reply", "status"), [((500, b""), 502), ((503, b""), 503), ((400, b""), 400)])
def test_what_was_answered_is_not_asked_again(served, microservice, reply, status):
    microservice.reply = lambda message: reply
    assert served(SEED_JSON)[0] == status
    assert len(microservice.asked) == 1


def test_a_client_without_microservices(http, keys):
    response = http.get("/js/predict", query_string={"consumer_key": keys["js"].consumer_key, "json": SEED_JSON})
    assert response.status_code == 503
    assert "start-microservice" in response.json["error"]["message"]


def test_keys_and_scopes(http, keys, served):
    def ask(key):
        return http.get("/js/predict", query_string={"consumer_key": key, "json": SEED_JSON}).status_code

    assert ask(keys["js"].consumer_key) == 200
    assert ask(keys["js"].consumer_key + "x") == 401
    assert ask("") == 400
    assert ask(keys["all"].consumer_key) == 403
    response = http.get("/js/predict?consumer_key=a&consumer_key=b&json=1")
    assert response.status_code == 400
    assert "'consumer_key' is given 2 times" in response.json["error"]["message"]


def test_who_is_not_known_learns_nothing_about_the_body(http, served):
    assert http.get("/js/predict?consumer_key=x&json=nope").status_code == 401
    assert http.post("/predict?oauth_token=x", data="nope").status_code == 401


def token(http, pair):
    query = {"consumer_key": pair.consumer_key, "consumer_secret": pair.consumer_secret or "x"}
    return http.get("/token", query_string=query)


def test_predict_with_a_token(http, keys, served):
    given = token(http, keys["all"]).json["access_token"]
    for content_type in ("application/json", "text/plain"):
        response = http.post("/predict", query_string={"oauth_token": given}, data=SEED_JSON, content_type=content_type)
        assert response.status_code == 200
        assert response.json["meta"]["variation"] == "inne"
    assert http.post("/predict?oauth_token=wrong", json={}).status_code == 401
    assert http.post("/predict", json={}).status_code == 400
    assert http.post("/predict", query_string={"oauth_token": given}, data=b"").status_code == 400
    assert http.post("/predict", query_string={"oauth_token": given}, data=b"[" * 100_000).status_code == 400
    assert http.post("/predict", query_string={"oauth_token": given}, data=b"\xff\xfe").status_code == 400


def test_tokens_need_key_and_secret_of_scope_all(http, keys):
    assert token(http, keys["js"]).status_code == 403
    query = {"consumer_key": keys["all"].consumer_key, "consumer_secret": "wrong"}
    assert http.get("/token", query_string=query).status_code == 401
    assert http.get("/token?consumer_key=x&consumer_secret=y").status_code == 401
    assert http.get("/token?consumer_key=x").status_code == 400


def test_tokens_expire_and_go_with_their_key(http, keys, served, monkeypatch):
    given = token(http, keys["all"]).json["access_token"]

    def ask():
        return http.post("/predict", query_string={"oauth_token": given}, data=SEED_JSON).status_code

    assert ask() == 200
    assert http.delete(f"/clients/test/keys/{keys['all'].id}").status_code == 204
    assert ask() == 401


def test_a_token_is_refused_after_its_time(http, keys, served, database):
    from serving.proxy import store

    with database.writing() as session:
        late = store.add_token(session, keys["all"].consumer_key, keys["all"].consumer_secret, seconds=0)
    assert http.post("/predict", query_string={"oauth_token": late}, data=SEED_JSON).status_code == 401


def test_wrong_paths_and_methods(http):
    assert http.get("/nope").json["error"]["code"] == "NOT_FOUND"
    response = http.post("/js/predict")
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert response.json["error"]["code"] == "METHOD_NOT_ALLOWED"
    assert http.get("/predict").status_code == 405


def test_an_unexpected_error_is_json_and_logged(http, keys, served, monkeypatch, caplog):
    def broken(client, routes, key):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("serving.proxy.choice.draw", broken)
    status, answer = served(SEED_JSON)
    assert status == 500
    assert "secret detail" not in str(answer)
    assert "secret detail" in caplog.text
