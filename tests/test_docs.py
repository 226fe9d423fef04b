"""The documentation says what the code says."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _tables() -> ModuleType:
    specification = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


TABLES = _tables()


@pytest.mark.parametrize("page", TABLES.PAGES, ids=lambda page: page.name)
def test_tables_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert TABLES.renewed(text) == text, "run: python docs/tables.py"


@pytest.mark.parametrize("page", TABLES.PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_table_is_shown_somewhere() -> None:
    shown = {name for page in TABLES.PAGES for name in re.findall(r"<!-- table: (\w+) -->", page.read_text())}
    assert shown == set(TABLES.TABLES)
