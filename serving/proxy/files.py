"""Files of the storage: a CSV in, a result out. A file is put whole or not at all.

=========  ===============  ==========================================================================================
GET        /files           ``{"files": [{"path", "size", "modified"}]}``; ?folder, ?limit, ?after
GET, HEAD  /files/<path>    its bytes; ranges and conditions as HTTP has them
PUT        /files/<path>    the body becomes the file: 201, or 200 when there was one
DELETE     /files/<path>    204
=========  ===============  ==========================================================================================
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, BinaryIO

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import wrap_file

from serving.errors import BodyTooLarge, NotFound, RequestError, UpstreamDown
from serving.proxy.answers import answer
from serving.proxy.requests import check_length, number, parameter, refuse_other_parameters
from serving.settings import StorageSettings
from training.errors import FileMissing, InvalidPath, StorageError
from training.storage import Entry, Storage

CHUNK = 256 * 1024
MAX_LISTED = 1000
TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
}


@contextmanager
def as_answers() -> Iterator[None]:
    """Say what a fault of the storage means to whoever asked."""
    try:
        yield
    except FileMissing as error:
        raise NotFound(str(error)) from None
    except InvalidPath as error:
        raise RequestError(str(error)) from None
    except StorageError as error:
        raise UpstreamDown(f"the storage does not do it: {error}") from error


def show(entry: Entry) -> dict[str, Any]:
    """Return what can be told of a file."""
    return {"path": entry.key, "size": entry.size, "modified": datetime.fromtimestamp(entry.modified, UTC)}


def listed(entries: Iterator[Entry]) -> list[Entry]:
    """Return the page that the parameters ``limit`` and ``after`` ask for."""
    limit = number("limit", 100, MAX_LISTED)
    after = parameter("after", required=False)
    return list(islice((entry for entry in entries if after is None or entry.key > after), limit))


def blueprint(storage: Storage, settings: StorageSettings) -> Blueprint:
    """Return the API of files."""
    routes = Blueprint("files", __name__, url_prefix="/files")

    @routes.get("", strict_slashes=False)
    def list_files() -> Response:
        refuse_other_parameters("folder", "limit", "after")
        with as_answers():
            folder = parameter("folder", required=False)
            return answer({"files": [show(entry) for entry in listed(storage.list(folder or ""))]})

    @routes.get("/<path:path>")
    def get_file(path: str) -> Response:
        refuse_other_parameters()
        with as_answers():
            return _download(*storage.open_entry(path))

    @routes.put("/<path:path>")
    def put_file(path: str) -> Response:
        refuse_other_parameters()
        with as_answers():
            known = storage.exists(path)
            try:
                _upload(storage, path, settings.max_file_bytes)
            except RequestEntityTooLarge:
                raise BodyTooLarge(f"a file has at most {settings.max_file_bytes} bytes") from None
            return answer(show(storage.entry(path)), 200 if known else 201)

    @routes.delete("/<path:path>")
    def delete_file(path: str) -> Response:
        refuse_other_parameters()
        with as_answers():
            storage.delete(path)
        return Response(status=204)

    return routes


def _upload(storage: Storage, path: str, max_bytes: int) -> None:
    request.max_content_length = max_bytes + 1  # werkzeug refuses what reaches it
    with storage.write(path, overwrite=True) as file:
        while chunk := request.stream.read(CHUNK):
            file.write(chunk)
        check_length(file.size, max_bytes)


def _download(entry: Entry, file: BinaryIO) -> Response:
    suffix = "." + entry.key.rpartition("/")[2].rpartition(".")[2].lower()
    try:
        response = Response(
            wrap_file(request.environ, file, CHUNK), content_type=TYPES.get(suffix, "application/octet-stream")
        )
        response.direct_passthrough = True
        response.content_length = entry.size
        response.last_modified = datetime.fromtimestamp(entry.modified, UTC)
        response.set_etag(f"{entry.size:x}-{entry.modified:.6f}")
        # a page that somebody put there may run, but not in the name of this site
        response.headers["Content-Security-Policy"] = "sandbox allow-scripts"
        response.headers["Cache-Control"] = "no-cache"
        response.accept_ranges = "bytes"
        unit = request.headers.get("Range", "bytes").partition("=")[0].strip().lower()
        # RFC 9110, 14.2: a range in units that are not known is ignored
        response.make_conditional(request.environ, accept_ranges=unit == "bytes", complete_length=entry.size)
    except BaseException:
        file.close()
        raise
    if request.method == "HEAD" or response.status_code not in (200, 206):
        response.close()  # nobody will read it to its end
    return response
