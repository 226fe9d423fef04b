"""One suite over every storage, and what only one of them can get wrong."""

import io
import os
import threading
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import FileExists, FileMissing, InvalidPath, StorageError, StorageUnavailable
from training.storage import FolderStorage, MemoryStorage, Storage, check_key, open_storage, publish_all
from training.storage.folder import STAGING

REFUSED = {
    "": "empty",
    "/etc/passwd": "does not start with /",
    "..": "'..'",
    "../x": "'..'",
    "a/../../x": "'..'",
    "a/./x": "'.'",
    "a//x": "empty",
    "a/": "empty",
    "a\\x": "backslash",
    "..\\x": "backslash",
    "a/x\0.csv": "control character",
    "a/x\n": "control character",
    "a/\x7f": "control character",
    "a/\u2028x": "line break",
    "a/\ud800": "surrogate",
    "a/.hidden": "reserved",
    f"{STAGING}/x": "reserved",
    "a/" + "x" * 201: "200 bytes",
    "a/" + "é" * 101: "200 bytes",
    "a/" * 500 + "x": "800 bytes",
}


class TestKeys:
    @pytest.mark.parametrize(("key", "reason"), REFUSED.items(), ids=lambda text: ascii(text)[:20])
    def test_it_says_what_is_wrong(self, key: str, reason: str) -> None:
        with pytest.raises(InvalidPath, match=reason) as caught:
            check_key(key)
        assert caught.value.code == "invalid_path"
        assert len(str(caught.value)) < 300
        str(caught.value).encode()

    @pytest.mark.parametrize("key", ["x", "p/f/x.csv", "p/f/ä ö.csv", "p/f..x", "p/f/x..", "p/-f/~x", "p/f/%2e%2e"])
    def test_plain_paths_are_allowed(self, key: str) -> None:
        assert check_key(key) == key

    @given(st.text(max_size=30))
    def test_what_is_allowed_stays_below_the_root(self, key: str) -> None:
        try:
            check_key(key)
        except InvalidPath:
            return
        root = Path("/root/folder")
        assert Path(os.path.normpath(root / key)).is_relative_to(root)
        assert os.path.normpath(key) == key


