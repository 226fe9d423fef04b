"""What the model classes of series add: times, missing values, and what went before."""

from typing import Any

import numpy as np
import numpy.typing as npt

from serving.detector_model import DetectorModel, FloatArray, Judged
from serving.errors import BadData
from serving.protocols import numbers
from training.times import from_values, is_time_name


class SeriesModel(DetectorModel):
    """A detector of series: rows may have a time, null is missing, and the end of the training series goes before.

    A microservice holds no state: a row is judged by the training series and by earlier rows of the same request.
    """

    def _judge(self, X: Any, names: list[str]) -> Judged:
        if isinstance(X, dict) or (isinstance(X, list) and X and isinstance(X[0], dict)):
            X, names = numbers.table(X)
        X, names, times = self._without_times(X, names)
        rows = self.rows(X, names, missing=True)
        numbers.blame_not_finite(rows, self._names, missing=True)
        detector: Any = self.model.detector
        try:
            by_column = detector.column_scores(rows, times=times, history="fitted")
        except ValueError as error:
            raise BadData(str(error)) from error
        unknown = np.isnan(by_column)
        scores = np.where(unknown, 0.0, by_column).max(axis=1)
        return Judged(rows, scores, times=times, no_verdict=np.flatnonzero(unknown.all(axis=1)).tolist())

    def _without_times(self, X: Any, names: list[str]) -> tuple[Any, list[str], npt.NDArray[np.datetime64] | None]:
        model = self.model
        others = (name for name in names if name not in self._names)
        name = next((name for name in others if name == model.time_name or is_time_name(name)), None)
        if name is None:
            return X, names, None
        position = names.index(name)
        rows = X.tolist() if isinstance(X, np.ndarray) else X
        if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(names) for row in rows):
            raise BadData(f"there are {len(names)} names, so rows of {len(names)} values are needed")
        unit = None if (model.time_unit or "iso").startswith("iso") else model.time_unit
        try:
            times = from_values([row[position] for row in rows], unit)
        except (TypeError, ValueError) as error:
            raise BadData(f"{name}: {error}") from error
        rest = [row[:position] + row[position + 1 :] for row in rows]
        if isinstance(X, np.ndarray) and X.dtype.kind == "U":
            rest = [[_number(cell) for cell in row] for row in rest]
        return rest, names[:position] + names[position + 1 :], times

    def explain(self, judged: Judged) -> FloatArray:
        """How much each column did to the score of each row."""
        detector: Any = self.model.detector
        shares: FloatArray = detector.feature_contributions(judged.rows, times=judged.times, history="fitted")
        return shares


def _number(cell: str) -> Any:
    """What numpy made text of, as the wrapper lets it where a row holds a time: the number again."""
    try:
        return None if cell in ("None", "nan") else float(cell)
    except ValueError:
        return cell
