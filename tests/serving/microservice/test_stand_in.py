import importlib.util
import sys
from collections.abc import Iterator

import pytest

from serving.microservice import loading
from tests.serving.microservice.asgi import Client

ROWS = {"data": {"ndarray": [[1, 2]]}}
MODULE = "tests.serving.microservice.classes_of_seldon"


@pytest.fixture
def names() -> Iterator[None]:
    """seldon_core is forgotten before and after, and the classes that imported it."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "seldon_core" or name == MODULE]:
            del sys.modules[name]

    forget()
    if importlib.util.find_spec("seldon_core") is not None:
        pytest.skip("the genuine seldon_core is installed")
    yield
    forget()


@pytest.mark.usefixtures("names")
class TestStandIn:
    def test_a_class_that_inherits(self) -> None:
        client = Client(loading.load(f"{MODULE}.Inherits", '[{"name": "any", "value": "1", "type": "INT"}]'))
        answer = client("/predict", ROWS).json
        assert answer["data"] == {"names": ["t:0", "t:1"], "ndarray": [[1.0, 2.0]]}
        assert answer["meta"]["tags"] == {"run": "time"}
        assert [metric["type"] for metric in answer["meta"]["metrics"]] == ["COUNTER", "GAUGE", "TIMER"]
        assert client("/route", ROWS).status == 400
        assert client("/health/status").json["strData"] == "not implemented - assuming healthy"
        assert client("/metadata").status == 200

    def test_an_error_with_a_status(self) -> None:
        answer = Client(loading.load(f"{MODULE}.Refuses", "[]"))("/predict", ROWS)
        assert answer.status == 422
        assert answer.json["status"] == {"code": -1, "info": "not today", "reason": "NOT_TODAY", "status": 1}
