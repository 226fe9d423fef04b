"""Files of an S3 bucket, or of any server that speaks its protocol."""

import contextlib
import datetime as dt
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from training.errors import FileExists, FileMissing, StorageUnavailable
from training.storage.base import Entry, Storage
from training.storage.keys import shown
from training.storage.staged import StagedFile

PART_BYTES = 8 * 2**20
"""Of an upload or a read ahead. S3 takes 10,000 parts, the last of any size, the others of at least 5 MiB."""

_MISSING = {"404", "NoSuchKey", "NoSuchUpload", "NotFound"}
_TAKEN = {"412", "PreconditionFailed", "ConditionalRequestConflict"}


class S3Storage(Storage):
    """Files of a bucket below a prefix.

    Parameters
    ----------
    bucket : str
        It must exist.
    prefix : str
        Before every key, without slashes at its ends.
    endpoint_url, region : str or None
        None is boto3's choice, from its own environment variables and files, as are the credentials.
    """

    def __init__(
        self, bucket: str, prefix: str = "", endpoint_url: str | None = None, region: str | None = None
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 4},
            request_checksum_calculation="when_required",  # servers other than Amazon's refuse the newer checksums
            response_checksum_validation="when_required",
        )
        with _as_storage_error(bucket):
            self.client: Any = boto3.session.Session().client(
                "s3", endpoint_url=endpoint_url, region_name=region, config=config
            )

    def sweep(self, older_than: float) -> int:
        """Abort uploads whose process was killed.

        Parameters
        ----------
        older_than : float
            Seconds since they were begun.

        Returns
        -------
        int
            How many were aborted.
        """
        before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=older_than)
        with _as_storage_error(self.prefix):
            pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=self.prefix)
            stale = [upload for page in pages for upload in page.get("Uploads", ()) if upload["Initiated"] < before]
            for upload in stale:
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        return len(stale)

    def _name(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + key}

    def _head(self, key: str) -> dict[str, Any]:
        with _as_storage_error(key):
            return self.client.head_object(**self._name(key))  # type: ignore[no-any-return]

    def _open(self, key: str) -> tuple[Entry, BinaryIO]:
        head = self._head(key)
        reader = _ObjectReader(self, key, head["ContentLength"], head["ETag"])
        return _entry(key, head), io.BufferedReader(reader, PART_BYTES)

    def _stage(self, key: str) -> StagedFile:
        return _StagedInBucket(self, key)

    def _entry(self, key: str) -> Entry:
        return _entry(key, self._head(key))

    def _list(self, folder: str) -> Iterator[Entry]:
        inside = self.prefix + (f"{folder}/" if folder else "")
        with _as_storage_error(folder):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=inside)
            found = [
                Entry(item["Key"].removeprefix(self.prefix), item["Size"], item["LastModified"].timestamp())
                for page in pages
                for item in page.get("Contents", ())
                if not item["Key"].endswith("/")  # what consoles make for an empty folder
            ]
        return iter(sorted(found, key=lambda entry: entry.key))  # servers differ in where "/" comes

    def _delete(self, key: str) -> None:
        self._head(key)  # S3 itself answers that it has deleted what was never there
        with _as_storage_error(key):
            self.client.delete_object(**self._name(key))


def _entry(key: str, head: dict[str, Any]) -> Entry:
    return Entry(key, head["ContentLength"], head["LastModified"].timestamp())


class _ObjectReader(io.RawIOBase):
    """Ranges of one version of an object, as they are asked for."""

    def __init__(self, storage: S3Storage, key: str, size: int, etag: str) -> None:
        self._storage = storage
        self._key = key
        self._size = size
        self._etag = etag
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"{shown(self._key)}: {start + offset} is before the beginning of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._get(min(self._size, self._position + len(view)))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._get(self._size)

    def _get(self, end: int) -> bytes:
        if self._position >= end:
            return b""
        with _as_storage_error(self._key):
            answer = self._storage.client.get_object(
                **self._storage._name(self._key), Range=f"bytes={self._position}-{end - 1}", IfMatch=self._etag
            )
            data: bytes = answer["Body"].read()
        if len(data) != end - self._position:
            raise StorageUnavailable(f"{shown(self._key)}: {len(data)} bytes came of {end - self._position}")
        self._position = end
        return data


class _StagedInBucket(StagedFile):
    """Up to one part stays in memory; more is an upload in parts, which nobody sees until it is completed."""

    def __init__(self, storage: S3Storage, key: str) -> None:
        super().__init__(key)
        self._client = storage.client
        self._name = storage._name(key)
        self._buffer = bytearray()
        self._upload: dict[str, str] | None = None
        self._parts: list[dict[str, Any]] = []

    def _append(self, data: Any) -> None:
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            part = bytes(memoryview(self._buffer)[:PART_BYTES])
            del self._buffer[:PART_BYTES]
            self._send(part)

    def _send(self, part: bytes) -> None:
        number = len(self._parts) + 1
        with _as_storage_error(self.key):
            if self._upload is None:
                self._upload = {"UploadId": self._client.create_multipart_upload(**self._name)["UploadId"]}
            answer = self._client.upload_part(**self._name, **self._upload, PartNumber=number, Body=part)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def _publish(self, overwrite: bool) -> None:
        condition = {} if overwrite else {"IfNoneMatch": "*"}
        if not overwrite and self._taken():  # some servers don't look at the condition
            raise FileExists(f"{shown(self.key)}: there is such a file already")
        if self._upload is None:
            with _as_storage_error(self.key):
                self._client.put_object(**self._name, Body=bytes(self._buffer), **condition)
            return
        if self._buffer:
            self._send(bytes(self._buffer))
            self._buffer.clear()
        with _as_storage_error(self.key):
            self._client.complete_multipart_upload(
                **self._name, **self._upload, MultipartUpload={"Parts": self._parts}, **condition
            )

    def _taken(self) -> bool:
        try:
            with _as_storage_error(self.key):
                self._client.head_object(**self._name)
        except FileMissing:
            return False
        return True

    def _discard(self) -> None:
        self._buffer.clear()
        if self._upload is not None:
            # It may have been swept.
            with contextlib.suppress(FileMissing), _as_storage_error(self.key):
                self._client.abort_multipart_upload(**self._name, **self._upload)


@contextlib.contextmanager
def _as_storage_error(key: str) -> Iterator[None]:
    """Say what an answer of the server means for a key."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        if code in _MISSING:
            raise FileMissing(f"{shown(key)}: no such file") from error
        if code in _TAKEN:
            raise FileExists(f"{shown(key)}: it was written by another at the same time") from error
        raise StorageUnavailable(f"{shown(key)}: {error}") from error
    except BotoCoreError as error:
        raise StorageUnavailable(f"{shown(key)}: {error}") from error
