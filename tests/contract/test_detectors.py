"""What every detector of the registry promises. Whoever adds one need not write these again."""

import copy
import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from numba.core import event
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from detectors import state
from detectors.blocks import threads
from detectors.errors import InvalidState
from tests.contract.cases import BY_ROW, BY_SERIES, CASES, case_id, other_rows, training_rows

each = pytest.mark.parametrize("case", CASES, ids=case_id)
each_by_row = pytest.mark.parametrize("case", BY_ROW, ids=case_id)
each_that_looks_back = pytest.mark.parametrize(
    "case", [case for case in BY_SERIES if case.parameters.get("align") != "center"], ids=case_id
)
each_by_series = pytest.mark.parametrize("case", BY_SERIES, ids=case_id)

ORDER_MATTERS = "a row is judged by those before it; see test_a_prefix_... and test_one_row_at_a_time_..."
EXPECTED_FAILURES = {
    name: {
        "check_methods_sample_order_invariance": ORDER_MATTERS,
        "check_methods_subset_invariance": ORDER_MATTERS,
    }
    for name in ("Persist", "POLY", "SubPCA")
}


@parametrize_with_checks(
    [case.make() for case in CASES],
    expected_failed_checks=lambda detector: EXPECTED_FAILURES.get(type(detector).__name__, {}),
)
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


@each
def test_scores_are_between_0_and_1(case):
    scores = case.fitted().anomaly_score(other_rows())
    assert scores.shape == (150,)
    assert scores.dtype == np.float64
    assert 0.0 <= scores.min() < scores.max() <= 1.0


@each
def test_a_very_far_row_is_an_anomaly(case):
    assert case.fitted().predict(other_rows())[-1] == -1


@each
def test_verdicts_follow_the_scores(case):
    detector, rows = case.fitted(), other_rows()
    scores = detector.anomaly_score(rows)
    assert type(detector.threshold_) is float
    assert 0.0 <= detector.threshold_ < 1.0
    assert detector.offset_ == -detector.threshold_
    np.testing.assert_array_equal(detector.predict(rows), np.where(scores > detector.threshold_, -1, 1))
    np.testing.assert_array_equal(detector.score_samples(rows), -scores)
    np.testing.assert_array_equal(detector.decision_function(rows), detector.threshold_ - scores)
    np.testing.assert_array_equal(detector.decision_function(rows) < 0, detector.predict(rows) == -1)


@each
def test_contributions_are_shares(case):
    detector, rows = case.fitted(), other_rows()
    contributions = detector.feature_contributions(rows)
    assert contributions.shape == rows.shape
    assert (contributions >= 0.0).all()
    sums = contributions.sum(axis=1)
    assert (np.isclose(sums, 1.0, rtol=1e-12) | (sums == 0.0)).all()
    assert sums[-1] == pytest.approx(1.0)


@each
def test_the_same_bits_again_and_on_any_number_of_threads(case):
    rows = np.repeat(other_rows(), 100, axis=0)  # enough for several blocks
    found = []
    for count in (1, 1, 3):
        with threads(count):
            detector = case.fitted()
            found.append((detector.threshold_, detector.anomaly_score(rows), detector.feature_contributions(rows)))
    for threshold, scores, contributions in found[1:]:
        assert threshold == found[0][0]
        np.testing.assert_array_equal(scores, found[0][1])
        np.testing.assert_array_equal(contributions, found[0][2])


@each
def test_judging_changes_nothing(case):
    detector, rows = case.fitted(), other_rows()
    before, data = pickle.dumps(detector), rows.copy()
    detector.predict(rows)
    detector.feature_contributions(rows)
    assert pickle.dumps(detector) == before
    np.testing.assert_array_equal(rows, data)


@each_by_row
def test_order_and_batches_of_rows_change_no_bit(case):
    detector, rows = case.fitted(), other_rows()
    scores, contributions = detector.anomaly_score(rows), detector.feature_contributions(rows)
    order = np.random.RandomState(0).permutation(len(rows))
    np.testing.assert_array_equal(detector.anomaly_score(rows[order]), scores[order])
    np.testing.assert_array_equal(detector.feature_contributions(rows[order]), contributions[order])
    for size in (1, 2, 7, 64):
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        np.testing.assert_array_equal(np.concatenate([detector.anomaly_score(part) for part in parts]), scores)
        np.testing.assert_array_equal(
            np.concatenate([detector.feature_contributions(part) for part in parts]), contributions
        )


@each_that_looks_back
def test_a_prefix_keeps_its_verdicts_when_more_rows_follow(case):
    detector, rows = case.fitted(), other_rows()
    for history in (None, "fitted"):
        whole = detector.anomaly_score(rows, history=history)
        for length in (1, 2, 3, 50, 149):
            np.testing.assert_array_equal(detector.anomaly_score(rows[:length], history=history), whole[:length])


