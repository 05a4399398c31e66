"""What sidscan's own metadata says that it needs here, and which distributions are there."""

from __future__ import annotations

from importlib import metadata

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version


def requirements(extra: str = "") -> list[Requirement]:
    """What an extra needs on this system beyond the rest, or, without one, what every installation needs.

    Nothing where sidscan runs without being installed.
    """
    try:
        lines = metadata.requires("sidscan") or []
    except metadata.PackageNotFoundError:
        return []
    return [each for each in map(Requirement, lines) if _applies(each, extra) and not _also(each, extra)]


def version_of(distribution: str) -> str | None:
    """The installed version, or None. Nothing is imported."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def is_too_old(requirement: Requirement, version: str) -> bool:
    """Whether an installed version is one that is not asked for."""
    try:
        return Version(version) not in requirement.specifier
    except InvalidVersion:
        return False


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _also(requirement: Requirement, extra: str) -> bool:
    """Whether every installation needs it, too."""
    return bool(extra) and _applies(requirement, "")
