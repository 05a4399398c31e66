"""ScanConfig: the only carrier of a scan's options; those of reading and of fetching are parts of it.

Every field states its default, bounds, choices, help text and help section once. `sidscan.cli.options`
makes the command line's options from them, `ScanConfig` checks its values against them, and the classes'
docstrings list them.
"""

from __future__ import annotations

from sidscan.config.checks import check_bucket
from sidscan.config.choices import (
    CROPS_PER_IMAGE,
    MOST_CROPS,
    SIDE,
    Crops,
    CudaMode,
    Device,
    Effort,
    Precision,
    RuntimeName,
)
from sidscan.config.fetch_options import FetchOptions
from sidscan.config.read_limits import ReadLimits
from sidscan.config.scan_config import ScanConfig

__all__ = [
    "CROPS_PER_IMAGE",
    "MOST_CROPS",
    "SIDE",
    "Crops",
    "CudaMode",
    "Device",
    "Effort",
    "FetchOptions",
    "Precision",
    "ReadLimits",
    "RuntimeName",
    "ScanConfig",
    "check_bucket",
]
