"""The commands that are programs of their own, imported where a library that is missing is one line."""

import importlib

from serving.cli.running import in_one_line


def start_microservice() -> None:
    """Run ``start-microservice``."""
    _run("serving.cli.start_microservice")


def seldon_cli() -> None:
    """Run ``seldon-cli``."""
    _run("serving.cli.seldon")


def _run(module: str) -> None:
    with in_one_line():
        importlib.import_module(module).main()
