"""Model files: what comes back, what is refused, and that nothing is ever seen half-written."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import numpy as np
import pytest

from training import artifacts
from training.artifacts import dump_model, load_model, parse_model, save_model, sidecar_path
from training.errors import ModelDamaged, ModelFileError, ModelNotFound, ModelUntrusted
from training.model import Model
from training.synthetic import clusters
from training.train import train

ROWS = np.array([[2.1, 2.05, 1.95, 2.01], [0.0, 0.0, 0.0, 0.0], [9.0, -9.0, 9.0, -9.0]])


@pytest.fixture
def path(tmp_path: Path, model: Model) -> Path:
    return save_model(model, tmp_path / "model.pkl")


def forge(path: Path, data: bytes) -> None:
    """Write a file whose sidecar fits."""
    entry = json.loads(sidecar_path(path).read_text())
    path.write_bytes(data)
    entry |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    sidecar_path(path).write_text(json.dumps(entry))


def test_a_model_comes_back_with_the_same_bits(path: Path, model: Model) -> None:
    read = load_model(path)
    assert read.metadata() == model.metadata()
    assert (read.detector.anomaly_score(ROWS) == model.detector.anomaly_score(ROWS)).all()
    assert [*read.histograms] == list(model.feature_names)
    for name, histogram in model.histograms.items():
        assert (read.histograms[name].edges == histogram.edges).all()
        assert (read.histograms[name].counts == histogram.counts).all()
    assert (read.score_histogram.counts == model.score_histogram.counts).all()


def test_joblib_opens_it(path: Path, model: Model) -> None:
    assert (joblib.load(path).detector.anomaly_score(ROWS) == model.detector.anomaly_score(ROWS)).all()


def test_the_sidecar_says_what_the_file_is(path: Path, model: Model) -> None:
    entry = json.loads(sidecar_path(path).read_text())
    assert entry["size"] == path.stat().st_size
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert entry["versions"]["numpy"] == np.__version__
    assert "hmac_sha256" not in entry
    assert "replaces" not in entry


def test_nothing_else_is_left_in_the_folder(path: Path, model: Model) -> None:
    save_model(model, path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.pkl", "model.pkl.json"]


def test_others_may_read_it_as_the_umask_says(tmp_path: Path, model: Model) -> None:
    before = os.umask(0o022)
    try:
        saved = save_model(model, tmp_path / "model.pkl")
    finally:
        os.umask(before)
    assert [oct(file.stat().st_mode)[-3:] for file in (saved, sidecar_path(saved))] == ["644", "644"]


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"there is no model file .*nothing\.pkl"):
        load_model(tmp_path / "nothing.pkl")


def test_a_missing_file_with_a_sidecar_is_not_found(path: Path) -> None:
    path.unlink()
    with pytest.raises(ModelNotFound, match="there is no file"):
        load_model(path)


def test_a_file_without_sidecar_is_refused(path: Path) -> None:
    sidecar_path(path).unlink()
    with pytest.raises(ModelDamaged, match=r"no sidecar model\.pkl\.json"):
        load_model(path)


def test_the_sidecar_of_another_file_is_refused(path: Path, tmp_path: Path) -> None:
    features, _ = clusters(seed=4)
    other = save_model(train("inne", features, parameters={"n_estimators": 8}, seed=4), tmp_path / "other.pkl")
    sidecar_path(other).replace(sidecar_path(path))
    with pytest.raises(ModelDamaged, match="its sidecar says"):
        load_model(path)


@pytest.mark.parametrize("place", [0, 1, 100, -100, -1])
def test_a_flipped_byte_is_refused(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelDamaged, match="not what was written"):
        load_model(path)


def test_a_truncated_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelDamaged, match="bytes, its sidecar says"):
        load_model(path)


def test_a_file_above_the_limit_is_refused_unread(path: Path) -> None:
    with pytest.raises(ModelDamaged, match="at most 10 are read"):
        load_model(path, max_bytes=10)


@pytest.mark.parametrize("sidecar", [b"", b"{", b"[]", b"null", b'{"format": "other/1"}', b"[" * 100_000, b"\xff\xfe"])
def test_a_sidecar_that_is_none_is_refused(path: Path, sidecar: bytes) -> None:
    sidecar_path(path).write_bytes(sidecar)
    with pytest.raises(ModelDamaged, match=r"model\.pkl\.json"):
        load_model(path)


@pytest.mark.parametrize("change", [{"size": "1"}, {"size": True}, {"sha256": None}, {"replaces": []}, {"format": 1}])
def test_a_sidecar_with_wrong_entries_is_refused(path: Path, change: dict[str, object]) -> None:
    sidecar_path(path).write_text(json.dumps(json.loads(sidecar_path(path).read_text()) | change))
    with pytest.raises(ModelDamaged):
        load_model(path)


def test_a_folder_and_a_pipe_are_refused(path: Path, tmp_path: Path) -> None:
    path.unlink()
    path.mkdir()
    with pytest.raises(ModelFileError):
        load_model(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(ModelDamaged, match="not a regular file"):
        load_model(path)


class _Runs:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.witness}",)


def test_a_command_in_a_file_that_a_sidecar_vouches_for_does_not_run(path: Path, tmp_path: Path) -> None:
    witness = tmp_path / "it-ran"
    forge(path, pickle.dumps(_Runs(witness), protocol=5))
    with pytest.raises(ModelDamaged, match=r"model\.pkl is no model file: it names posix\.system"):
        load_model(path)
    assert not witness.exists()


def _changed(path: Path, change) -> None:
    """Forge a file of the model in it with a changed state."""
    model = load_model(path)
    state = model.__getstate__()
    detector = {**state["detector"].__getstate__()}
    change(state, detector)

    class Pickler(pickle.Pickler):
        def reducer_override(self, obj):
            if obj is model:
                return _new, (Model,), state
            if obj is model.detector:
                return _new, (type(obj),), detector
            return NotImplemented

    import copyreg
    import io

    _new = copyreg.__newobj__
    Pickler(buffer := io.BytesIO(), protocol=5).dump(model)
    forge(path, buffer.getvalue())


def _with_element(array: tuple, place: int, value: float, dtype: str) -> tuple:
    elements = np.frombuffer(array[3], dtype=array[1]).copy()
    elements[place] = value
    return (array[0], dtype, array[2], elements.astype(dtype).tobytes())


def test_a_state_that_was_not_changed_is_read(path: Path) -> None:
    _changed(path, lambda state, detector: None)
    load_model(path)


def _with_parameter(facts: str, value: str) -> str:
    return facts.replace('"parameters": {', f'"parameters": {{"x": {value}, ')


STATES = {
    "index past the end": lambda s, d: d.update(features_=_with_element(d["features_"], 0, 4, "<i8")),
    "negative index": lambda s, d: d.update(features_=_with_element(d["features_"], 0, -1, "<i8")),
    "offset past the end": lambda s, d: d.update(offsets_=_with_element(d["offsets_"], -1, 10**9, "<i8")),
    "offsets that decrease": lambda s, d: d.update(offsets_=_with_element(d["offsets_"], 1, 10**9, "<i8")),
    "NaN": lambda s, d: d.update(centres_=_with_element(d["centres_"], 0, np.nan, "<f8")),
    "infinity": lambda s, d: d.update(centres_=_with_element(d["centres_"], 0, np.inf, "<f8")),
    "another dtype": lambda s, d: d.update(centres_=_with_element(d["centres_"], 0, 1, "<i8")),
    "objects": lambda s, d: d.update(centres_=("array", "|O", (1,), b"\0" * 8)),
    "another shape": lambda s, d: d.update(centres_=(*d["centres_"][:2], (1, 1), b"\0" * 8)),
    "bytes that don't fill": lambda s, d: d.update(centres_=(*d["centres_"][:3], b"")),
    "a shape of text": lambda s, d: d.update(centres_=(*d["centres_"][:2], "ab", b"")),
    "a threshold of 1": lambda s, d: d.update(threshold_=1.0),
    "a threshold that is text": lambda s, d: d.update(threshold_="0.5"),
    "a missing attribute": lambda s, d: d.pop("centres_"),
    "an unknown attribute": lambda s, d: d.update(anything=1),
    "a method": lambda s, d: d.update(anomaly_score=1),
    "a missing parameter": lambda s, d: d.pop("n_estimators"),
    "a wrong parameter": lambda s, d: d.update(n_estimators=0),
    "an unfitted detector": lambda s, d: [d.pop(name) for name in [*d] if name.endswith("_")],
    "no detector": lambda s, d: s.pop("detector"),
    "a detector that is text": lambda s, d: s.update(detector="inne"),
    "an unknown detector": lambda s, d: s.update(detector_name="none"),
    "a format of the future": lambda s, d: s.update(format=99),
    "facts that are no JSON": lambda s, d: s.update(facts="{"),
    "facts nested deep": lambda s, d: s.update(facts="[" * 100_000),
    "facts that are others": lambda s, d: s.update(facts="{}"),
    "NaN in the facts": lambda s, d: s.update(facts=s["facts"].replace('"seed": 3', '"seed": NaN')),
    "infinity in the facts": lambda s, d: s.update(facts=_with_parameter(s["facts"], "1e999")),
    "an integer like infinity": lambda s, d: s.update(facts=_with_parameter(s["facts"], "9" * 400)),
    "half a surrogate pair": lambda s, d: s.update(facts=_with_parameter(s["facts"], '"\\ud800"')),
    "parameters nested deep": lambda s, d: s.update(facts=_with_parameter(s["facts"], "[" * 40 + "]" * 40)),
    "a seed of text": lambda s, d: s.update(facts=s["facts"].replace('"seed": 3', '"seed": "3"')),
    "no rows": lambda s, d: s.update(facts=s["facts"].replace('"n_rows": 3005', '"n_rows": 0')),
    "rows that are true": lambda s, d: s.update(facts=s["facts"].replace('"n_rows": 3005', '"n_rows": true')),
    "no date": lambda s, d: s.update(facts=s["facts"].replace('"trained_at": "2', '"trained_at": "x')),
    "a feature twice": lambda s, d: s.update(facts=s["facts"].replace('"f2"', '"f1"')),
    "a feature too few": lambda s, d: s.update(facts=s["facts"].replace('"f2", ', "")),
    "a feature that is no text": lambda s, d: s.update(facts=s["facts"].replace('"f2"', "2")),
    "a histogram too few": lambda s, d: s.update(feature_counts=("array", "<i8", (3, 32), b"\0" * 768)),
    "negative counts": lambda s, d: s.update(score_counts=_with_element(s["score_counts"], 0, -1, "<i8")),
    "edges that decrease": lambda s, d: s.update(score_edges=_with_element(s["score_edges"], 0, 2.0, "<f8")),
    "edges too few": lambda s, d: s.update(score_edges=("array", "<f8", (1,), b"\0" * 8)),
}


@pytest.mark.parametrize("change", STATES.values(), ids=STATES)
def test_a_state_out_of_order_is_refused(path: Path, change) -> None:
    _changed(path, change)
    with pytest.raises(ModelDamaged):
        load_model(path)


def test_an_integer_that_no_answer_can_hold_is_a_float(path: Path) -> None:
    _changed(path, lambda s, d: s.update(facts=_with_parameter(s["facts"], str(2**64))))
    value = load_model(path).parameters["x"]
    assert (type(value), value) == (float, 2.0**64)


def test_a_lone_detector_is_no_model(path: Path, model: Model) -> None:
    forge(path, pickle.dumps(model.detector, protocol=5))
    with pytest.raises(ModelDamaged, match="holds a INNE, not a model"):
        load_model(path)


class TestSignature:
    KEY = b"a key of this test"

    def test_what_was_signed_is_read(self, tmp_path: Path, model: Model) -> None:
        path = save_model(model, tmp_path / "model.pkl", self.KEY)
        assert load_model(path, self.KEY).n_rows == model.n_rows
        assert load_model(path).n_rows == model.n_rows

    def test_what_was_signed_with_another_key_is_refused(self, tmp_path: Path, model: Model) -> None:
        path = save_model(model, tmp_path / "model.pkl", self.KEY)
        with pytest.raises(ModelUntrusted, match="not signed with the key in force"):
            load_model(path, b"another")

    def test_what_was_not_signed_is_refused(self, path: Path) -> None:
        with pytest.raises(ModelUntrusted, match="is not signed"):
            load_model(path, self.KEY)

    @pytest.mark.parametrize("signature", ["", "é", "\ud800", None, 1, []])
    def test_what_is_no_signature_is_refused(self, tmp_path: Path, model: Model, signature: object) -> None:
        path = save_model(model, tmp_path / "model.pkl", self.KEY)
        beside = sidecar_path(path)
        beside.write_text(json.dumps(json.loads(beside.read_text()) | {"hmac_sha256": signature}))
        with pytest.raises(ModelUntrusted):
            load_model(path, self.KEY)

    def test_a_forged_digest_is_refused_before_it_is_unpickled(
        self, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = save_model(model, tmp_path / "model.pkl", self.KEY)
        forge(path, path.read_bytes() + b"")
        forge(path, pickle.dumps({"anything": 1}))
        monkeypatch.setattr(artifacts, "loads", lambda *_: pytest.fail("it was opened"))
        with pytest.raises(ModelUntrusted):
            load_model(path, self.KEY)

    def test_the_rest_of_the_sidecar_is_signed_too(self, tmp_path: Path, model: Model) -> None:
        path = save_model(model, tmp_path / "model.pkl", self.KEY)
        beside = sidecar_path(path)
        beside.write_text(beside.read_text().replace('"inne"', '"else"'))
        with pytest.raises(ModelUntrusted):
            load_model(path, self.KEY)

    def test_the_key_comes_from_the_environment(
        self, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INLIER_SIGNING_KEY", "from the environment")
        path = save_model(model, tmp_path / "model.pkl")
        load_model(path)
        monkeypatch.setenv("INLIER_SIGNING_KEY", "another")
        with pytest.raises(ModelUntrusted):
            load_model(path)
        monkeypatch.setenv("INLIER_SIGNING_KEY", "")
        load_model(path)


def test_a_model_that_could_not_be_read_is_not_written(tmp_path: Path, model: Model) -> None:
    features, _ = clusters(seed=3)
    made = train("inne", features, parameters={"n_estimators": 8, "random_state": np.random.RandomState(0)})
    with pytest.raises(ModelFileError, match=r"cannot hold .*RandomState|cannot hold .*numpy"):
        save_model(made, tmp_path / "model.pkl")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_named(tmp_path: Path, model: Model) -> None:
    with pytest.raises(ModelFileError, match=r"missing/model\.pkl cannot be written"):
        save_model(model, tmp_path / "missing" / "model.pkl")


@pytest.fixture
def successor() -> Model:
    features, _ = clusters(seed=5)
    return train("inne", features, parameters={"n_estimators": 9}, seed=5)


@pytest.mark.parametrize("fatal", range(1, 4))
def test_a_crash_at_any_rename_leaves_a_model_that_opens(
    path: Path, successor: Model, monkeypatch: pytest.MonkeyPatch, fatal: int
) -> None:
    renames = 0
    replace = Path.replace

    def dies(source: Path, target: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames == fatal:
            raise KeyboardInterrupt
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        save_model(successor, path)
    monkeypatch.undo()
    assert load_model(path).seed == (3 if fatal <= 2 else 5)
    save_model(successor, path)
    assert load_model(path).seed == 5
    assert "replaces" not in json.loads(sidecar_path(path).read_text())


@pytest.mark.parametrize("fatal", [1, 2])
def test_a_crash_of_the_first_write_leaves_no_model(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch, fatal: int
) -> None:
    path = tmp_path / "model.pkl"
    renames = 0
    replace = Path.replace

    def dies(source: Path, target: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames == fatal:
            raise KeyboardInterrupt
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, path)
    monkeypatch.undo()
    with pytest.raises(ModelNotFound):
        load_model(path)


def test_readers_beside_a_writer_always_find_a_model(path: Path, model: Model, successor: Model) -> None:
    done = threading.Event()
    faults: list[BaseException] = []
    read: list[int | None] = []

    def reads() -> None:
        while not done.is_set():
            try:
                read.append(load_model(path).seed)
            except BaseException as error:  # noqa: BLE001 - handed to the test
                faults.append(error)

    readers = [threading.Thread(target=reads) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        while len(read) < 20:
            for written in (successor, model):
                save_model(written, path)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert faults == []
    assert set(read) <= {3, 5}


def test_bytes_alone_make_a_model(model: Model) -> None:
    data, sidecar = dump_model(model)
    assert parse_model(data, sidecar).n_rows == model.n_rows
    with pytest.raises(ModelDamaged, match="of a bucket"):
        parse_model(data[:-1], sidecar, name="of a bucket")


def test_another_process_reads_it(path: Path, model: Model) -> None:
    code = "import sys; from training.artifacts import load_model; print(load_model(sys.argv[1]).threshold)"
    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert float(found.stdout) == model.threshold
