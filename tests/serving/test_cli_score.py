"""``inlier score``."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from serving.cli import main
from training.artifacts import save_model
from training.model import Model
from training.synthetic import clusters, series
from training.train import train


def inlier(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def model() -> Model:
    return train("inne", clusters(seed=3)[0], parameters={"n_estimators": 8}, seed=3)


@pytest.fixture
def path(tmp_path: Path, model: Model) -> Path:
    return save_model(model, tmp_path / "model.pkl")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    frame = pd.DataFrame({"f4": [2.01, 0.0], "f3": [1.95, 0.0], "f2": [2.05, 0.0], "f1": [2.1, 0.0]})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def test_scores_go_to_standard_output(path: Path, rows: Path, model: Model) -> None:
    result = inlier("score", path, rows)
    assert result.exit_code == 0, result.output
    table, summary = result.output.split("iNNE: ")
    header, *cells = (line.split(",") for line in table.splitlines())
    assert header == ["anomaly_score", "complementary_score", "label"]
    expected = model.detector.anomaly_score(np.array([[2.1, 2.05, 1.95, 2.01], [0.0, 0.0, 0.0, 0.0]]))
    assert [float(score) for score, _, _ in cells] == expected.tolist()
    assert [label for _, _, label in cells] == ["0", "1"]
    assert summary == f"1 of 2 rows flagged (50.00 %), threshold {model.threshold:.6g}\n"


def test_scores_go_to_a_file(path: Path, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    result = inlier("score", path, rows, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.output.endswith(f"; scores in {out}\n")
    assert len(pd.read_csv(out)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("f1,f2,f3\n1,2,3\n", "rows.csv: features missing: 'f4'"),
        ("f1,f2,f3,f4,f5\n1,2,3,4,5\n", "rows.csv: features unknown: 'f5'"),
        ("f1,f2,f3,f4\n1,2,3,\n", "rows.csv, row 2, column 'f4': the value is missing"),
        ("", "rows.csv: it is empty"),
    ],
)
def test_wrong_rows_are_one_line(path: Path, rows: Path, tmp_path: Path, content: str, message: str) -> None:
    rows.write_text(content)
    out = tmp_path / "scores.csv"
    result = inlier("score", path, rows, "--out", out)
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert result.output.count("\n") == 1
    assert message in result.output
    assert not out.exists()


def test_what_is_read_is_not_replaced(path: Path, rows: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(rows)
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    for out in before:
        result = inlier("score", path, rows, "--out", out)
        assert result.exit_code == 2
        assert f"--out would replace {out}" in " ".join(result.output.split())
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_wrong_models_are_one_line(path: Path, rows: Path, tmp_path: Path) -> None:
    assert "there is no model file" in inlier("score", tmp_path / "nothing.pkl", rows).output
    path.write_bytes(path.read_bytes()[:-1])
    result = inlier("score", path, rows)
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert "its sidecar says" in result.output


def test_rows_of_a_series_may_continue_it(tmp_path: Path, path: Path, rows: Path) -> None:
    features, _ = series(n_rows=100, n_spikes=1, n_shifts=0)
    persist = save_model(train("persist", features), tmp_path / "persist.pkl")
    later = tmp_path / "later.csv"
    later.write_text("Time,value\n2024-02-01 00:00:00,500\n2024-02-01 01:00:00,\n")
    alone = inlier("score", persist, later).output.splitlines()
    assert alone[1:3] == ["2024-02-01 00:00:00,,,", "2024-02-01 01:00:00,,,"]
    continued = inlier("score", persist, later, "--continue").output.splitlines()
    assert continued[1].startswith("2024-02-01 00:00:00,0.9")
    assert continued[1].endswith(",1")
    assert continued[2] == "2024-02-01 01:00:00,,,"
    told = inlier("score", persist, later, "--continue", "--out", tmp_path / "scores.csv").output
    assert told.startswith("Persist: 1 of 2 rows flagged (50.00 %), 1 without a verdict, threshold 0.5; scores in ")
    refused = inlier("score", path, rows, "--continue")
    assert refused.exit_code == 2
    assert "--continue is for series" in refused.output
