"""``inlier``, ``inlier train`` and ``inlier detectors``."""

import importlib
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from detectors.registry import DETECTORS
from serving.cli import COMMANDS, main
from serving.cli.options import Parameter
from training.artifacts import load_model
from training.synthetic import clusters

FAST = ["--param", "n_estimators=8"]


def inlier(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    result = inlier(*arguments)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert result.output.startswith("error: ")
    return result.output


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "model.pkl"


def test_help_lists_every_command() -> None:
    for arguments in (["--help"], ["-h"], []):
        output = inlier(*arguments).output
        assert all(f"  {name} " in output for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_table_says(name: str) -> None:
    module, attribute = COMMANDS[name][0].split(":")
    assert isinstance(getattr(importlib.import_module(module), attribute), click.Command)
    assert inlier(name, "--help").exit_code == 0


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from serving.cli import main
try:
    main(["--help"])
except SystemExit as end:
    assert end.code == 0
heavy = {"numpy", "pandas", "sklearn", "numba", "pydantic", "sqlalchemy", "flask"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_version_and_module() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "serving.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout == f"inlier {version('inlier')}\n"


def test_an_unknown_command_is_named() -> None:
    result = inlier("trian")
    assert result.exit_code == 2
    assert "No such command 'trian'" in result.output


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "lacking", ("not_installed_anywhere:command", "Needs what is not there."))
    result = inlier("lacking")
    assert result.exit_code == 2
    assert result.output == "error: this needs not_installed_anywhere, which is not installed; install inlier[all]\n"


def test_generated_data(out: Path) -> None:
    result = inlier("train", "--detector", "iNNE", "--synthetic", "clusters", "--out", out, "--seed", 7, *FAST)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "iNNE trained on 3005 rows of 4 features (f1, f2, f3, f4)"
    assert re.fullmatch(r"threshold 0\.\d+: flags [\d.]+ % of the training rows", lines[1])
    assert lines[2].startswith("against 5 labelled anomalies: precision ")
    assert lines[3] == f"model file {out} ({out.stat().st_size} bytes), sidecar {out}.json"
    model = load_model(out)
    assert (model.seed, model.parameters["n_estimators"], model.n_rows) == (7, 8, 3005)


@pytest.mark.parametrize("detector", [name for name, made_of in DETECTORS.items() if made_of.kind == "univariate"])
def test_generated_series(out: Path, detector: str) -> None:
    result = inlier("train", "--detector", detector, "--synthetic", "series", "--out", out)
    assert result.exit_code == 0, result.output
    assert load_model(out).time_name == "Time"


def test_the_seed_is_that_of_the_data_and_of_the_detector(tmp_path: Path) -> None:
    scores = []
    for seed in (1, 1, 2):
        path = tmp_path / f"{len(scores)}.pkl"
        inlier("train", "--detector", "inne", "--synthetic", "clusters", "--seed", seed, "--out", path, *FAST)
        scores.append(load_model(path).detector.anomaly_score(np.array([[2.1, 2.05, 1.95, 2.01]]))[0])
    assert scores[0] == scores[1] != scores[2]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    features, labels = clusters(n_per_cluster=100, seed=1)
    rows, truth = tmp_path / "rows.csv", tmp_path / "truth.csv"
    pd.DataFrame(features.values, columns=list(features.names)).to_csv(rows, index=False)
    pd.DataFrame({"label": labels}).to_csv(truth, index=False)
    return rows, truth


def test_files(out: Path, files: tuple[Path, Path]) -> None:
    rows, truth = files
    result = inlier("train", "--detector", "inne", "--features", rows, "--labels", truth, "--out", out, *FAST)
    assert result.exit_code == 0, result.output
    assert load_model(out).metrics["n_anomalies"] == 5
    result = inlier("train", "--detector", "inne", "--features", rows, "--out", out, *FAST)
    assert result.exit_code == 0, result.output
    assert "labelled" not in result.output
    assert load_model(out).metrics == {}


def test_wrong_input_is_one_line(out: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    rows, truth = files
    given = ["train", "--detector", "inne", "--out", out]
    assert "did you mean inne?" in refused("train", "--detector", "innee", "--synthetic", "clusters", "--out", out)
    assert "did you mean n_estimators?" in refused(*given, "--synthetic", "clusters", "--param", "n_estimator=3")
    assert "must be an int" in refused(*given, "--synthetic", "clusters", "--param", "n_estimators=many")
    assert "there is no such file" in refused(*given, "--features", tmp_path / "nothing.csv")
    short = tmp_path / "short.csv"
    short.write_text("a\n1\n2\n")
    message = refused(*given, "--features", short, "--labels", truth)
    assert f"{truth}: it has 305 labels, {short} has 2 rows" in message
    rows.write_text("a,b\n1,2\n3,x\n")
    assert "rows.csv, row 3, column 'b': 'x' is no number" in refused(*given, "--features", rows)
    nowhere = tmp_path / "missing" / "model.pkl"
    for wrong in (nowhere, tmp_path / ("x" * 300)):
        assert "cannot be written" in refused("train", "--detector", "inne", "--synthetic", "clusters", "--out", wrong)
    assert not out.exists()


def test_what_is_read_is_not_replaced(files: tuple[Path, Path], tmp_path: Path) -> None:
    rows, truth = files
    rows = rows.rename(tmp_path / "rows.json")
    before = rows.read_bytes(), truth.read_bytes()
    for out in (rows, tmp_path / "rows", truth):
        result = inlier("train", "--detector", "inne", "--features", rows, "--labels", truth, "--out", out, *FAST)
        assert result.exit_code == 2
        assert "--out would replace" in result.output
    assert (rows.read_bytes(), truth.read_bytes()) == before


def test_auto_says_which_detector_won_and_what_to_expect(tmp_path: Path, out: Path) -> None:
    features, labels = clusters(n_per_cluster=60, seed=0)
    rows, truth = tmp_path / "rows.csv", tmp_path / "truth.csv"
    pd.DataFrame(features.values, columns=list(features.names)).to_csv(rows, index=False)
    pd.DataFrame({"label": labels}).to_csv(truth, index=False)
    result = inlier("train", "--detector", "auto", "--features", rows, "--labels", truth, "--out", out)
    assert result.exit_code == 0, result.output
    title = load_model(out).title
    assert re.search(rf"best of \d+ candidates: {title} with ", result.output)
    assert re.search(r"on other rows expect F1 [01]\.\d{3}, 95% interval [01]\.\d\d to [01]\.\d\d", result.output)
    assert inlier("train", "--detector", "auto", "--features", rows, "--out", out).output.startswith("iNNE trained on")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --features FILE and --synthetic"),
        (["--synthetic", "clusters", "--features", "rows.csv"], "give one of --features FILE and --synthetic"),
        (["--synthetic", "clusters", "--labels", "truth.csv"], "--labels go with --features"),
        (["--synthetic", "clusters", "--param", "n_estimators"], "'n_estimators' is not name=value"),
        (["--synthetic", "clusters", "--param", "=3"], "'=3' is not name=value"),
        (["--synthetic", "clusters", "--param", "a=1", "--param", "a=2"], "a is given twice"),
        (["--synthetic", "clusters", "--seed", "-1"], "-1 is not in the range"),
        (["--synthetic", "clusters", "--seed", str(2**32)], "is not in the range"),
        (["--synthetic", "circles"], "'circles' is not one of"),
    ],
)
def test_wrong_options_are_named(out: Path, arguments: list[str], message: str) -> None:
    result = inlier("train", "--detector", "inne", "--out", out, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("[2,4,8]", [2, 4, 8]),
        ("null", None),
        ("true", True),
        ('"1h"', "1h"),
        ("1h", "1h"),
        ("sqrt", "sqrt"),
        ("NaN", "NaN"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_values_are_json_or_text(text: str, value: object) -> None:
    assert Parameter().convert(f"name={text}", None, None) == ("name", value)


def test_detectors_are_listed_with_their_parameters() -> None:
    output = inlier("detectors").output
    for name in DETECTORS:
        assert re.search(rf"^{name} +(rows|series) +\w+=", output, re.MULTILINE)
