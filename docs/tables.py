"""Rewrite the tables of README.md and docs/ that say what the code says: ``python docs/tables.py``.

A table stands between two comments, ``<!-- table: NAME -->`` and ``<!-- end -->``. The tests fail when one is old.
"""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from detectors.base import Detector
from detectors.registry import DETECTORS
from serving import settings
from serving.cli import COMMANDS
from training.defaults import training_parameters

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Lay out a Markdown table."""
    columns = list(header)
    lines = [columns, ["---"] * len(columns), *(list(row) for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def detectors() -> str:
    """Every detector with its defaults, and what ``train`` uses where nothing is said."""
    rows = []
    for name, detector in DETECTORS.items():
        parameters = inspect.signature(detector).parameters.values()
        own = ", ".join(f"`{parameter.name}={parameter.default!r}`" for parameter in parameters)
        trained = ", ".join(f"`{key}={value!r}`" for key, value in training_parameters(name).items())
        rows.append([f"`{name}`", _summary(detector), own, trained or "the same"])
    return table(["Detector", "What it is", "Defaults of the class", "What `train` uses by default"], rows)


def _summary(detector: type[Detector]) -> str:
    return (inspect.getdoc(detector) or "").splitlines()[0]


def commands() -> str:
    """Every subcommand of ``inlier``."""
    return table(["Command", "What it does"], [[f"`inlier {name}`", line] for name, (_, line) in COMMANDS.items()])


def settings_reference() -> str:
    """Every setting, a table a class."""
    parts = []
    for _, concern in inspect.getmembers(settings, inspect.isclass):
        if issubclass(concern, BaseSettings) and concern.model_fields:
            rows = [
                [_variables(concern, field, facts), _default(facts), facts.description or ""]
                for field, facts in concern.model_fields.items()
            ]
            parts.append(f"\n### {_summary_of(concern)}\n\n" + table(["Variable", "Default", "Meaning"], rows))
    return "".join(parts)


def _summary_of(concern: type[BaseSettings]) -> str:
    return (inspect.getdoc(concern) or "").splitlines()[0].rstrip(".")


def _variables(concern: type[BaseSettings], field: str, facts: FieldInfo) -> str:
    alias = facts.validation_alias
    if isinstance(alias, AliasChoices):
        names = [str(name) for name in alias.choices if str(name).isupper()]
    else:
        names = [alias if isinstance(alias, str) else f"{concern.model_config.get('env_prefix', '')}{field}".upper()]
    return ", ".join(f"`{name}`" for name in names)


def _default(facts: FieldInfo) -> str:
    value = facts.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in value)
    if isinstance(value, dict):
        value = json.dumps(value)  # as the variable has it
    return "" if value in (None, "", SecretStr("")) else f"`{value}`"


TABLES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "detectors": detectors,
    "settings": settings_reference,
}


def renewed(text: str) -> str:
    """Return a page with its tables made anew."""
    return _MARKED.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


if __name__ == "__main__":
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        if (after := renewed(before)) != before:
            page.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)}\n")
