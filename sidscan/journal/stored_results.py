"""Results as text."""

from __future__ import annotations

import json

from sidscan.records import ScanResult
from sidscan.records.from_json import members

_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=members)


def dump_result(result: ScanResult) -> str:
    """A result as one line of JSON.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON cannot express.
    """
    return _ENCODER.encode(result)


def load_result(text: str) -> ScanResult:
    """The result that `dump_result` wrote, maybe in an earlier version of sidscan."""
    return ScanResult.from_dict(json.loads(text))
