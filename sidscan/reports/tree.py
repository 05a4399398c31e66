"""JSON and JSON Lines: everything that is known, the full EXIF included."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TextIO

from sidscan.records import Finding, Record
from sidscan.reports.base import Report, printable


class JsonReport(Report):
    """One document: ``run`` (version, models, times), ``counts``, ``findings``."""

    def render(self, record: Record, file: TextIO) -> None:
        """Write the document, one finding per line, never holding all of it."""
        head = {"run": record.header(), "counts": dataclasses.asdict(record.counts())}
        file.write(_dumps(head)[:-1] + ', "findings": [')
        for position, finding in enumerate(record.findings()):
            file.write((",\n" if position else "\n") + _dumps(_tree(finding)))
        file.write("\n]}\n")


class JsonlReport(Report):
    """One line per input, each with the ``run`` facts that its score depends on."""

    def render(self, record: Record, file: TextIO) -> None:
        """Write all lines."""
        header = record.header()
        run = {name: header[name] for name in _ROW_FACTS}
        for finding in record.findings():
            file.write(_dumps({**_tree(finding), "run": run}) + "\n")


_ROW_FACTS = (
    *("sidscan_version", "models", "model_choice", "model_provenance", "calibrations"),
    *("runtime", "device", "precision", "decoder"),
)


def _tree(finding: Finding) -> dict[str, Any]:
    tree = dataclasses.asdict(finding)
    return {"path": printable(tree.pop("name")), **tree}


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)
