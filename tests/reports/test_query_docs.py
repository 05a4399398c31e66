"""docs/howto/query-reports.md and docs/reference/report-types.md: recipes give what they show."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_results import RUN, SCORED, journal_of

from sidscan.records.localization import LocalizerRecord
from sidscan.reports import output_for, write_all
from sidscan.reports.columns import DERIVED_COLUMNS, find_column, report_columns
from sidscan.reports.parquet import ARROW_TYPES, UNTYPED
from sidscan.reports.reader import PATH_BYTES
from sidscan.reports.sqlite import SQLITE_TYPES

Run = Callable[..., Any]
DOCS = Path(__file__).parents[2] / "docs"
RECIPES = re.findall(
    r"^```(python|sql)\n(.*?)^```\n\n```text\n(.*?)^```$",
    (DOCS / "howto" / "query-reports.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with reports of the examples."""
    folder = tmp_path_factory.mktemp("query")
    shutil.copytree(DOCS.parent / "examples" / "images", folder / "examples" / "images")
    outs = [f"--out=report.{suffix}" for suffix in ("csv", "parquet", "db")]
    command = [
        sys.executable,
        "-m",
        "sidscan",
        "scan",
        "examples/images",
        "--model",
        "mini",
        *outs,
        "--quiet",
    ]
    subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.mark.parametrize(("language", "code", "shown"), RECIPES, ids=lambda text: text[:24].strip())
def test_recipes_give_what_they_show(scanned: Path, language: str, code: str, shown: str) -> None:
    if language == "sql":
        with closing(sqlite3.connect(scanned / "report.db")) as database:
            lines = ["|".join(map(str, row)) for row in database.execute(code)]
    else:
        for module in re.findall(r"^import (duckdb|polars|pandas)", code, re.MULTILINE):
            pytest.importorskip(module)
        command = [sys.executable, "-c", code]
        ended = subprocess.run(command, cwd=scanned, capture_output=True, text=True, check=True)
        lines = ended.stdout.splitlines()
    assert [line.rstrip() for line in lines] == [line.rstrip() for line in shown.splitlines()]


def test_every_tool_has_a_recipe() -> None:
    text = "".join(code for _, code, _ in RECIPES)
    assert [language for language, *_ in RECIPES] == [*["python"] * 5, *["sql"] * 2]
    assert all(f"import {name}" in text for name in ("duckdb", "pandas", "polars", "pyarrow"))


def test_types_are_those_of_the_page(tmp_path: Path) -> None:
    page = (DOCS / "reference" / "report-types.md").read_text(encoding="utf-8")
    table = page.partition("## All columns")[2].partition("\n## ")[0]
    rows = [tuple(re.findall(r"`([^`]*)`", line)) for line in table.splitlines() if line.startswith("| `")]
    header = replace(RUN, localizer=LocalizerRecord("l"))
    tables = {"score": "scores", "model": "models", "image": "images", "run": "run"}
    expected: list[tuple[str, ...]] = []
    for column in [*report_columns(header), *(find_column(header, name) for name in DERIVED_COLUMNS)]:
        of = "run" if column.name == "report_format" else tables[column.of]
        expected.append((column.name, ARROW_TYPES[column.type], SQLITE_TYPES[column.type], of))
        if column.name == "path":
            expected.append((PATH_BYTES, "binary", "BLOB", "images"))
    assert rows == [*expected, (UNTYPED, "string")]


def test_files_have_these_types(tmp_path: Path) -> None:
    """The page's types are compared with those of the code; here the code's with what libraries see."""
    pq = pytest.importorskip("pyarrow.parquet")
    header = replace(RUN, localizer=LocalizerRecord("l"))
    write_all(
        [output_for(str(tmp_path / f"r.{each}")) for each in ("parquet", "db")],
        journal_of(SCORED, run=header),
    )
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "r.parquet")}
    with closing(sqlite3.connect(tmp_path / "r.db")) as database:
        declared = {
            name: (kind, table)
            for table in ("run", "models", "scores", "images")
            for _, name, kind, *_ in database.execute(f"PRAGMA table_info({table})")
        }
    for column in report_columns(header):
        assert types[column.name].replace("element: ", "") == ARROW_TYPES[column.type]
        if column.of in ("image", "score") and column.name != "report_format":
            table = {"image": "images", "score": "scores"}[column.of]
            assert declared[column.name] == (SQLITE_TYPES[column.type], table)
