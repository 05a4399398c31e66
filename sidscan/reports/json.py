"""JSON and JSON Lines: everything that is known, all EXIF included. docs/report.schema.json describes them.

Any reader can hold them (RFC 8259; RFC 7493, "I-JSON"): ASCII, no NaN, no lone surrogates, no key twice, no
integer that a double can't hold, no deep nesting.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from itertools import takewhile
from typing import Any, TextIO, Union

from sidscan.errors import UsageError
from sidscan.records import Counts, JsonObject, RunHeader, RunRecord, ScanResult
from sidscan.records.from_json import members
from sidscan.reports.base import REPORT_FORMAT_NUMBER, FormatOptions, ReportFormat, RowWriter, report_format
from sidscan.reports.columns import ReportColumn, choose_columns
from sidscan.reports.private import private_condition, private_header, private_result
from sidscan.reports.reader import (
    DamagedReport,
    ReportRow,
    check_comparable,
    check_format_number,
    checked_row,
)
from sidscan.reports.stated import StatedResult, part_of, stated_result

_JsonValue = Union[str, int, float, None, list["_JsonValue"], dict[str, "_JsonValue"]]  # noqa: UP007  (it recurs)
_LARGEST_INTEGER = 2**53 - 1  # that every reader holds exactly (RFC 7493, section 2.2)
_DEEPEST = 32  # levels; a result has eight
# Quick to search for: each begins with a fixed character.
_LONG_INTEGERS = (re.compile(" -?[0-9]{16}"), re.compile(r"\[-?[0-9]{16}"))
_FLAT_LIST = re.compile(r"\[[^\[\]{}]*\]")
_JSONL_RUN_FACTS = (
    *("sidscan_version", "models", "model_choice", "model_provenance", "calibrations"),
    *("runtime", "device", "precision", "decoder", "effort", "sample"),
)
# How reports start. Format 1 has no number; later formats keep these starts, so all versions know them.
_NUMBER = rb'\{(?:"format": [1-9][0-9]{0,8}, )?'
_JSON_START = re.compile(_NUMBER + rb'"run": \{"sidscan_version": "')
_JSONL_START = re.compile(
    _NUMBER + rb'"path": "(?:[^"\\]|\\.)*", "path_bytes": (?:null|"[0-9a-f]*"), "kind": "[a-z]+", "st'
)


_JSONL_COLUMNS_START = re.compile(
    rb'\{"format": [1-9][0-9]{0,8}, "path": "(?:[^"\\]|\\.)*", "path_bytes": (?:null|"[0-9a-f]*"), '
    rb'"sha256": (?:null|"[0-9a-f]{64}")[,}]'
)


@report_format("json")
class JsonReport(ReportFormat):
    """One document: ``format``, ``run`` (the `RunHeader`), ``counts``, ``findings`` (the results)."""

    def render(self, record: RunRecord, file: TextIO) -> None:
        """Write the document, one result per line."""
        file.write(ijson_text(head_object(record))[:-1] + ', "findings": [')
        for position, result in enumerate(record.results()):
            file.write((",\n" if position else "\n") + ijson_text(result_object(result)))
        file.write("\n]}\n")

    def recognises(self, head: bytes) -> bool:
        """By its first keys."""
        return _JSON_START.match(head) is not None

    def rows(self, lines: Iterator[str]) -> Iterator[ReportRow]:
        """One row per line but the first and last; their number must be what ``counts`` states."""
        return (_row(raw) for raw, _ in self._objects(lines))

    def results(self, lines: Iterator[str]) -> Iterator[StatedResult]:
        """The same with all that two runs may differ in."""
        for raw, head in self._objects(lines, compared=True):
            yield stated_result(_name_of(raw), raw, head["run"], part_of(head["run"], pending_in(head)))

    def _objects(
        self, lines: Iterator[str], compared: bool = False
    ) -> Iterator[tuple[JsonObject, JsonObject]]:
        """Each result and the head of the report."""
        head = json.loads(next(lines) + "]}")
        check_format_number(head.get("format", 1))
        if compared:
            check_comparable(head.get("selection"))
        number = 0
        for line in lines:
            if line.rstrip() == "]}":
                break
            yield json.loads(line.rstrip().removesuffix(",")), head
            number += 1
        else:
            raise DamagedReport("it ends early")
        check_number(number, head)
        if next(lines, None) is not None:
            raise DamagedReport("something follows its end")

    def redact(self, lines: Iterator[str], file: TextIO) -> list[str]:
        """Line by line, as `render` writes them; keys that this version does not know are left out."""
        head = json.loads(next(lines) + "]}")
        counts = {name: head["counts"][name] for name in Counts.__dataclass_fields__}
        run = private_header(RunHeader.from_dict(head["run"])).to_dict()
        selection = _private_selection(head.get("selection"))
        head = {"format": REPORT_FORMAT_NUMBER, "run": run, "counts": counts, **selection}
        file.write(ijson_text(head)[:-1] + ', "findings": [')
        for position, line in enumerate(takewhile(lambda line: line.rstrip() != "]}", lines)):
            result = private_result(_result_of(json.loads(line.rstrip().removesuffix(","))))
            file.write((",\n" if position else "\n") + ijson_text(result_object(result)))
        file.write("\n]}\n")
        return []


@report_format("jsonl")
class JsonLinesReport(ReportFormat):
    """One line per input, each with ``format`` and the ``run`` facts that its score depends on.

    With --columns, each has the cells of these columns by name, and before them what `sidscan verify` needs.
    """

    has_columns = True

    def __init__(self, columns: tuple[str, ...] = ()) -> None:
        self._columns = columns

    def configured(self, options: FormatOptions) -> JsonLinesReport:
        """The format with some columns."""
        return JsonLinesReport(options.columns)

    def render(self, record: RunRecord, file: TextIO) -> None:
        """Write all lines."""
        write = self.row_writer(record.header(), file)
        for result in record.results():
            write(result)

    def row_writer(self, header: RunHeader, file: TextIO) -> RowWriter:
        """Every line stands alone, so each can be written as soon as its result is made."""
        if self._columns:
            return _column_writer(choose_columns(header, self._columns), file)
        facts = header.to_dict()
        run = {name: facts[name] for name in _JSONL_RUN_FACTS}

        def write(result: ScanResult) -> None:
            line = {"format": REPORT_FORMAT_NUMBER, **result_object(result), "run": run}
            file.write(ijson_text(line) + "\n")

        return write

    def recognises(self, head: bytes) -> bool:
        """By the first keys of the first line."""
        return _JSONL_START.match(head) is not None or _JSONL_COLUMNS_START.match(head) is not None

    def rows(self, lines: Iterator[str]) -> Iterator[ReportRow]:
        """One row per line."""
        return map(_row, self._objects(lines))

    def results(self, lines: Iterator[str]) -> Iterator[StatedResult]:
        """The same with all that two runs may differ in."""
        for raw in self._objects(lines):
            check_comparable(None, columns_missing="facts" not in raw)
            yield stated_result(_name_of(raw), raw, raw["run"], part_of(raw["run"]))

    def _objects(self, lines: Iterator[str]) -> Iterator[JsonObject]:
        for line in lines:
            result = json.loads(line)
            check_format_number(result.get("format", 1))
            yield result

    def redact(self, lines: Iterator[str], file: TextIO) -> list[str]:
        """Line by line."""
        for line in lines:
            raw = json.loads(line)
            if "facts" not in raw:
                raise UsageError(
                    "a report with --columns can't be redacted as .jsonl",
                    "Write it with `sidscan report RECORD --private`.",
                )
            run = private_header(RunHeader.from_dict(raw["run"]))
            self.row_writer(run, file)(private_result(_result_of(raw)))
        return []


def head_object(record: RunRecord) -> dict[str, object]:
    """What a report states of its run as a whole; JSON reports begin with it."""
    head: dict[str, object] = {
        "format": REPORT_FORMAT_NUMBER,
        "run": record.header().to_dict(),
        "counts": asdict(record.counts()),
    }
    selection = record.selection()
    return {**head, "selection": asdict(selection)} if selection else head


def check_number(number: int, head: JsonObject) -> None:
    """Compare the number of results with what the head of their report states.

    Raises:
        DamagedReport: it is another number.
    """
    counts, selection = head["counts"], head.get("selection")
    stated = (
        selection["shown"] if selection else sum(counts[name] for name in ("scored", "failed", "skipped"))
    )
    if number != stated:
        raise DamagedReport(f"it has {number} results and states {stated}")


def pending_in(head: JsonObject) -> int:
    """Inputs without a result, by the head of a report."""
    counts = head["counts"]
    return int(counts["enumerated"] - counts["scored"] - counts["failed"] - counts["skipped"])


def _result_of(raw: JsonObject) -> ScanResult:
    """The inverse of `result_object`."""
    return ScanResult.from_dict({**raw, "name": _name_of(raw)})


def _name_of(raw: JsonObject) -> str:
    return exact_name(raw["path"], raw["path_bytes"])


def _column_writer(columns: Sequence[ReportColumn], file: TextIO) -> RowWriter:
    def write(result: ScanResult) -> None:
        cells = {column.name: column.cell(result) for column in columns}
        named = {
            "format": REPORT_FORMAT_NUMBER,
            "path": result.name,
            "path_bytes": undecodable_bytes(result.name),
            "sha256": result.facts.sha256,
        }
        file.write(ijson_text({**named, **cells, **named}) + "\n")

    return write


def _private_selection(selection: JsonObject | None) -> dict[str, object]:
    """What a report shows of its run, as the head of a redacted one has it; it names no place."""
    if selection is None:
        return {}
    only = [private_condition(text) for text in selection["only"]]
    return {"selection": {**selection, "only": only}}


def _row(result: JsonObject) -> ReportRow:
    if "facts" not in result:
        return checked_row(_name_of(result), result["sha256"], result.get("saved_as"))
    facts = result["facts"]
    saved_as = (facts["response"] or {}).get("saved_as")
    return checked_row(_name_of(result), facts["sha256"], saved_as, facts.get("perceptual_hash"))


def result_object(result: ScanResult) -> dict[str, object]:
    """A result's JSON object; ``path_bytes`` are the name's `undecodable_bytes`."""
    values = members(result)
    del values["name"]
    return {"path": result.name, "path_bytes": undecodable_bytes(result.name), **values}


def undecodable_bytes(name: str) -> str | None:
    """The bytes of a name, hex, if they are not UTF-8; else None."""
    return None if printable(name) == name else os.fsencode(name).hex()


def exact_name(path: str, path_bytes: str | None) -> str:
    """The name that a report shows as ``path``, from its `undecodable_bytes`."""
    return path if path_bytes is None else os.fsdecode(bytes.fromhex(path_bytes))


def ijson_text(value: object) -> str:
    """``value``, records in it included, as JSON that any reader can hold."""
    try:
        text = _ENCODER.encode(value)
    except (ValueError, TypeError, RecursionError):
        return _checked_text(value)
    return _checked_text(value) if _is_doubtful(text) else text


def _checked_text(value: object) -> str:
    """The same, each value looked at: three times as slow as `json.dumps` alone."""
    return json.dumps(_ijson(value), ensure_ascii=True, allow_nan=False)


def _is_doubtful(text: str) -> bool:
    """Whether a JSON text may hold what some reader can't: surrogates, long integers, deep nesting."""
    if "\\ud" in text or any(pattern.search(text) for pattern in _LONG_INTEGERS):
        return True
    if text.count("[") + text.count("{") < _DEEPEST:
        return False
    text = _FLAT_LIST.sub("", text)
    return text.count("[") + text.count("{") >= _DEEPEST


_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, default=members)  # it escapes DEL, too


def _ijson(value: object, depth: int = 0) -> _JsonValue:
    """``value`` as any reader can hold it; what none could hold becomes text."""
    if isinstance(value, str):
        return value if value.isascii() else printable(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < _DEEPEST and is_dataclass(value) and not isinstance(value, type):
        return _ijson_object(members(value), depth + 1)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return _ijson_object(value, depth + 1)
    if depth < _DEEPEST and isinstance(value, Iterable):
        return [_ijson(entry, depth + 1) for entry in value]
    return printable(str(value))


def _ijson_object(value: Mapping[Any, object], depth: int) -> dict[str, _JsonValue]:
    entries: dict[str, _JsonValue] = {}
    for key, entry in value.items():
        name = printable(str(key))
        while name in entries:  # two keys may differ in undecodable bytes alone
            name += "'"
        entries[name] = _ijson(entry, depth)
    return entries


def printable(text: str) -> str:
    """Text that any UTF-8 file can hold: bytes of a name that are not UTF-8 become ``\\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
