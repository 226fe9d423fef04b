"""Model classes as people write them for Seldon Core's wrapper; the contract suite serves them under both servers."""

import numpy as np


class Plain:
    """The least there can be."""

    def predict(self, X, names):
        return X


class Full:
    """Everything a class can have."""

    def __init__(self, offset: int = 0, label: str = "none", flag: bool = False, ratio: float = 0.5):
        self.offset = offset
        self.parameters = {"offset": offset, "label": label, "flag": flag, "ratio": ratio}
        self.loaded = False
        self.rewards = []

    def load(self):
        self.loaded = True

    def predict(self, X, names, meta=None):
        if isinstance(X, np.ndarray):
            return np.asarray(X, dtype=float) + self.offset
        return X

    def transform_input(self, X, names, meta):
        return X * 2

    def transform_output(self, X, names):
        return X + 1

    def route(self, X, names):
        return int(X[0][0])

    def aggregate(self, Xs, names):
        return np.mean(Xs, axis=0)

    def send_feedback(self, features, names, reward, truth, routing=None):
        self.rewards.append((np.asarray(features).tolist(), list(names), reward, np.asarray(truth).tolist(), routing))
        return [[len(self.rewards)]]

    def class_names(self):
        return ["a", "b"]

    def feature_names(self):
        return ["x", "y"]

    def tags(self):
        return {"parameters": self.parameters, "loaded": self.loaded}

    def metrics(self):
        return [
            {"type": "COUNTER", "key": "calls", "value": 1},
            {"type": "GAUGE", "key": "offset", "value": self.offset, "tags": {"colour": "blue"}},
            {"type": "TIMER", "key": "took", "value": 20.5},
        ]

    def health_status(self):
        return "well"

    def init_metadata(self):
        return {"name": "full", "versions": ["v1"], "platform": "python", "custom": {"team": "us"}}


class ClassNamesAttribute:
    class_names = ("only",)

    def predict(self, X, names):
        return np.asarray(X, dtype=float)[:, :1]


class Echo:
    """Gives back what it was called with."""

    def predict(self, X, names, meta=None):
        return {"type": type(X).__name__, "text": str(X), "names": list(names), "meta": meta or {}}


class Raw:
    def predict_raw(self, msg):
        if msg.get("strData") == "fail":
            return {"status": {"code": 418, "info": "teapot", "status": 1}}
        return {"jsonData": msg, "meta": {"metrics": [{"type": "COUNTER", "key": "raw", "value": 1}]}}


class Faulty:
    """Fails as told by the text it is sent."""

    def __init__(self):
        self.calls = 0
        self.type_errors = 0

    def predict(self, X, names, meta=None):
        self.calls += 1
        if X == "type":
            self.type_errors += 1
            raise TypeError(f"call {self.type_errors}")
        if X == "nan":
            return np.array([[np.nan, np.inf]])
        if X == "object":
            return object()
        if X == "value":
            raise ValueError("wrong value")
        return str(self.calls)


class BadMetrics:
    def predict(self, X, names):
        return X

    def metrics(self):
        return [{"type": "COUNTER", "key": "x"}]


class Slow:
    def predict(self, X, names):
        import time

        time.sleep(float(X))
        return X


class NoPredict:
    def transform_input(self, X, names):
        return X
