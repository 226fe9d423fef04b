"""What the seed's answer says of rows about which nothing can be said."""

from serving.proxy.payload import prediction


def reply(**tags: object) -> dict[str, object]:
    return {
        "data": {"names": ["Anomaly_score", "Complementary_score"], "ndarray": [[0.0, 1.0], [0.9, 0.1]]},
        "meta": {"tags": {"model_name": "model_iqr", **tags}},
    }


def test_rows_without_a_verdict_are_named() -> None:
    assert prediction(reply(no_verdict=[0]), "p", 2, "v", None)["custom"] == {"no_verdict": [0]}


def test_otherwise_custom_is_null() -> None:
    assert prediction(reply(), "p", 2, "v", None)["custom"] is None
