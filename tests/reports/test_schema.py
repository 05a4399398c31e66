"""docs/report.schema.json describes every field of JSON reports, CSV_COLUMNS every column."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from sample_images import folder
from sample_results import RUN, full_header, journal_of, old_journal, rendered, results_of_every_status, rows

from sidscan.config import Effort
from sidscan.journal import Journal
from sidscan.models.abstention import Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.cautions import Caution
from sidscan.records import Copies, CopyAnswer, ModelRecord, RunHeader, Stage, Status
from sidscan.reports.base import REPORT_FORMAT_NUMBER
from sidscan.reports.columns import CSV_COLUMNS
from sidscan.review.conditions import parse_condition
from sidscan.review.selection import Choice, SelectedRecord

Run = Callable[..., Any]
REPOSITORY = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((REPOSITORY / "docs" / "report.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its reference resolved; the schema's other properties are added."""
    if "$ref" not in schema:
        return schema
    target: dict[str, Any] = SCHEMA
    for key in schema["$ref"].removeprefix("#/").split("/"):
        target = target[key]
    target = resolved(target)
    return {
        **target,
        **schema,
        "properties": {**target.get("properties", {}), **schema.get("properties", {})},
    }


def undescribed(value: object, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of the keys of a report that the schema does not describe."""
    schema = resolved(schema)
    if isinstance(value, dict) and "oneOf" in schema:
        schema = resolved(schema["oneOf"][0])
    if isinstance(value, list):
        for entry in value:
            yield from undescribed(entry, schema.get("items", {}), f"{path}[]")
    if isinstance(value, dict):
        others = schema.get("additionalProperties")
        for key, entry in value.items():
            known = schema.get("properties", {}).get(key, {} if others is True else others)
            if known is None:
                yield f"{path}.{key}"
            else:
                yield from undescribed(entry, known, f"{path}.{key}")


def check(value: object, definition: str) -> None:
    VALIDATOR.validate(value)
    assert list(undescribed(value, {"$ref": f"#/$defs/{definition}"})) == []


def properties(schema: object, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property that a schema defines, with its path."""
    if isinstance(schema, dict):
        for name, definition in schema.get("properties", {}).items():
            yield f"{path}/{name}", definition
        for key, part in schema.items():
            yield from properties(part, f"{path}/{key}")


def test_the_schema_is_valid_and_describes_every_property() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert [
        path for path, definition in properties(SCHEMA) if "description" not in resolved(definition)
    ] == []


@pytest.mark.parametrize("header", [RUN, full_header()], ids=["few facts", "all facts"])
def test_reports_follow_the_schema(tmp_path: Path, header: RunHeader) -> None:
    journal = journal_of(*results_of_every_status(), run=header)
    document = json.loads(rendered(tmp_path / "r.json", journal))
    assert {result["status"] for result in document["findings"]} == {status.value for status in Status}
    check(document, "report")
    for line in rendered(tmp_path / "r.jsonl", journal).splitlines():
        check(json.loads(line), "line")


def test_reports_of_a_journal_of_0_1_0_follow_the_schema(tmp_path: Path) -> None:
    journal = Journal(old_journal(tmp_path / "0.1.0.journal"))
    check(json.loads(rendered(tmp_path / "r.json", journal)), "report")


def test_reports_of_a_scan_follow_the_schema(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    (images / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    outs = [part for suffix in ("json", "jsonl", "csv") for part in ("--out", tmp_path / f"r.{suffix}")]
    assert sidscan("scan", images, "--model", "mini", "--crops", "center", *outs).code == 3
    check(json.loads((tmp_path / "r.json").read_text()), "report")
    for line in (tmp_path / "r.jsonl").read_text().splitlines():
        check(json.loads(line), "line")
    (first, *_) = rows((tmp_path / "r.csv").read_text())
    assert list(first) == list(CSV_COLUMNS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda report: report.update(format=1), "is not valid", id="another format"),
        pytest.param(lambda report: report["findings"][0].update(status="fine"), "is not valid", id="status"),
        pytest.param(lambda report: report["counts"].pop("failed"), "is not valid", id="no count"),
    ],
)
def test_the_schema_rejects_invalid_reports(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    report = json.loads(rendered(tmp_path / "r.json", journal_of(*results_of_every_status())))
    change(report)
    assert [error.message for error in VALIDATOR.iter_errors(report) if message in error.message]


def test_the_schema_states_the_values_of_the_code() -> None:
    result = SCHEMA["$defs"]["result"]["properties"]
    assert result["status"]["enum"] == [status.value for status in Status]
    assert result["stage"]["enum"] == [*(stage.value for stage in Stage), None]
    abstention = SCHEMA["$defs"]["model"]["properties"]["abstention"]["properties"]
    assert list(abstention) == list(Abstention.__dataclass_fields__)
    (cascade, _) = SCHEMA["$defs"]["model"]["properties"]["cascade"]["oneOf"]
    assert list(cascade["properties"]) == list(Cascade.__dataclass_fields__)
    cautions = SCHEMA["$defs"]["model"]["properties"]["cautions"]["items"]["properties"]
    assert list(cautions) == list(Caution.__dataclass_fields__)
    assert SCHEMA["$defs"]["run"]["properties"]["effort"]["enum"] == list(get_args(Effort))
    numbers = [SCHEMA["$defs"][name]["properties"]["format"]["const"] for name in ("report", "line")]
    assert numbers == [REPORT_FORMAT_NUMBER] * 2
    assert SCHEMA["$id"].endswith(f":{REPORT_FORMAT_NUMBER}")


def test_a_report_has_the_described_columns(tmp_path: Path) -> None:
    (row, *_) = rows(rendered(tmp_path / "r.csv", journal_of(*results_of_every_status())))
    assert list(row) == list(CSV_COLUMNS)
    assert all(CSV_COLUMNS.values())
    run = replace(RUN, models=(*RUN.models, ModelRecord("other", "def")))
    (row, *_) = rows(rendered(tmp_path / "r.csv", journal_of(*results_of_every_status(), run=run)))
    assert {name.removeprefix("other.") for name in row} == set(CSV_COLUMNS)


def test_the_documentation_names_every_column() -> None:
    pages = [REPOSITORY / "docs" / name for name in ("reference/report-columns.md",)]
    text = next(page for page in pages if page.exists()).read_text(encoding="utf-8")
    first, last = re.findall(r"`(exif_\w+)` \.\.\. `(exif_\w+)`", text)[0] if "` ... `" in text else ("", "")
    names = list(CSV_COLUMNS)
    spanned = names[names.index(first) : names.index(last) + 1] if first else []
    assert [name for name in names if f"`{name}`" not in text and name not in spanned] == []


def test_a_selection_is_described(tmp_path: Path) -> None:
    for choice in (Choice(top=1), Choice((parse_condition("score>=0.1"),), "-score")):
        report = json.loads(
            rendered(tmp_path / "r.json", SelectedRecord(journal_of(*results_of_every_status()), choice))
        )
        VALIDATOR.validate(report)
        assert list(undescribed(report, SCHEMA["$defs"]["report"])) == []


def test_what_people_said_of_copies_is_described(tmp_path: Path) -> None:
    answer = CopyAnswer("b.jpg", "b" * 64, False, "Anna", "2026-11-28T10:00:00+00:00")
    copies = Copies(group="b.jpg", distance=4, count=2, answers=(answer,))
    result = replace(results_of_every_status()[0], copies=copies)
    report = json.loads(rendered(tmp_path / "r.json", journal_of(result, run=full_header())))
    assert report["findings"][0]["copies"]["answers"] == [asdict(answer)]
    check(report, "report")
