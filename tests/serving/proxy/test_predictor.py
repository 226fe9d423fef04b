"""What is counted and logged of a prediction."""

import logging
import re

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from serving.proxy.app import create_app
from serving.settings import GatewaySettings, HomeSettings, ProxySettings
from tests.serving.proxy.test_metrics import sample
from training.storage import MemoryStorage

SEED_JSON = '{"data":{"f1":2.1,"f2":2.05,"f3":1.95,"f4":2.01}}'


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.INFO, "inlier.gateway")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "inlier.gateway"]


def test_predictions_are_counted_by_client_variation_and_status(served, microservice, http):
    served(SEED_JSON)
    served(SEED_JSON)
    served("nope")
    microservice.reply = lambda message: (500, b"")
    served(SEED_JSON)
    http.get("/js/predict?consumer_key=x&json=1")
    text = http.get("/metrics").text
    for variation, status, count in (("inne", "200", 2), ("inne", "502", 1), ("", "400", 1)):
        labels = {"client": "test", "variation": variation, "status": status}
        assert sample(text, "inlier_gateway_requests_total", **labels) == count
    assert sample(text, "inlier_gateway_requests_total", client="", variation="", status="401") == 1
    assert sample(text, "inlier_gateway_request_seconds_count", client="test", variation="inne") == 3


def test_a_failure_has_a_line(served, microservice, logged, keys, http):
    microservice.reply = lambda message: (500, {"status": {"info": "broken\nbadly"}})
    served(SEED_JSON)
    (line,) = logged()
    assert re.fullmatch(
        r"prediction failed: puid=[0-9a-f]{40} client=test variation=inne status=502 ms=\d+\.\d "
        r"""reason="variation 'inne' answered with status 500: broken badly\"""",
        line,
    )
    assert microservice.asked[0]["meta"]["puid"] in line


def test_what_went_well_has_none_unless_asked_for(served, logged, database, keys, tmp_path):
    served(SEED_JSON)
    assert logged() == []
    app = create_app(
        ProxySettings(), GatewaySettings(log="all"), database, HomeSettings(home=tmp_path), storage=MemoryStorage()
    )
    query = {"consumer_key": keys["js"].consumer_key, "json": SEED_JSON}
    puid = app.test_client().get("/js/predict", query_string=query).json["meta"]["puid"]
    (line,) = logged()
    assert re.fullmatch(rf"predicted: puid={puid} client=test variation=inne status=200 ms=\d+\.\d", line)


def test_no_secret_is_logged(served, logged, http, keys, caplog, microservice):
    caplog.set_level(logging.DEBUG)
    key, secret = keys["all"].consumer_key, keys["all"].consumer_secret
    token = http.get("/token", query_string={"consumer_key": key, "consumer_secret": secret}).json["access_token"]
    hidden = "password=hunter2"
    microservice.close()
    variation = {"label": "inne", "ratio": 1, "url": f"{microservice.url}?{hidden}"}
    http.put("/clients/test/variations", json={"variations": [variation]})
    assert served(SEED_JSON)[0] == 503
    http.post("/predict", query_string={"oauth_token": token}, data=SEED_JSON)
    http.post("/predict", query_string={"oauth_token": token + "x"}, data=SEED_JSON)
    http.get("/js/predict", query_string={"consumer_key": key, "json": SEED_JSON})
    assert len(logged()) == 4
    text = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("inlier"))
    for said in (key, secret, token, keys["js"].consumer_key, hidden, "2.05"):
        assert said not in text


def test_what_a_statement_is_about_is_not_told_when_it_fails(database):
    with pytest.raises(OperationalError, match="nowhere") as raised, database.reading() as connection:
        connection.execute(text("SELECT :token FROM nowhere"), {"token": "SECRET"})
    assert "SECRET" not in str(raised.value)
