"""JSON and JSON Lines: everything that is known, the full EXIF included.

Strict for any reader (RFC 8259; RFC 7493, "I-JSON"): ASCII, no NaN, no lone surrogates, no key twice, no
integer that a double can't hold, no endless nesting.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any, TextIO

from sidscan.records import RunRecord, ScanResult
from sidscan.reports.base import Report, printable

_LARGEST_INTEGER = 2**53 - 1  # that every reader holds exactly (RFC 7493, section 2.2)
_DEEPEST = 32  # levels; a finding has eight
_ROW_FACTS = (
    *("sidscan_version", "models", "model_choice", "model_provenance", "calibrations"),
    *("runtime", "device", "precision", "decoder"),
)


class JsonReport(Report):
    """One document: ``run`` (version, models, times, sessions), ``counts``, ``findings``."""

    def render(self, record: RunRecord, file: TextIO) -> None:
        """Write the document, one finding per line, never holding all of it."""
        header = record.header()
        # The version first: by it a report is recognised.
        run = {name: header[name] for name in sorted(header, key=lambda name: name != "sidscan_version")}
        head = {"run": run, "counts": dataclasses.asdict(record.counts())}
        file.write(_dumps(head)[:-1] + ', "findings": [')
        for position, finding in enumerate(record.findings()):
            file.write((",\n" if position else "\n") + _dumps(_tree(finding)))
        file.write("\n]}\n")


class JsonlReport(Report):
    """One line per input, each with the ``run`` facts that its score depends on."""

    def render(self, record: RunRecord, file: TextIO) -> None:
        """Write all lines."""
        header = record.header()
        run = {name: header[name] for name in _ROW_FACTS}
        for finding in record.findings():
            file.write(_dumps({**_tree(finding), "run": run}) + "\n")


def _tree(finding: ScanResult) -> dict[str, Any]:
    tree = dataclasses.asdict(finding)
    name = tree.pop("name")
    return {"path": name, "path_bytes": _bytes(name), **tree}


def _bytes(name: str) -> str | None:
    """The bytes of a name that is not UTF-8, hex: ``path`` alone would not tell them exactly."""
    return None if printable(name) == name else os.fsencode(name).hex()


def _dumps(value: Any) -> str:
    return json.dumps(_strict(value), ensure_ascii=True, allow_nan=False)  # escapes DEL, too


def _strict(value: Any, depth: int = 0) -> Any:
    """``value`` as any reader can hold it; what it could not is told as text."""
    if isinstance(value, str):
        return value if value.isascii() else printable(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth == _DEEPEST:
        return printable(str(value))
    if isinstance(value, Mapping):
        return _object(value, depth + 1)
    return [_strict(entry, depth + 1) for entry in value]


def _object(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, entry in value.items():
        name = printable(str(key))
        while name in found:  # two keys may differ in undecodable bytes alone
            name += "'"
        found[name] = _strict(entry, depth)
    return found
