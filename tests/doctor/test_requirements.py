"""What sidscan's metadata asks for."""

from __future__ import annotations

from importlib import metadata

import pytest
from packaging.requirements import Requirement

from sidscan.doctor.requirements import is_too_old, requirements

LINES = [
    "click>=8.1",
    'tomli>=2.0; python_version < "3"',
    'pillow-heif>=1.1; extra == "heic"',
    'rawpy>=0.24; python_version >= "3" and extra == "raw"',
    'never; python_version < "3" and extra == "raw"',
]


@pytest.mark.parametrize(
    ("extra", "needed"),
    [("", ["click>=8.1"]), ("heic", ["pillow-heif>=1.1"]), ("raw", ["rawpy>=0.24"]), ("none", [])],
)
def test_what_is_needed_here(monkeypatch: pytest.MonkeyPatch, extra: str, needed: list[str]) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: LINES)
    assert [f"{each.name}{each.specifier}" for each in requirements(extra)] == needed


def test_a_checkout_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert requirements() == []


@pytest.mark.parametrize(
    ("version", "old"),
    [("2.2.1", True), ("2.10", False), ("2.10.0+cpu", False), ("3.0.dev1", False), ("unknown", False)],
)
def test_versions(version: str, old: bool) -> None:
    assert is_too_old(Requirement("pandas>=2.10"), version) is old