@pytest.fixture(params=["folder", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(str(tmp_path / "root"))
    if request.param == "memory":
        return open_storage("memory:")
    return open_storage(f"s3://{request.getfixturevalue('bucket')}")


def put(storage: Storage, key: str, data: bytes = b"1", *, overwrite: bool = False) -> None:
    with storage.write(key, overwrite=overwrite) as stream:
        stream.write(data)


def read(storage: Storage, key: str) -> bytes:
    with storage.open(key) as stream:
        return stream.read()


class TestEveryStorage:
    def test_what_is_written_is_read(self, storage: Storage) -> None:
        put(storage, "p/f/x ä.csv", b"a,b\n1,2\n")
        assert read(storage, "p/f/x ä.csv") == b"a,b\n1,2\n"
        assert storage.size("p/f/x ä.csv") == 8
        assert storage.exists("p/f/x ä.csv")
        assert storage.entry("p/f/x ä.csv").modified > 1.7e9

    def test_an_empty_file(self, storage: Storage) -> None:
        put(storage, "empty", b"")
        assert read(storage, "empty") == b""
        assert storage.size("empty") == 0

    def test_a_file_of_many_parts(self, storage: Storage) -> None:
        data = os.urandom(1000) * 20_000
        with storage.write("p/f/large") as stream:
            for start in range(0, len(data), 3_000_000):
                stream.write(data[start : start + 3_000_000])
            assert stream.tell() == len(data)
        with storage.open("p/f/large") as stream:
            assert stream.read(10) == data[:10]
            assert stream.seek(-7, io.SEEK_END) == len(data) - 7
            assert stream.read() == data[-7:]
            assert stream.seek(9_000_000) == 9_000_000
            assert stream.read(9_000_000) == data[9_000_000:18_000_000]
            stream.seek(5, io.SEEK_CUR)
            assert stream.read(5) == data[18_000_005:18_000_010]
        assert read(storage, "p/f/large") == data

    def test_reading_past_the_end(self, storage: Storage) -> None:
        put(storage, "x", b"abc")
        with storage.open("x") as stream:
            stream.seek(100)
            assert stream.read() == b""
            assert stream.read(5) == b""

    def test_a_block_that_raises_publishes_nothing(self, storage: Storage) -> None:
        def write_half() -> None:
            with storage.write("p/f/x") as stream:
                stream.write(b"0" * 9_000_000)
                raise KeyError

        with pytest.raises(KeyError):
            write_half()
        assert not storage.exists("p/f/x")
        assert list(storage.list()) == []
        assert storage.sweep(-60) == 0

    def test_nothing_is_seen_before_it_is_published(self, storage: Storage) -> None:
        staged = storage.stage("p/f/x")
        staged.write(b"0" * 9_000_000)
        assert not storage.exists("p/f/x")
        assert list(storage.list()) == []
        staged.publish()
        assert storage.size("p/f/x") == 9_000_000

    def test_closing_keeps_what_was_written(self, storage: Storage) -> None:
        frame = pd.DataFrame({"a": [1.5, 2.5]})
        with storage.write("p/f/x.csv") as stream:
            frame.to_csv(stream, index=False)
        with storage.write("p/f/x.parquet") as stream:
            frame.to_parquet(stream)
        with storage.write("p/f/closed") as stream:
            stream.write(b"1")
            stream.close()
        assert read(storage, "p/f/closed") == b"1"
        with storage.open("p/f/x.csv") as source:
            assert pd.read_csv(source).equals(frame)
        with storage.open("p/f/x.parquet") as source:
            assert pd.read_parquet(source).equals(frame)

    @pytest.mark.parametrize("size", [3, 9_000_000])
    def test_a_name_that_is_taken_is_not_overwritten(self, storage: Storage, size: int) -> None:
        put(storage, "p/f/x", b"first")
        with pytest.raises(FileExists, match="p/f/x"):
            put(storage, "p/f/x", b"0" * size)
        assert read(storage, "p/f/x") == b"first"
        put(storage, "p/f/x", b"0" * size, overwrite=True)
        assert storage.size("p/f/x") == size

    def test_one_of_two_writers_at_once_is_refused(self, storage: Storage) -> None:
        staged = [storage.stage("p/f/x") for _ in range(8)]
        for number, file in enumerate(staged):
            file.write(b"%d" % number)
        barrier = threading.Barrier(len(staged))
        won: list[int] = []

        def publish(number: int) -> None:
            barrier.wait()
            try:
                staged[number].publish()
            except FileExists:
                staged[number].discard()
            else:
                won.append(number)

        threads = [threading.Thread(target=publish, args=(number,)) for number in range(len(staged))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert read(storage, "p/f/x") == b"%d" % won[0]

    def test_files_are_published_together_or_not_at_all(self, storage: Storage) -> None:
        put(storage, "out/b", b"taken")
        staged = [storage.stage(key) for key in ("out/a", "out/b", "out/c")]
        for file in staged:
            file.write(b"new")
        with pytest.raises(FileExists):
            publish_all(storage, staged)
        assert [entry.key for entry in storage.list()] == ["out/b"]
        assert read(storage, "out/b") == b"taken"
        storage.delete("out/b")
        staged = [storage.stage(key) for key in ("out/a", "out/b", "out/c")]
        publish_all(storage, staged)
        assert [entry.key for entry in storage.list("out")] == ["out/a", "out/b", "out/c"]

    def test_a_list_is_in_the_order_of_keys(self, storage: Storage) -> None:
        keys = ["a", "b/c", "b-d", "b/c-e", "b/d/e", "bb/x", "z"]
        for number, key in enumerate(keys):
            put(storage, key, b"0" * number)
        assert [entry.key for entry in storage.list()] == sorted(keys)
        assert {entry.key: entry.size for entry in storage.list()} == {key: number for number, key in enumerate(keys)}
        assert [entry.key for entry in storage.list("b")] == ["b/c", "b/c-e", "b/d/e"]
        assert list(storage.list("no")) == []
        assert list(storage.list("a")) == []

    @pytest.mark.parametrize("key", ["p/" + "x" * 201, ".checkpoints/x"], ids=["long", "hidden"])
    def test_a_list_is_without_names_that_are_no_keys(self, storage: Storage, key: str) -> None:
        put(storage, "p/x")
        storage._stage(key).publish()
        assert [entry.key for entry in storage.list()] == ["p/x"]

    def test_deleting(self, storage: Storage) -> None:
        put(storage, "p/f/x")
        storage.delete("p/f/x")
        assert not storage.exists("p/f/x")
        with pytest.raises(FileMissing, match="p/f/x"):
            storage.delete("p/f/x")
        put(storage, "p/f/x", b"2")
        assert read(storage, "p/f/x") == b"2"

    def test_what_is_known_of_an_open_file(self, storage: Storage) -> None:
        put(storage, "p/f/x", b"first")
        before = storage.entry("p/f/x")
        entry, file = storage.open_entry("p/f/x")
        with file:
            assert entry == before
            assert file.read() == b"first"

    def test_a_file_that_is_not_there(self, storage: Storage) -> None:
        put(storage, "p/f/x/y")
        for key in ("no", "p/no/x", "p/f/x"):
            assert not storage.exists(key)
            for attempt in (storage.open, storage.open_entry, storage.size, storage.delete, storage.resolve):
                with pytest.raises(FileMissing, match=key) as caught:
                    attempt(key)
                assert caught.value.code == "file_not_found"
        assert not storage.exists("p/f/x/y/z")

    def test_a_name_without_its_suffix(self, storage: Storage) -> None:
        put(storage, "p/f/x.csv")
        put(storage, "p/f/y.parquet")
        assert storage.resolve("p/f/x") == "p/f/x.csv"
        assert storage.resolve("p/f/x.csv") == "p/f/x.csv"
        assert storage.resolve("p/f/y") == "p/f/y.parquet"
        put(storage, "p/f/x.parquet")
        with pytest.raises(InvalidPath, match=r"x\.csv' and 'p/f/x\.parquet"):
            storage.resolve("p/f/x")
        put(storage, "p/f/x")
        assert storage.resolve("p/f/x") == "p/f/x"
        with pytest.raises(FileMissing, match=r"no such file, nor with \.csv, nor with \.parquet"):
            storage.resolve("p/f/z")

    @pytest.mark.parametrize("key", REFUSED, ids=lambda text: ascii(text)[:20])
    def test_every_method_checks_its_key(self, storage: Storage, key: str) -> None:
        methods = (storage.open, storage.stage, storage.entry, storage.exists, storage.delete, storage.resolve)
        for method in methods:
            with pytest.raises(InvalidPath):
                method(key)
        if key:
            with pytest.raises(InvalidPath):
                list(storage.list(key))

    def test_what_a_killed_process_left_is_swept(self, storage: Storage) -> None:
        staged = storage.stage("p/f/x")
        staged.write(b"0" * 9_000_000)
        assert storage.sweep(3600) == 0
        swept = storage.sweep(-3600)
        assert swept == (0 if isinstance(storage, MemoryStorage) else 1)
        assert storage.sweep(-3600) == 0
        if not isinstance(storage, MemoryStorage):
            with pytest.raises(FileMissing):
                staged.publish()
        staged.discard()
        assert not storage.exists("p/f/x")


class TestFolder:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "root"

    @pytest.fixture
    def folder(self, root: Path) -> FolderStorage:
        return FolderStorage(root)

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "secret").write_text("secret")
        return tmp_path / "outside"

    def test_a_symbolic_link_to_a_file_is_refused(self, folder: FolderStorage, root: Path, outside: Path) -> None:
        (root / "link").symlink_to(outside / "secret")
        for attempt in (folder.open, folder.entry, folder.delete, folder.resolve):
            with pytest.raises(InvalidPath, match="symbolic link"):
                attempt("link")
        assert list(folder.list()) == []
        put(folder, "link", b"new", overwrite=True)
        assert (outside / "secret").read_text() == "secret"

    def test_a_symbolic_link_to_a_folder_is_refused(self, folder: FolderStorage, root: Path, outside: Path) -> None:
        (root / "link").symlink_to(outside)
        for attempt in (folder.open, folder.entry, folder.delete):
            with pytest.raises(InvalidPath, match="symbolic link"):
                attempt("link/secret")
        with pytest.raises(InvalidPath, match="symbolic link"):
            list(folder.list("link"))
        with pytest.raises(InvalidPath, match="symbolic link"):
            put(folder, "link/new")
        with pytest.raises(InvalidPath, match="symbolic link"):
            put(folder, "link/deeper/new")
        assert list(folder.list()) == []
        assert sorted(path.name for path in outside.iterdir()) == ["secret"]

    def test_a_file_deleted_while_its_folder_is_listed(
        self, folder: FolderStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for key in ("p/a", "p/b", "p/c"):
            put(folder, key)
        scan = os.scandir

        def delete_b(directory: int) -> list[os.DirEntry[str]]:
            found = list(scan(directory))
            if any(entry.name == "b" for entry in found):
                folder.delete("p/b")
            return found

        monkeypatch.setattr(os, "scandir", delete_b)
        assert [entry.key for entry in folder.list("p")] == ["p/a", "p/c"]

    def test_the_root_itself_may_be_a_link(self, folder: FolderStorage, root: Path, tmp_path: Path) -> None:
        (tmp_path / "alias").symlink_to(root)
        put(folder, "p/x")
        assert FolderStorage(tmp_path / "alias").exists("p/x")

    def test_a_named_pipe_is_no_file(self, folder: FolderStorage, root: Path) -> None:
        os.mkfifo(root / "pipe")
        with pytest.raises(FileMissing, match="not a file"):
            folder.open("pipe")
        assert not folder.exists("pipe")

    def test_a_name_that_is_no_text_is_not_listed(self, folder: FolderStorage, root: Path) -> None:
        put(folder, "p/x")
        (root / os.fsdecode(b"p/\xff.csv")).touch()
        (root / os.fsdecode(b"\xff")).mkdir()
        (root / os.fsdecode(b"\xff/x")).touch()
        assert [entry.key for entry in folder.list()] == ["p/x"]

    def test_a_file_where_a_folder_should_be(self, folder: FolderStorage) -> None:
        put(folder, "p/x")
        with pytest.raises(InvalidPath, match="a name on the way is a file"):
            put(folder, "p/x/y")
        with pytest.raises(StorageError):
            put(folder, "p", overwrite=True)
        assert [entry.key for entry in folder.list()] == ["p/x"]
        assert list((folder.root / STAGING).iterdir()) == []

    def test_a_root_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(StorageError, match="file"):
            FolderStorage(tmp_path / "file")

    def test_files_get_the_permissions_of_the_process(self, folder: FolderStorage, root: Path) -> None:
        put(folder, "x")
        mask = os.umask(0o022)
        os.umask(mask)
        assert (root / "x").stat().st_mode & 0o777 == 0o666 & ~mask


class TestS3:
    def test_a_file_replaced_while_it_is_read_is_noticed(self, bucket: str) -> None:
        storage = open_storage(f"s3://{bucket}")
        put(storage, "x", b"1" * 20_000_000)
        with storage.open("x") as stream:
            stream.read(5)
            put(storage, "x", b"2" * 20_000_000, overwrite=True)
            with pytest.raises(StorageError):
                stream.read()

    def test_a_bucket_that_is_not_there(self, bucket: str) -> None:
        storage = open_storage("s3://no-such-bucket-here")
        with pytest.raises(StorageError):
            storage.open("x")
        with pytest.raises(StorageUnavailable):
            list(storage.list())

    def test_wrong_credentials(self, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        storage = open_storage(f"s3://{bucket}")
        with pytest.raises(StorageUnavailable, match="x"):
            storage.exists("x")

    def test_a_server_that_is_not_there(self, bucket: str) -> None:
        storage = open_storage(f"s3://{bucket}", endpoint_url="http://127.0.0.1:1")
        with pytest.raises(StorageUnavailable, match=r"127\.0\.0\.1:1"):
            storage.exists("x")


@pytest.mark.parametrize("url", ["http://host/bucket", "s3://", "file:///tmp/x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(StorageUnavailable, match="s3://bucket/prefix"):
        open_storage(url)
