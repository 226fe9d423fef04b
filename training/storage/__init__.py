"""Where files are kept: a folder, an S3 bucket, or memory, behind one small class.

A key is a path relative to the root, ``<project>/<file>/<name>``. Nothing is ever seen half-written: a file is staged
first and published in one step, and what is published under a new name overwrites nothing.
"""

from urllib.parse import urlsplit

from training.errors import StorageUnavailable
from training.storage.base import Entry, Storage, publish_all
from training.storage.folder import FolderStorage
from training.storage.keys import check_key
from training.storage.memory import MemoryStorage
from training.storage.staged import StagedFile

__all__ = [
    "Entry",
    "FolderStorage",
    "MemoryStorage",
    "StagedFile",
    "Storage",
    "check_key",
    "open_storage",
    "publish_all",
]


def open_storage(url: str, endpoint_url: str | None = None, region: str | None = None) -> Storage:
    """The storage that a setting names.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``, ``memory:``, or the path of a folder, which is made if it is not there.
    endpoint_url : str or None
        Of a server that speaks S3 but is not Amazon's. None is boto3's choice (``AWS_ENDPOINT_URL_S3``).
    region : str or None
        None is boto3's choice (``AWS_DEFAULT_REGION``).

    Returns
    -------
    Storage
        Credentials of a bucket are found by boto3's own rules.

    Raises
    ------
    StorageUnavailable
        For a URL of another scheme, or without a bucket.
    """
    if url == "memory:":
        return MemoryStorage()
    if "://" not in url:
        return FolderStorage(url)
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise StorageUnavailable(
            f"storage is a folder, memory: or s3://bucket/prefix, not {parts.scheme}://{parts.netloc}"
        )
    try:
        from training.storage.s3 import S3Storage
    except ModuleNotFoundError as error:
        raise StorageUnavailable(f"s3:// needs {error.name}, which is not installed; install inlier[s3]") from error
    return S3Storage(parts.netloc, parts.path.strip("/"), endpoint_url=endpoint_url, region=region)