@each_that_looks_back
def test_one_row_at_a_time_with_what_its_verdict_depends_on_gives_the_bits_of_the_batch(case):
    detector, rows = case.fitted(), other_rows()
    before = len(detector.tail_)
    whole = detector.anomaly_score(rows, history="fitted")
    assert detector.anomaly_score(rows[:1], history="fitted")[0] == whole[0]
    padded = np.vstack([detector.tail_, rows])
    for row in range(len(rows)):
        assert detector.anomaly_score(padded[row : row + before + 1])[-1] == whole[row]


@each
def test_a_pickle_gives_the_same_bits(case):
    detector, rows = case.fitted(), other_rows()
    for twin in (pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)):
        assert vars(twin).keys() == vars(detector).keys()
        assert twin.threshold_ == detector.threshold_
        np.testing.assert_array_equal(twin.anomaly_score(rows), detector.anomaly_score(rows))
        np.testing.assert_array_equal(twin.feature_contributions(rows), detector.feature_contributions(rows))
        assert twin.__getstate__() == detector.__getstate__()


@each
def test_an_unfitted_detector_pickles_and_says_that_it_is_unfitted(case):
    for detector in (pickle.loads(pickle.dumps(case.make())), clone(case.fitted())):
        assert detector.get_params() == case.make().get_params()
        for method in ("anomaly_score", "predict", "score_samples", "decision_function", "feature_contributions"):
            with pytest.raises(NotFittedError):
                getattr(detector, method)(other_rows())


@each
def test_a_pickle_holds_plain_values_only(case):
    def plain(value):
        return type(value) in (str, bytes, bool, int, float, type(None)) or (
            type(value) in (tuple, list) and all(plain(element) for element in value)
        )

    encoded = case.fitted().__getstate__()
    assert {name: value for name, value in encoded.items() if not plain(value)} == {}


def revive(detector, encoded):
    twin = object.__new__(type(detector))
    twin.__setstate__(encoded)
    return twin


def arrays(detector):
    return {name: value for name, value in vars(detector).items() if isinstance(value, np.ndarray) and name[0] != "_"}


def bad_versions(array, rule):
    """The array in ways that its rule forbids."""
    yield "dtype", array.astype(np.float32 if array.dtype == np.float64 else np.int32)
    yield "one more axis", array[np.newaxis]
    yield "flat" if array.ndim > 1 else "two axes", array.ravel() if array.ndim > 1 else array.reshape(-1, 1)
    if array.size == 0:
        return
    for value, wrong in ((np.nan, not rule.nan), (np.inf, rule.finite), (-np.inf, rule.finite)):
        if array.dtype.kind == "f" and wrong:
            yield f"{value}", with_first(array, value)
    if array.dtype.kind == "i" and rule.low is not None:
        yield "index below 0", with_first(array, rule.low - 1)
    if array.dtype.kind == "i" and rule.high is not None:
        yield "index past the end", with_first(array, 2**62)


def with_first(array, value):
    changed = array.copy()
    changed.flat[0] = value
    return changed


@each
def test_a_tampered_array_is_refused(case):
    detector = case.fitted()
    schema, tried = detector._schema(vars(detector)), 0
    for name, array in arrays(detector).items():
        for what, bad in bad_versions(array, schema[name]):
            with pytest.raises(InvalidState):
                pytest.fail(f"{name} with {what}: {revive(detector, state.encode({**public(detector), name: bad}))}")
            tried += 1
        long = (*state.encode({name: array})[name][:3], array.tobytes() + b"\0")
        objects = ("array", "|O8", (1,), b"\0" * 8)
        for raw in (long, objects, None, "text", (), ("array",), [0.0]):
            with pytest.raises(InvalidState):
                pytest.fail(f"{name}={raw!r}: {revive(detector, {**detector.__getstate__(), name: raw})}")
            tried += 1
    assert tried >= 10


def public(detector):
    return {name: value for name, value in vars(detector).items() if name[0] != "_"}


@each
def test_a_state_with_more_or_less_in_it_is_refused(case):
    detector = case.fitted()
    encoded = detector.__getstate__()
    for name in encoded:
        with pytest.raises(InvalidState, match=name):
            pytest.fail(f"without {name}: {revive(detector, {key: encoded[key] for key in encoded if key != name})}")
    for extra in ("surprise_", "_private", "predict"):
        with pytest.raises(InvalidState, match=extra):
            revive(detector, {**encoded, extra: 1})
    for threshold in (1.0, -0.1, float("nan"), 1, "high", None):
        with pytest.raises(InvalidState, match="threshold_"):
            revive(detector, {**encoded, "threshold_": threshold})
    for count in (0, -1, 1.0, True):
        with pytest.raises(InvalidState):
            pytest.fail(f"{count} features: {revive(detector, {**encoded, 'n_features_in_': count})}")
    for wrong in (None, [], "state", {1: 2}, {}):
        with pytest.raises(InvalidState):
            revive(detector, wrong)


