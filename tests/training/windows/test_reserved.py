"""Repositories that must not be used."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from sidscan.training.windows.reserved import check_not_reserved

LIST = """# sha256 of lower-case owner/name

a0a7498d306a6b7e64afc08bd70ec3a875b7ee3091c105e379ef18f2bf3b5065
0000000000000000000000000000000000000000000000000000000000000000  # another one
"""


@pytest.fixture
def reserved(tmp_path: Path) -> Path:
    path = tmp_path / "reserved.txt"
    path.write_text(LIST, encoding="utf-8")
    return path


def test_other_repositories_pass(reserved: Path) -> None:
    check_not_reserved(["owner/other", "Owner/name-2"], reserved)


def test_all_reserved_repositories_are_named_once(reserved: Path) -> None:
    with pytest.raises(click.UsageError) as error:
        check_not_reserved(["owner/name", "a/b", "Owner/Name", "owner/name"], reserved)
    assert (
        error.value.message == f"{reserved} reserves Owner/Name, owner/name: leave out what comes from there"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("# names\nowner/name\n", ", line 2: not a sha256 of 64 hex digits", id="a name"),
        pytest.param("0" * 40, ", line 1: not a sha256 of 64 hex digits", id="sha1"),
        pytest.param("# nothing\n", " lists no repository", id="empty"),
    ],
)
def test_another_file_is_refused(reserved: Path, text: str, message: str) -> None:
    reserved.write_text(text, encoding="utf-8")
    with pytest.raises(click.UsageError) as error:
        check_not_reserved([], reserved)
    assert error.value.message == f"{reserved}{message}"
