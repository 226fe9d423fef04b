"""``python -m serving.deploy.fetch URL SHA256 PATH``: get a model file and its sidecar before a microservice starts.

An init container runs it. It imports nothing but the standard library; the key for the proxy is in INLIER_API_KEY.
"""

import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

CHUNK = 1 << 20
TRIES = 8
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the proxy is in the same cluster
LONGEST_WAIT = 8.0  # seconds; with as many tries, a proxy may be away for half a minute


class Refused(Exception):
    """There is no sense in asking again."""


def fetch(url: str, digest: str, target: Path, api_key: str = "") -> None:
    """Put what is at a URL into a file, if its SHA-256 is the right one.

    Raises
    ------
    Refused
        The server refuses, or it is another file.
    OSError
        The server cannot be reached, the file has not come whole, or it cannot be written.
    """
    request = urllib.request.Request(url)  # noqa: S310 - from the manifest
    if api_key:
        request.add_header("Authorization", f"Bearer {api_key}")
    sha256 = hashlib.sha256()
    partial = target.with_name(f".{target.name}.partial")
    try:
        with OPENER.open(request, timeout=30) as answer, partial.open("wb") as file:
            while chunk := answer.read(CHUNK):
                sha256.update(chunk)
                file.write(chunk)
            written, length = file.tell(), answer.headers["Content-Length"]
    except urllib.error.HTTPError as error:
        if error.code < 500:
            raise Refused(f"{url}: {error.code} {error.reason}") from None
        raise
    if length is not None and written != int(length):  # reading in chunks says nothing of a connection that was cut
        raise OSError(f"{written} bytes of {length} have come")
    if digest and sha256.hexdigest() != digest:
        partial.unlink()
        raise Refused(f"{url} is not the file that was meant: its SHA-256 is {sha256.hexdigest()}, not {digest}")
    partial.replace(target)


def _patiently(url: str, digest: str, target: Path, api_key: str) -> None:
    for number in range(TRIES):
        try:
            fetch(url, digest, target, api_key)
        except (OSError, http.client.HTTPException) as error:
            if number == TRIES - 1:
                raise Refused(f"{url}: {error}") from error
            print(f"{url}: {error}; trying again", file=sys.stderr)
            time.sleep(min(LONGEST_WAIT, 0.5 * 2**number))
        else:
            return


def _api_key() -> str:
    """Return the key of the environment, or refuse one that no header can carry: the error of that would show it."""
    key = os.environ.get("INLIER_API_KEY", "").strip()
    if not (key.isascii() and key.isprintable()):
        raise Refused("INLIER_API_KEY should be printable ASCII characters and nothing else")
    return key


def main(arguments: list[str]) -> int:
    """Fetch the model and then its sidecar, which is what makes it whole."""
    url, digest, path = arguments
    target = Path(path)
    try:
        api_key = _api_key()
        _patiently(url, digest, target, api_key)
        _patiently(f"{url}.json", "", target.with_name(f"{target.name}.json"), api_key)
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
