"""Chain of custody: when, where, by which command and with which libraries a run was made.

A session is one start of a run. A run that was interrupted has several, perhaps on several machines.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata

from sidscan._version import __version__
from sidscan.config import ScanConfig
from sidscan.journal.identity import current_folder
from sidscan.records import SessionRecord
from sidscan.reports.private import private_session
from sidscan.util.urls import mask_credentials

# Distributions that determine pixels, metadata or scores.
_DISTRIBUTIONS = (
    *("pillow", "pillow-heif", "imagecodecs", "rawpy", "exifread", "numpy", "torch", "open_clip_torch"),
    *("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml"),
)
_CODECS = (
    "jpg",
    "libjpeg_turbo",
    "zlib",
    "zlib_ng",
    "libtiff",
    "webp",
    "avif",
    "jpg_2000",
)  # names in PIL.features


def begin_session(config: ScanConfig, started: str, resources: Mapping[str, int]) -> SessionRecord:
    """The record of a session that begins now.

    Args:
        started: ISO 8601, UTC.
        resources: threads, batches and devices used; they change scores in the last digits at most.
    """
    session = SessionRecord(
        started=started,
        command=tuple(_without_credentials(word) for word in config.command) or None,
        folder=current_folder(),
        host=platform.node() or None,
        sidscan_version=__version__,
        platform=platform.platform(),
        python=platform.python_version(),
        libraries=library_versions(),
        limits=config.limits(),
        resources=resources,
        options={
            flag: {"values": [mask_credentials(value) for value in values], "origin": origin}
            for flag, values, origin in config.origins
        },
    )
    return private_session(session) if config.private else session


def _without_credentials(word: str) -> str:
    """A word of a command line; the user name and password of a URL in it are hidden."""
    option, equals, value = word.partition("=")
    return (
        f"{option}={mask_credentials(value)}" if option.startswith("-") and equals else mask_credentials(word)
    )


@cache
def library_versions() -> dict[str, str]:
    """Installed versions of the libraries and codecs that determine pixels, metadata or scores, by name."""
    versions = {name: _version(name) for name in _DISTRIBUTIONS} | _codecs()
    return {name: version for name, version in versions.items() if version}


def _version(distribution: str) -> str | None:
    """The version that the loaded module states (``2.6.0+cu124``), else that of the installed package."""
    module = sys.modules.get(distribution.replace("-", "_"))
    try:
        return getattr(module, "__version__", None) or metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _codecs() -> dict[str, str | None]:
    from PIL import features  # here: many callers decode no image

    versions: dict[str, str | None] = {name: features.version(name) for name in _CODECS}
    if _version("pillow-heif"):
        import pillow_heif

        versions["libheif"] = pillow_heif.libheif_version()
    return versions
