"""Chain of custody: when, where, by which command and with which libraries a run was made.

A session is one start of a run; a run that was interrupted has several, maybe on several machines.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any

from sidscan._version import __version__
from sidscan.config import ScanConfig
from sidscan.util.urls import mask_credentials

PERSONAL = ("command", "folder", "host")
"""What says who, or where; `ScanConfig.private` leaves it out."""

# Distributions that make pixels, metadata or scores.
_DISTRIBUTIONS = (
    *("pillow", "pillow-heif", "exifread", "numpy", "torch", "open_clip_torch"),
    *("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml"),
)
_CODECS = ("jpg", "libjpeg_turbo", "zlib", "zlib_ng", "libtiff", "webp", "avif")  # as PIL.features calls them


def session(config: ScanConfig, started: str, resources: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a session that begins now; what is left out, or can't be told, is None.

    Args:
        started: ISO 8601, UTC.
        resources: what the work is spread over; of scores it moves the last digits at most.
    """
    facts = {
        "started": started,
        "ended": None,
        "ending": None,
        "findings": None,
        "command": [_public_word(word) for word in config.command] or None,
        "folder": _folder(),
        "host": platform.node() or None,
        "sidscan_version": __version__,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": libraries(),
        "limits": config.limits(),
        "resources": dict(resources),
    }
    return without_persons(facts) if config.private else facts


def without_persons(facts: dict[str, Any]) -> dict[str, Any]:
    """A session's facts, less who and where."""
    return facts | dict.fromkeys(PERSONAL)


def _public_word(word: str) -> str:
    """A word of a command line, less the user name and password of an address in it."""
    option, equals, value = word.partition("=")
    return (
        f"{option}={mask_credentials(value)}" if option.startswith("-") and equals else mask_credentials(word)
    )


@cache
def libraries() -> dict[str, str]:
    """Versions by name, of what is installed among the libraries that make pixels or scores."""
    versions = {name: _version(name) for name in _DISTRIBUTIONS} | _codecs()
    return {name: version for name, version in versions.items() if version}


def _version(distribution: str) -> str | None:
    """As the loaded module states it (``2.6.0+cu124``), else as it is installed."""
    module = sys.modules.get(distribution.replace("-", "_"))
    try:
        return getattr(module, "__version__", None) or metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _codecs() -> dict[str, str | None]:
    from PIL import features  # here: what reads no pictures needs none of it

    versions: dict[str, str | None] = {name: features.version(name) for name in _CODECS}
    if _version("pillow-heif"):
        import pillow_heif

        versions["libheif"] = pillow_heif.libheif_version()
    return versions


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  (text, as the command line's paths are)
    except OSError:  # it was removed meanwhile
        return None
