"""iNNE: isolation by nearest neighbours, an ensemble of small samples whose rows own a ball each."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from detectors import inne_boxes, inne_few, inne_narrow, inne_nearest, inne_order
from detectors import inne_kernels as kernels
from detectors.base import FloatArray, IntArray, RowDetector
from detectors.blocks import for_each_block, rows_a_block
from detectors.errors import InvalidState
from detectors.inne_samples import draw, measure
from detectors.state import Array, Scalar
from detectors.thresholds import auto_threshold, contamination_threshold, one_dimension_threshold

_BLOCK_ROWS = 16 * kernels.BLOCK  # a thread's share: milliseconds, against 0.1 ms for handing it over
_FEW_ROWS = 32  # up to here, row by row is faster than one block
_AUTO_ROWS = 4096  # training rows that an automatic threshold looks at; a quartile is then within a few percent
_LARGEST = 400  # centres are scaled so that the largest value is just below 2**400; see `inne_kernels.FAR`
_MOST_ESTIMATORS = 100_000  # a thousand times what is useful; whoever asks for more made a mistake
_HIGHEST_THRESHOLD = math.nextafter(1.0, 0.0)


class INNE(RowDetector):
    """Isolation using nearest-neighbour ensembles.

    Each member of the ensemble is a small random sample of the training rows. Every row of the sample owns a ball that
    reaches to its nearest neighbour in the sample. A row to judge is compared with the smallest ball that covers it:
    the more that ball's radius exceeds its neighbour's, the more isolated the row. The score is the mean over the
    members.

    Parameters
    ----------
    n_estimators : int, default=100
        How many samples to draw, at most 100,000.
    max_samples : int or sequence of int, default=32
        Rows in each, at least 2; all rows where there are fewer. Of a sequence, members take the sizes in turn: a mix
        does well where no one size is known to.
    max_features : None, "sqrt", int or float, default=None
        How many features each sample looks at, drawn for each: all of them, the square root of their number (rounded
        up), that many, or that share (rounded up).
    scoring : {"isolation", "graded"}, default="isolation"
        With "isolation" a sample gives a covered row ``1 - r(neighbour) / r``, where ``r`` is the ball's radius and
        ``r(neighbour)`` that of its centre's nearest neighbour, and 1 to a row that no ball covers. With "graded" it
        gives ``d / (d + m)``, where ``d`` is the distance to the nearest centre and ``m`` the sample's median radius.
    metric : {"euclidean"}, default="euclidean"
        How distance is measured.
    contamination : "auto" or float, default="auto"
        The share of the training rows that the threshold flags, in (0, 0.5], or a threshold by the shape of their
        scores (see `detectors.thresholds.auto_threshold`; of a single feature by its values, see
        `detectors.thresholds.one_dimension_threshold`), for which at most 4096 of them are looked at.
    random_state : int, RandomState instance or None, default=None
        Decides what is drawn. The same seed gives the same bits on any number of threads.

    Attributes
    ----------
    threshold_ : float
        A row is an anomaly iff its score is above it.
    centres_ : ndarray of shape (n_centres, n_features_of_a_sample)
        The rows drawn, sample by sample.
    offsets_ : ndarray of shape (n_estimators + 1,)
        Where each sample begins among the centres.
    features_ : ndarray of shape (n_estimators, n_features_of_a_sample)
        The columns that each sample looks at.
    n_features_in_ : int
        Columns of the training rows.
    feature_names_in_ : ndarray of str
        Their names, where `fit` was given a data frame.

    References
    ----------
    T. R. Bandaragoda, K. M. Ting, D. Albrecht, F. T. Liu, Y. Zhu and J. R. Wells, "Isolation-based anomaly detection
    using nearest-neighbor ensembles", Computational Intelligence 34 (2018) 968-998.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.RandomState(0).normal(2.0, 0.1, (1000, 4))
    >>> detector = INNE(random_state=0).fit(rows)
    >>> detector.predict([[2.1, 2.05, 1.95, 2.01], [0.0, 0.0, 0.0, 0.0]])
    array([ 1, -1])
    """

    title = "iNNE"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_estimators": [Interval(Integral, 1, _MOST_ESTIMATORS, closed="both")],
        "max_samples": [Interval(Integral, 2, None, closed="left"), "array-like"],
        "max_features": [
            None,
            StrOptions({"sqrt"}),
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="right"),
        ],
        "scoring": [StrOptions({"isolation", "graded"})],
        "metric": [StrOptions({"euclidean"})],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
    }

    _state_schema: ClassVar[dict[str, Array | Scalar]] = {
        "centres_": Array("float64", ("n_centres", "n_chosen")),
        "offsets_": Array("int64", ("n_offsets",), low=0),
        "features_": Array("int64", ("n_members", "n_chosen"), low=0, high="n_features_in_"),
    }

    def __init__(
        self,
        n_estimators: int = 100,
        max_samples: int | Sequence[int] = 32,
        max_features: Literal["sqrt"] | float | None = None,
        scoring: Literal["isolation", "graded"] = "isolation",
        metric: Literal["euclidean"] = "euclidean",
        contamination: Literal["auto"] | float = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.max_features = max_features
        self.scoring = scoring
        self.metric = metric
        self.contamination = contamination
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Draw the samples and measure their balls.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Training rows, at least 2.
        y : ignored
            There for scikit-learn's pipelines.

        Returns
        -------
        self
            The detector, fitted.

        Raises
        ------
        ValueError
            For a parameter out of its range, or for rows that are not finite numbers in two dimensions.
        """
        self._validate_params()
        rows = self._training_rows(X, least=2)
        random = check_random_state(self.random_state)
        sizes = np.minimum(self._sizes(), len(rows))
        self.offsets_ = np.concatenate([[0], np.cumsum(sizes)])
        self.features_ = _draw_features(self.n_estimators, rows.shape[1], self._width(rows.shape[1]), random)
        drawn = _draw(len(rows), self.offsets_, random)
        self.centres_ = rows[drawn]
        if self.features_.shape[1] < rows.shape[1]:
            self.centres_ = np.take_along_axis(self.centres_, np.repeat(self.features_, sizes, axis=0), axis=1)
        self._measure()
        self.threshold_ = self._threshold(rows, random)
        return self

    def _validate_params(self) -> None:
        super()._validate_params()
        self._sizes()

    def _sizes(self) -> IntArray:
        """How many rows each sample asks for."""
        sizes = np.atleast_1d(np.asarray(self.max_samples))
        if sizes.ndim != 1 or sizes.size == 0 or sizes.dtype.kind not in "iu" or sizes.min() < 2:
            raise ValueError(f"max_samples={self.max_samples!r}: every size should be an integer of at least 2")
        return np.resize(sizes.astype(np.int64), self.n_estimators)

    def _width(self, n_features: int) -> int:
        """How many features each sample looks at."""
        wanted: Any = self.max_features
        if wanted is None:
            return n_features
        if wanted == "sqrt":
            return math.isqrt(n_features - 1) + 1
        if not isinstance(wanted, Integral):
            return math.ceil(float(wanted) * n_features)
        if int(wanted) > n_features:
            raise ValueError(f"max_features={wanted} is more than the {n_features} features of X")
        return int(wanted)

    def _measure(self) -> None:
        """Derive from the samples what the kernels need."""
        n_members, width = self.features_.shape
        padding = -width % kernels.UNROLL
        # An exact scale, so that no difference overflows when squared, nor vanishes on tiny data.
        scale = math.ldexp(1.0, min(_LARGEST - math.frexp(np.abs(self.centres_).max())[1], 1000))
        features = np.pad(self.features_, ((0, 0), (0, padding)), constant_values=self.n_features_in_)
        centres = np.pad(self.centres_ * scale, ((0, 0), (0, padding)))
        squares, scores, medians = np.empty(len(centres)), np.empty(len(centres)), np.empty(n_members)
        measure(self.offsets_, centres, squares, scores, medians)
        self._balls = kernels.Balls(self.offsets_, features, centres, squares, scores, medians, scale)
        self._columns = np.ascontiguousarray(centres.T)
        chosen = features if width < self.n_features_in_ else features[:, :0]
        self._picks = np.ascontiguousarray(np.repeat(chosen, np.diff(self.offsets_), axis=0).T)
        # Whether the kernels in 32 bits will do, and what they need.
        few_features = width == self.n_features_in_ <= inne_narrow.FEATURES
        few_balls = np.diff(self.offsets_).max() <= inne_narrow.MOST_BALLS
        suits = few_features and few_balls and self.scoring == "isolation"
        self._narrow = inne_narrow.prepare(self._balls) if suits else None

    def _threshold(self, rows: FloatArray, random: np.random.RandomState) -> float:
        threshold: float | None
        if self.contamination == "auto":
            if len(rows) > _AUTO_ROWS:
                rows = rows[random.randint(0, len(rows), _AUTO_ROWS)]
            scores = self._scores(rows)
            threshold = one_dimension_threshold(rows[:, 0], scores) if rows.shape[1] == 1 else None
            if threshold is None:
                threshold = auto_threshold(scores, self.scoring)
        else:
            threshold = contamination_threshold(self._scores(rows), float(self.contamination))
        return min(threshold, _HIGHEST_THRESHOLD)

    def _restore(self) -> None:
        if len(self.offsets_) != len(self.features_) + 1 or self.features_.size == 0:
            raise InvalidState(f"offsets_ has {len(self.offsets_)} elements for {len(self.features_)} samples")
        if self.offsets_[0] != 0 or self.offsets_[-1] != len(self.centres_) or np.diff(self.offsets_).min() < 2:
            raise InvalidState("offsets_ does not divide centres_ into samples of at least 2 rows")
        if self.features_.shape[1] > 1 and np.diff(self.features_, axis=1).min() < 1:
            raise InvalidState("features_ is not in ascending order")
        self._measure()

    def anomaly_score(self, X: npt.ArrayLike) -> FloatArray:
        """The mean score over all samples.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to judge.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            In [0, 1], higher is more anomalous; 1 where no ball of any sample covers the row.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            For rows of another width, or not finite numbers.
        """
        return self._scores(self._rows(X))

    def _scores(self, rows: FloatArray) -> FloatArray:
        scores = np.empty(len(rows))
        if len(rows) <= _FEW_ROWS and self._narrow is not None:
            inne_few.score_rows(rows, scores, *self._narrow)
        elif len(rows) <= _FEW_ROWS:
            graded = self.scoring == "graded"
            kernels.score_few(rows, self._balls, self._columns, self._picks, graded, scores)
        else:
            for_each_block(
                lambda start, stop: self._score_block(rows[start:stop], scores[start:stop]),
                len(rows),
                rows_a_block(len(rows), _BLOCK_ROWS),
            )
        return scores

    def _score_block(self, rows: FloatArray, scores: FloatArray) -> None:
        """Fill in the scores of a thread's share by the fastest kernel there is; all give the same bits."""
        balls, graded = self._balls, self.scoring == "graded"
        if self._narrow is not None:
            narrow: Any = self._narrow
            for start in range(0, len(rows), inne_order.MOST_ROWS):
                span = slice(start, start + inne_order.MOST_ROWS)
                records, cells = inne_order.sort(rows[span], narrow.scale, narrow.middle, narrow.unit)
                inne_boxes.score_rows(rows[span], records, cells, scores[span], *narrow)
        elif graded and len(self._columns) == inne_nearest.FEATURES:
            centres = balls.offsets, balls.features, balls.centres, balls.medians, balls.scale
            inne_nearest.score_rows(rows, *centres, kernels.FAR, scores)
        else:
            kernels.score_rows(rows, balls, graded, scores)

    def feature_contributions(self, X: npt.ArrayLike) -> FloatArray:
        """How much each feature did to the score of each row.

        It is the feature's share of the squared distance to a sample's nearest centre, in the mean over the samples
        that look at it, weighted by their size.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to explain.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
            Not negative; a row adds up to 1, or is all 0 where it lies on a centre of every sample.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            For rows of another width, or not finite numbers.
        """
        rows = self._rows(X)
        contributions = np.empty_like(rows)
        for_each_block(
            lambda start, stop: kernels.explain(rows[start:stop], self._balls, contributions[start:stop]),
            len(rows),
            _BLOCK_ROWS,
        )
        return contributions


def _draw(population: int, offsets: IntArray, random: np.random.RandomState) -> IntArray:
    """Distinct numbers below `population` for each span between two offsets."""
    drawn = np.empty(offsets[-1], np.int64)
    draw(random.random_sample(len(drawn)), population, offsets, drawn)
    return drawn


def _draw_features(n_members: int, n_features: int, width: int, random: np.random.RandomState) -> IntArray:
    """The columns that each member looks at, in ascending order."""
    if width == n_features:
        return np.tile(np.arange(n_features, dtype=np.int64), (n_members, 1))
    offsets = np.arange(n_members + 1, dtype=np.int64) * width
    return np.sort(_draw(n_features, offsets, random).reshape(n_members, width), axis=1)
