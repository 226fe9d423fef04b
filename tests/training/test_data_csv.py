"""CSV files: what is read, and what is said of what is not."""

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data import read_features, read_labels
from training.errors import DataError


@pytest.fixture
def write(tmp_path: Path):
    def to_file(content: str | bytes, name: str = "data.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to_file


def fault(path: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read_features(path, **options)
    assert caught.value.file == str(path)
    assert str(path) in str(caught.value)
    return caught.value


def test_numbers_are_read_as_the_nearest_floats(write) -> None:
    texts = [
        "0.1",
        "-1e-300",
        "5e-324",
        "1.7976931348623157e308",
        "123456789.12345678",
        "0.30000000000000004",
        "7",
        "+3.",
    ]
    features = read_features(write("a,b\n" + "\n".join(f"{text},{text}" for text in texts) + "\n"))
    assert features.names == ("a", "b")
    assert features.values.dtype == np.float64
    assert features.values.flags.c_contiguous
    assert features.values[:, 0].tolist() == [float(text) for text in texts]
    assert features.times is None
    assert len(features) == len(texts)


def test_random_bits_survive(write) -> None:
    bits = np.random.RandomState(0).bytes(8 * 4000)
    values = np.frombuffer(bits, np.float64)
    values = values[np.isfinite(values)]
    features = read_features(write("a\n" + "\n".join(map(repr, values.tolist()))))
    assert (features.values[:, 0].view(np.int64) == values.view(np.int64)).all()


def test_many_blocks_are_one_array(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.csv_files._BLOCK_VALUES", 30)
    values = np.arange(300.0).reshape(100, 3)
    path = write(pd.DataFrame(values, columns=list("abc")).to_csv(index=False))
    features = read_features(path)
    assert (features.values == values).all()
    assert features.values.flags.c_contiguous
    path.write_text(path.read_text().replace("226.0", "text"))
    assert (fault(path).row, fault(path).column) == (77, "b")


@pytest.mark.parametrize(
    "content",
    [
        "a,b\r\n1,2\r\n3,4\r\n",
        "a,b\n1,2\n3,4",
        "\ufeffa,b\n1,2\n3,4\n",
        "\n\na,b\n\n1,2\n\n\n3,4\n\n",
        "a,b\n  \n1,2\n3,4\n   ",
        '"a","b"\n"1","2"\n"3","4"\n',
        " a , b \n 1, 2\n3 ,4 \n",
        "a,b\n1e0,2E+0\n3.0,.4e1\n",
        "a,b\n1,2,\n3,4,\n",
    ],
    ids=["CRLF", "no end", "BOM", "blank lines", "spaces", "quotes", "padding", "exponents", "empty extra cells"],
)
def test_ways_to_write_the_same(write, content: str) -> None:
    features = read_features(write(content))
    assert features.names == ("a", "b")
    assert features.values.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_names_may_have_commas_and_other_letters(write) -> None:
    assert read_features(write('"a, b",é\n1,2\n')).names == ("a, b", "é")


WRONG = {
    "text": ("a,b\n1,2\n3,x\n", 3, "b", "'x' is no number"),
    "text after blank lines": ("\na,b\n\n1,2\n\n\n3,x\n", 7, "b", "'x' is no number"),
    "long text": ("a\n" + "x" * 100, 2, "a", "xxx...'"),
    "true": ("a,b\n1,2\nTrue,4\n", 3, "a", "'True' is no number"),
    "hexadecimal": ("a\n0x10\n", 2, "a", "'0x10' is no number"),
    "underscores": ("a\n1_000\n", 2, "a", "'1_000' is no number"),
    "other digits": ("a\n٣\n", 2, "a", "is no number"),
    "percent": ("a\n10%\n", 2, "a", "'10%' is no number"),
    "infinity": ("a,b\n1,2\n3,inf\n", 3, "b", "'inf' is infinite"),
    "minus infinity": ("a,b\n1,2\n3,-Infinity\n", 3, "b", "'-Infinity' is infinite"),
    "too large": ("a,b\n1,2\n3,1e400\n", 3, "b", "'1e400' is too large"),
    "missing": ("a,b\n1,2\n,4\n", 3, "a", "the value is missing"),
    "NaN": ("a,b\n1,2\n3,NaN\n", 3, "b", "the value is missing"),
    "null": ("a,b\n1,2\n3,null\n", 3, "b", "the value is missing"),
    "a decimal comma": ('a,b\n1,2\n"3,5",4\n', 3, "a", "decimals are written with a point"),
    "unquoted decimal commas": ("a,b\n1,5,2,5\n", 2, None, "if commas are decimal signs, write points"),
    "a date": ("a,b\n1,2\n3,2024-05-01\n", 3, "b", "is a date"),
    "a row that is too long": ("a,b\n1,2\n3,4,5\n", 3, None, "3 cells where the header has 2"),
    "a row that is much too long": ("a,b\n1,2\n3,4,5,6,7\n", 3, None, "5 cells where the header has 2"),
    "every row too long": ("a,b\n1,2,3\n4,5,6\n", 2, None, "3 cells where the header has 2"),
    "a row that is too short": ("a,b\n1,2\n3\n", 3, None, "1 cells where the header has 2"),
    "semicolons in rows": ("a,b\n1;2\n", 2, None, "if semicolons separate them"),
    "a newline inside quotes": ('a,b\n1,2\n"3\n",x\n', 4, "b", "'x' is no number"),
    "an open quote": ('a,b\n1,2\n"3,4\n5,6\n', 4, None, "not CSV"),
    "duplicate names": ("a,b,a\n1,2,3\n", 1, "a", "more than one column of this name"),
    "duplicate names after stripping": ("a,b, a\n1,2,3\n", 1, "a", "more than one column of this name"),
    "an index": (",a\n0,1\n", 1, None, "write it with index=False"),
    "a name that is missing": ("a,,b\n0,1,2\n", 1, None, "column 2 has no name"),
    "no header": ("1,2\n3,4\n", None, None, "the first row should name the columns"),
    "no header before dates": ("2024-05-01 12:00:00,1.5\n", None, None, "the first row should name the columns"),
    "semicolons": ("a;b\n1;2\n", None, None, "separated by semicolons"),
    "tabs": ("a\tb\n1\t2\n", None, None, "separated by tabs"),
    "nothing": ("", None, None, "it is empty"),
    "blank lines alone": ("\n\n  \n", None, None, "it is empty"),
    "a header alone": ("a,b\n", None, None, "no rows of numbers"),
    "a header and blank lines": ("a,b\n\n\n", None, None, "no rows of numbers"),
}


@pytest.mark.parametrize(("content", "row", "column", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(write, content: str, row: int | None, column: str | None, message: str) -> None:
    error = fault(write(content))
    assert message in str(error)
    assert (error.row, error.column) == (row, column)


BYTES = {
    "Latin-1": ("a,b\n1,2\n3,é\n".encode("latin-1"), 3, "not UTF-8 text (byte 0xe9)"),
    "Latin-1 in the header": ("é,b\n1,2\n".encode("latin-1"), 1, "not UTF-8 text"),
    "Latin-1 far down": (b"a\n" + b"1\n" * 400_000 + b"\xe9\n", 400_002, "not UTF-8 text"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), None, "UTF-16"),
    "UTF-16 without a mark": ("a,b\n1,2\n".encode("utf-16-le"), 1, "zero byte"),
    "a zero byte": (b"a,b\n1,2\n1\x002,3\n", 3, "zero byte"),
    "gzip": (gzip.compress(b"a,b\n1,2\n"), None, "compressed (gzip)"),
    "zip": (b"PK\x03\x04rest", None, "compressed (zip"),
    "bzip2": (b"BZh91AY", None, "compressed (bzip2)"),
    "xz": (b"\xfd7zXZ\x00rest", None, "compressed (xz)"),
    "zstd": (b"\x28\xb5\x2f\xfdrest", None, "compressed (zstd)"),
    "a pickle": (b"\x80\x05\x95\x00\x00", 1, "zero byte"),
    "carriage returns": (b"a,b\r1,2\r3,4\r", 1, "not CSV"),
}


@pytest.mark.parametrize(("content", "row", "message"), BYTES.values(), ids=BYTES)
def test_what_is_no_utf8_text_is_named(write, content: bytes, row: int | None, message: str) -> None:
    error = fault(write(content))
    assert message in str(error)
    assert error.row == row


def test_a_compressed_file_is_not_unpacked_by_its_name(write) -> None:
    assert read_features(write("a\n1\n", "data.csv.gz")).values.tolist() == [[1.0]]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/data.csv", "file:///etc/passwd", "s3://bucket/data.csv"])
def test_addresses_are_not_opened(address: str) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_features(address)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "there is no such file" in str(fault(tmp_path / "nothing.csv"))
    assert "cannot be read" in str(fault(tmp_path))


def test_limits(write) -> None:
    path = write("a,b,c\n" + "1,2,3\n" * 10)
    assert len(read_features(path, max_rows=10, max_columns=3)) == 10
    assert "more than 9 rows" in str(fault(path, max_rows=9))
    assert "3 columns, at most 2" in str(fault(path, max_columns=2))


def test_an_endless_header_is_refused(write) -> None:
    assert "a line of more than" in str(fault(write(b"a," * 3_000_000)))


def test_a_field_of_a_megabyte_is_named(write) -> None:
    assert fault(write("a,b\n1,2\n3," + "9" * 1_000_000 + "\n")).row == 3


def test_streams_are_read_from_where_they_are() -> None:
    stream = io.BytesIO(b"skipped a,b\n1,2\n")
    stream.seek(8)
    assert read_features(stream).values.tolist() == [[1.0, 2.0]]
    with pytest.raises(DataError, match=r"upload\.csv, row 3, column 'b': 'x' is no number"):
        read_features(io.BytesIO(b"a,b\n1,2\n3,x\n"), name="upload.csv")
    with pytest.raises(DataError, match=r"^the file: it is empty"):
        read_features(io.BytesIO(b""))


def test_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen([sys.executable, "-c", "import sys; open(sys.argv[1], 'w').write('a,b\\n1,2\\n')", pipe]):
        assert read_features(pipe).values.tolist() == [[1.0, 2.0]]


class TestSeries:
    def test_values_may_be_missing(self, write) -> None:
        features = read_features(write("Time,a,b\n2024-01-01,1,\n2024-01-02,NA,2\n"), missing=True)
        assert features.names == ("a", "b")
        assert np.array_equal(features.values, [[1.0, np.nan], [np.nan, 2.0]], equal_nan=True)

    @pytest.mark.parametrize("row", ["2024-01-02,1", "2024-01-02", "2024-01-02,inf,1", "2024-01-02,x,1"])
    def test_cells_may_not(self, write, row: str) -> None:
        path = write(f"Time,a,b\n2024-01-01,1,\n{row}\n")
        assert fault(path, missing=True).row == 3

    def test_times_are_kept_beside(self, write) -> None:
        features = read_features(write("Timestamp,value\n2024-01-01 00:00:00,1\n2024-01-01 00:05:00.5,2\n"))
        assert features.names == ("value",)
        assert features.time_name == "Timestamp"
        assert features.time_unit == "iso"
        assert features.times.tolist() == np.array(["2024-01-01", "2024-01-01T00:05:00.5"], "M8[ns]").tolist()
        assert features.times.dtype == "datetime64[ns]"

    def test_a_first_column_of_dates_is_time_whatever_its_name(self, write) -> None:
        assert read_features(write("when,value\n2024-01-01,1\n"), time="required").time_name == "when"

    def test_without_a_time_column(self, write) -> None:
        path = write("a,b\n1,2\n")
        assert read_features(path).names == ("a", "b")
        assert "there is no Time column" in str(fault(path, time="required"))

    def test_no_time_column_wanted(self, write) -> None:
        assert read_features(write("time,b\n1,2\n"), time="none").names == ("time", "b")

    def test_nothing_beside_the_time(self, write) -> None:
        assert "nothing beside the time" in str(fault(write("time\n2024-01-01\n")))

    @pytest.mark.parametrize(
        ("cells", "message"),
        [
            (["2024-01-01", ""], "the time is missing"),
            (["2024-01-01", "NaT"], "the time is missing"),
            (["2024-01-01T00:00Z", ""], "the time is missing"),
            (["2024-01-01T00:00Z", "NaT"], "the time is missing"),
            (["2024-01-01", "yesterday"], "'yesterday' is no time such as"),
            (["2024-01-01", "now"], "'now' is no time such as"),
            (["2024-01-01", "today"], "'today' is no time such as"),
            (["2024-05-01", "2024-W18-3"], "'2024-W18-3' is no time such as"),
            (["2024-05-01", "2024-05-01x12:00"], "'2024-05-01x12:00' is no time such as"),
            (["2024-01-01", "2024-13-01"], "'2024-13-01' is no time"),
            (["2024-01-01", "01/02/2024"], "is no time"),
            (["2024-01-01", "0001-01-01"], "out of the years 1678 to 2261"),
            (["2024-01-01", "2300-01-01"], "out of the years 1678 to 2261"),
            (["2024-01-01T00:00", "2024-01-01T00:00Z"], "has a time zone, the first time has none"),
            (["2024-01-01T00:00Z", "2024-01-01T00:00"], "has no time zone, the first time has one"),
            (["1727161197", "2024-01-01"], "is no number, as the first time is"),
            (["1727161197", ""], "the time is missing"),
            (["1727161197", "inf"], "is no number"),
        ],
    )
    def test_wrong_times_are_named(self, write, cells: list[str], message: str) -> None:
        error = fault(write("Time,a\n" + "".join(f"{cell},1\n" for cell in cells)))
        assert message in str(error)
        assert (error.row, error.column) == (3, "Time")

    def test_a_comma_before_the_fraction_is_a_point(self, write) -> None:
        features = read_features(write('time,a\n"2024-05-01T12:00:00,5",1\n"2024-05-01 12:00:00,75",2\n'))
        assert features.times.astype("M8[ms]").astype(str).tolist() == [
            "2024-05-01T12:00:00.500",
            "2024-05-01T12:00:00.750",
        ]

    def test_zones_become_utc(self, write) -> None:
        features = read_features(write("time,a\n2024-05-01T12:00:00+02:00,1\n2024-05-01 12:00:00Z,2\n"))
        assert features.times.astype("M8[h]").astype(str).tolist() == ["2024-05-01T10", "2024-05-01T12"]
        assert features.time_unit == "iso-utc"

    @pytest.mark.parametrize(
        ("cell", "unit"),
        [("1727161197", "s"), ("1727161197000", "ms"), ("1727161197000000", "us"), ("1.727161197e9", "s")],
    )
    def test_numbers_count_from_1970(self, write, cell: str, unit: str) -> None:
        features = read_features(write(f"ts,a\n{cell},1\n"))
        assert features.times.tolist() == [1727161197 * 10**9]
        assert features.time_unit == unit

    def test_nanoseconds_are_exact(self, write) -> None:
        assert read_features(write("ts,a\n1727161197123456789,1\n")).times.tolist() == [1727161197123456789]


class TestLabels:
    def test_zeros_and_ones(self, write) -> None:
        labels = read_labels(write("label\n0\n1\n1.0\n0.0\n"), n_rows=4)
        assert labels.tolist() == [0, 1, 1, 0]
        assert labels.dtype == np.int64

    @pytest.mark.parametrize("label", ["2", "-1", "0.5", "1e400", "yes", "True", '""', "1;0"])
    def test_others_are_named(self, write, label: str) -> None:
        with pytest.raises(DataError) as caught:
            read_labels(write(f"label\n0\n\n{label}\n"))
        assert (caught.value.row, caught.value.column) == (4, "label")

    def test_one_column(self, write) -> None:
        with pytest.raises(DataError, match="a label file has one column, this one has 2: a, b"):
            read_labels(write("a,b\n0,1\n"))

    def test_as_many_as_rows(self, write) -> None:
        with pytest.raises(DataError, match=r"labels\.csv: it has 2 labels, features\.csv has 3 rows"):
            read_labels(write("label\n0\n1\n", "labels.csv"), name="labels.csv", n_rows=3, rows_of="features.csv")

    def test_no_header(self, write) -> None:
        with pytest.raises(DataError, match="the first row should name the columns"):
            read_labels(write("0\n1\n"))
