import json

import pytest

from serving.deploy.algorithms import from_algorithms, to_algorithms
from serving.errors import CallError

ORIGINAL = {
    "variations": [
        {
            "config": {
                "algorithms": [
                    {
                        "name": "externalPredictionServer",
                        "config": [
                            {"name": "io.seldon.algorithm.external.url", "value": "http://127.0.0.1:9000/predict"},
                            {"name": "io.seldon.algorithm.external.name", "value": "model_x"},
                        ],
                    }
                ]
            },
            "label": "x",
            "ratio": 1.0,
        }
    ]
}


def test_there_and_back():
    variations = from_algorithms(json.dumps(ORIGINAL).encode())
    assert variations == [
        {"label": "x", "ratio": 1.0, "kind": "rest", "url": "http://127.0.0.1:9000/predict", "model_name": "model_x"}
    ]
    assert to_algorithms(variations) == ORIGINAL


def test_rpc_is_shown_as_the_original_did():
    (shown,) = to_algorithms([{"label": "x", "ratio": 1.0, "kind": "rpc", "url": "grpc://h:5000"}])["variations"]
    (algorithm,) = shown["config"]["algorithms"]
    assert algorithm["name"] == "rpcPredictionServer"
    assert {item["value"] for item in algorithm["config"]} == {"h", 5000}


def rpc(**config):
    items = [{"name": f"io.seldon.rpc.microservice.{name}", "value": value} for name, value in config.items()]
    return {"algorithms": [{"name": "rpcPredictionServer", "config": items}]}


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [("h", 5000, "grpc://h:5000"), ("10.0.0.1", "5001", "grpc://10.0.0.1:5001"), ("::1", 5000, "grpc://[::1]:5000")],
)
def test_rpc_there_and_back(host, port, url):
    (variation,) = from_algorithms(changed(config=rpc(host=host, port=port)).encode())
    assert variation == {"label": "x", "ratio": 1.0, "kind": "rpc", "url": url}
    assert to_algorithms([variation])["variations"][0]["config"] == rpc(host=host, port=int(port))


def changed(**changes):
    variation = ORIGINAL["variations"][0] | changes
    return json.dumps({"variations": [variation]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope", "the file is not"),
        ("[]", "the file is not"),
        ("{}", "the file is not"),
        ('{"variations": 1}', "should be a list"),
        ('{"variations": []}', '"variations" is empty; --action delete takes all'),
        ('{"variations": [1]}', "variation 1"),
        (changed(config={}), "variation 1"),
        (changed(config={"algorithms": []}), "variation 1"),
        (changed(config={"algorithms": [{"name": "soap", "config": []}]}), "unknown algorithm 'soap'"),
        (changed(config={"algorithms": [{"name": ["x"], "config": []}]}), "unknown algorithm"),
        (changed(config=rpc()), "microservice.host is missing"),
        (changed(config=rpc(host="h")), "microservice.port is missing"),
        (changed(config=rpc(host="h", port=0)), "port is '0'; it should be a port"),
        (changed(config=rpc(host="h", port="80.5")), "it should be a port"),
        (changed(config=rpc(host="h", port=None)), "it should be a port"),
        (changed(config={"algorithms": [{"name": "externalPredictionServer", "config": []}]}), "url is missing"),
        (changed(ratio="much"), "variation 1"),
        (changed(ratio=None), "variation 1"),
    ],
)
def test_wrong_files_are_named(text, message):
    with pytest.raises(CallError, match=message):
        from_algorithms(text.encode())