@each
def test_a_state_with_a_parameter_that_fit_refuses_is_refused(case):
    detector = case.fitted()
    encoded = detector.__getstate__()
    for name in type(detector)._parameter_constraints:
        with pytest.raises(InvalidState, match=name):
            revive(detector, {**encoded, name: {"not": "a parameter"}})


def in_other_shapes(rows):
    """The same values laid out otherwise."""
    shifted = np.empty(rows.nbytes + 1, np.uint8)[1:].view(np.float64).reshape(rows.shape)
    shifted[:] = rows
    fixed = rows.copy()
    fixed.flags.writeable = False
    return {
        "a list": rows.tolist(),
        "Fortran order": np.asfortranarray(rows),
        "every second row": np.repeat(rows, 2, axis=0)[::2],
        "backwards": rows[::-1].copy()[::-1],
        "unaligned": shifted,
        "read-only": fixed,
        "big-endian": rows.astype(">f8"),
        "objects": rows.astype(object),
    }


@each
def test_how_rows_are_laid_out_changes_no_bit_and_compiles_nothing(case):
    training, rows = training_rows(), other_rows()
    detector = case.make().fit(training)
    scores, contributions = detector.anomaly_score(rows), detector.feature_contributions(rows)
    detector.anomaly_score(rows[:1])
    with event.install_recorder("numba:compile") as compiled:
        for what, laid_out in in_other_shapes(rows).items():
            np.testing.assert_array_equal(detector.anomaly_score(laid_out), scores, err_msg=what)
            np.testing.assert_array_equal(detector.feature_contributions(laid_out), contributions, err_msg=what)
        for what, laid_out in in_other_shapes(training).items():
            np.testing.assert_array_equal(case.make().fit(laid_out).anomaly_score(rows), scores, err_msg=what)
    assert not compiled.buffer


@each
def test_float32_rows_are_taken_as_the_numbers_they_are(case):
    training, rows = training_rows().astype(np.float32), other_rows().astype(np.float32)
    detector = case.make().fit(training)
    exact = case.make().fit(training.astype(np.float64))
    assert detector.threshold_ == exact.threshold_
    np.testing.assert_array_equal(detector.anomaly_score(rows), exact.anomaly_score(rows.astype(np.float64)))
    assert detector.anomaly_score(rows).dtype == np.float64


@each
def test_a_frame_s_columns_are_known_by_name(case):
    names = ["a", "b", "c"]
    frame, rows = pd.DataFrame(training_rows(), columns=names), pd.DataFrame(other_rows(), columns=names)
    detector = case.make().fit(frame)
    expected = case.fitted().anomaly_score(other_rows())
    twin = pickle.loads(pickle.dumps(detector))
    for one in (detector, twin):
        assert list(one.feature_names_in_) == names
        np.testing.assert_array_equal(one.anomaly_score(rows), expected)
        with pytest.raises(ValueError, match="feature names"):
            one.anomaly_score(rows[["c", "a", "b"]])
        with pytest.raises(ValueError, match="feature names"):
            one.anomaly_score(rows.rename(columns={"b": "x"}))
        with pytest.warns(UserWarning, match="feature names"):
            one.anomaly_score(other_rows())


@each
@pytest.mark.parametrize("rows", [[], [[]], [1.0, 2.0, 3.0], [[1.0, 2.0]], [[1.0, np.inf, 3.0]], [["a", "b", "c"]]])
def test_wrong_rows_are_refused(case, rows):
    detector = case.fitted()
    for method in (detector.anomaly_score, detector.predict, detector.feature_contributions):
        with pytest.raises(ValueError, match=r"array|features|infinity|convert|number"):
            method(rows)


@each_by_row
def test_a_missing_value_is_refused(case):
    for fits in (case.make().fit, case.fitted().anomaly_score):
        with pytest.raises(ValueError, match="NaN"):
            fits([[1.0, np.nan, 3.0]] * 40)


@each_by_series
def test_a_missing_value_has_no_verdict(case):
    detector, rows = case.fitted(1), other_rows(1)
    rows[[3, 140]] = np.nan
    assert list(detector.anomaly_score(rows)[[3, 140]]) == [0.0, 0.0]
    assert list(detector.predict(rows)[[3, 140]]) == [1, 1]
    assert (detector.feature_contributions(rows)[[3, 140]] == 0.0).all()


@each
def test_little_memory_is_taken(case):
    """tracemalloc sees numpy's arrays; what kernels take for themselves is a few blocks."""
    detector = case.fitted(4)
    rows = np.random.RandomState(0).normal(size=(100_000, 4))
    detector.anomaly_score(rows)
    tracemalloc.start()
    try:
        scores = detector.anomaly_score(rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - scores.nbytes <= 10e6
