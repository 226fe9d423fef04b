from pathlib import Path

import pytest

from serving.errors import ComponentError
from serving.microservice import loading
from serving.models import INNE
from tests.serving.microservice import classes
from training.errors import ModelNotFound


def test_a_model_file(inne_file: Path) -> None:
    assert isinstance(loading.load(str(inne_file), "[]"), INNE)


def test_a_class_of_ours_with_the_wrappers_parameters(inne_file: Path) -> None:
    parameters = f'[{{"name": "model_uri", "value": "{inne_file}", "type": "STRING"}}]'
    assert loading.load("serving.models.INNE", parameters).feature_names() == ["f1", "f2", "f3", "f4"]


def test_any_class_is_built_and_loaded() -> None:
    parameters = (
        '[{"name": "offset", "value": "3", "type": "INT"}, {"name": "label", "value": "x", "type": "STRING"},'
        ' {"name": "flag", "value": "true", "type": "BOOL"}, {"name": "ratio", "value": "0.25", "type": "FLOAT"}]'
    )
    user = loading.load("tests.serving.microservice.classes.Full", parameters)
    assert isinstance(user, classes.Full)
    assert user.loaded
    assert user.parameters == {"offset": 3, "label": "x", "flag": True, "ratio": 0.25}


def test_a_module_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "MyOwnModel.py").write_text("class MyOwnModel:\n    def predict(self, X, names):\n        return X\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    assert type(loading.load("MyOwnModel", "[]")).__name__ == "MyOwnModel"


@pytest.mark.parametrize(
    ("target", "parameters", "message"),
    [
        ("no.such.module.Class", "[]", "no module"),
        ("serving.models.Nothing", "[]", "has no class Nothing"),
        ("serving.models.MODELS", "[]", "has no class"),
        ("tests.serving.microservice.classes.Full", '[{"name": "nix", "value": "1", "type": "INT"}]', "nix"),
        ("serving.models.INNE", "{", "not JSON"),
        ("serving.models.INNE", "[1]", "list of objects"),
        ("serving.models.INNE", '[{"name": "a", "value": "x", "type": "INT"}]', "parameter a: 'x' is not of type INT"),
        ("serving.models.INNE", '[{"name": "a", "value": "x", "type": "BOOL"}]', "neither true nor false"),
        ("serving.models.INNE", '[{"name": "a", "value": "x", "type": "LIST"}]', "no type 'LIST'"),
    ],
)
def test_what_cannot_be_loaded(target: str, parameters: str, message: str) -> None:
    with pytest.raises(ComponentError, match=message):
        loading.load(target, parameters)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ModelNotFound):
        loading.load("/no/such/model.pkl", "[]")
    parameters = '[{"name": "model_uri", "value": "/no/such.pkl", "type": "STRING"}]'
    with pytest.raises(ModelNotFound):
        loading.load("serving.models.INNE", parameters)


def test_a_load_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing.py").write_text(
        "class Load:\n    def load(self):\n        raise OSError('no disk')\n"
        "class Optional:\n    def load(self):\n        raise NotImplementedError\n"
    )
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ComponentError, match=r"failing.Load.load\(\) failed: OSError: no disk"):
        loading.load("failing.Load", "[]")
    assert loading.load("failing.Optional", "[]")
    with pytest.raises(ComponentError, match="broken cannot be imported: ZeroDivisionError"):
        loading.load("broken.Class", "[]")
