"""``python -m serving.proxy [--host HOST] [--port PORT]``: the same as ``inlier proxy``."""

from serving.cli.proxy import proxy
from serving.cli.running import run

if __name__ == "__main__":
    run(proxy, "python -m serving.proxy")
