"""``python -m serving.proxy [--host HOST] [--port PORT]``: the proxy alone, as a container runs it."""

import argparse

from serving.proxy.server import serve
from serving.settings import HomeSettings

if __name__ == "__main__":
    settings = HomeSettings()
    parser = argparse.ArgumentParser(prog="python -m serving.proxy", description="Run the proxy.")
    parser.add_argument("--host", default=settings.host)
    parser.add_argument("--port", type=int, default=settings.port)
    arguments = parser.parse_args()
    serve(arguments.host, arguments.port)
