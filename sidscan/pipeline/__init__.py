"""A scan, from inputs to results."""

from __future__ import annotations

from sidscan.pipeline.opening import open_scan
from sidscan.pipeline.readers import open_reader
from sidscan.pipeline.scan import Scan

__all__ = ["Scan", "open_reader", "open_scan"]
