"""What sidscan's metadata asks for."""

from __future__ import annotations

from importlib import metadata

import pytest

from sidscan.doctor.requirements import Requirement, is_older, requirements


@pytest.mark.parametrize(
    ("line", "requirement"),
    [
        ("click>=8.1", Requirement("click", "8.1", "", "")),
        ("torchvision", Requirement("torchvision", "", "", "")),
        ("httpx[socks]>=0.27,<2", Requirement("httpx", "0.27", "", "")),
        ('tomli>=2.0; python_version < "3.11"', Requirement("tomli", "2.0", "", 'python_version < "3.11"')),
        ('pillow-heif>=1.1; extra == "heic"', Requirement("pillow-heif", "1.1", "heic", "")),
        ("rawpy (>=0.24) ; extra == 'raw'", Requirement("rawpy", "0.24", "raw", "")),
        (
            'x>=1; (sys_platform == "linux") and extra == "gpu"',
            Requirement("x", "1", "gpu", 'sys_platform == "linux"'),
        ),
    ],
)
def test_a_line_of_metadata(monkeypatch: pytest.MonkeyPatch, line: str, requirement: Requirement) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: [line])
    assert list(requirements()) == [requirement]


def test_a_checkout_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert list(requirements()) == []


@pytest.mark.parametrize(
    ("version", "least", "older"),
    [
        ("2.2.1", "2.10", True),
        ("2.10", "2.2.1", False),
        ("2", "2.0", False),
        ("2.0", "2.0.0", False),
        ("1.9.0+cpu", "2", True),
        ("2.0rc1", "2.0", False),
    ],
)
def test_versions(version: str, least: str, older: bool) -> None:
    assert is_older(version, least) is older
