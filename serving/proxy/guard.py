"""What is let in.

Without keys, the loopback address is all that protects the client API; a browser on the same machine must not carry a
stranger's page through. A page of another name that resolves to 127.0.0.1 gives itself away by its Host header; a
form cannot send JSON, and whatever can asks permission first (CORS), which is never given.
"""

from flask import Flask, Response, request
from werkzeug.exceptions import RequestURITooLarge

from serving.errors import NotAllowed
from serving.settings import ProxySettings

OPEN_PATHS = ("/health/",)  # probes come by the address of a pod
KEYED_PATHS = ("/metrics",)  # so does what collects metrics, with a key where keys are asked for


def host_name(host: str) -> str:
    """Return the name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def register(app: Flask, settings: ProxySettings) -> None:
    """Check the Host header and the length of the query string before anything else."""
    allowed = {host.lower() for host in settings.allowed_hosts}
    of_any_name = OPEN_PATHS if settings.access == "open" else OPEN_PATHS + KEYED_PATHS

    @app.before_request
    def check() -> None:
        if len(request.query_string) > settings.max_query_bytes:
            raise RequestURITooLarge(
                f"the query string is {len(request.query_string)} bytes long, {settings.max_query_bytes} are allowed; "
                "POST /predict takes longer ones"
            )
        if "*" in allowed or request.path.startswith(of_any_name):
            return
        name = host_name(request.environ.get("HTTP_HOST", ""))
        if name not in allowed:
            raise NotAllowed(f"the proxy does not answer to the host name {name[:80]!r} (INLIER_PROXY_ALLOWED_HOSTS)")

    @app.after_request
    def seal(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
