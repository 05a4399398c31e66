"""Where commands write: into a folder that is there, never over a foreign file or that of a running scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from sample_images import folder

from sidscan.cli import cli
from sidscan.cli.param_types import OutputPath
from sidscan.reports import output_for, reserve_all

Run = Callable[..., Any]
FILES = [
    *("calibrate --journal", "calibrate --out", "collect --out"),
    *("dataset --croissant", "dataset --datasheet", "dataset --out", "diff --out", "export-onnx --out"),
    *("inspect --out", "localize --journal", "localize --out", "redact --out", "report --out"),
    *("scan --journal", "scan --out", "train --out", "train-localizer --out", "verify --out"),
]
FOLDERS = [
    *("evaluate localization --out", "evaluate report --out", "evaluate run --out", "localize --out-dir"),
    *("study --cache", "study --out", "train --cache", "train-localizer --cache"),
]


def outputs(command: click.Command, name: str = "") -> Iterator[tuple[str, bool]]:
    """Options of a command and of those below it that name what is written, and whether that is a file."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below is not None
            yield from outputs(below, f"{name} {each}".strip())
    for option in command.params:
        if isinstance(option.type, OutputPath):
            yield f"{name} {max(option.opts, key=len)}", option.type.file_okay


def test_all_outputs_are_files_or_folders() -> None:
    found = sorted(outputs(cli))
    assert [name for name, is_file in found if is_file] == FILES
    assert [name for name, is_file in found if not is_file] == FOLDERS


@pytest.mark.parametrize("option", FILES)
def test_a_file_in_a_folder_that_is_not_there_is_refused_at_once(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = sidscan(*option.split(), "none/file.csv")
    assert (ended.code, ended.out) == (7, "")
    flag = option.split()[-1]
    assert ended.err == (f"sidscan: the folder none does not exist\nCreate it, or choose another {flag}.\n")
    assert not list(tmp_path.iterdir())


def test_the_folder_of_a_file_is_named_as_it_is(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "none" / "r.csv")
    for out, said in (("file/r.csv", "file is not a folder\n"), ("link.csv", "none does not exist\n")):
        ended = sidscan("report", "r.journal", "--out", tmp_path / out)
        assert (ended.code, ended.err.splitlines(True)[0].endswith(f"{tmp_path}/{said}")) == (7, True)


def test_a_folder_is_made_with_those_above_it(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("set,label,score\nsan,real,0.5\nsan,synthetic,0.6\n")
    out = tmp_path / "new/folder"
    ended = sidscan("evaluate", "report", tmp_path / "s.csv", "--out", out, "--no-plots", "--bootstrap", "0")
    assert ended.code == 0, ended.err
    assert (out / "results.md").is_file()


def test_a_scan_does_not_scan_its_outputs(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    for _ in range(2):
        ended = sidscan("scan", images, "--out", images / "r.csv", "--hash-file", "--hidden")
        assert ended.code == 0
        assert "1 input = 1 scored + 0 failed + 0 skipped\n" in ended.err
    assert sorted(path.name for path in images.iterdir()) == [
        *("nested", "r.csv", "r.csv.journal", "r.csv.sha256")
    ]


def test_a_foreign_file_is_not_overwritten_by_a_report(sidscan: Run, tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images", count=1), tmp_path / "r.csv"
    out.write_text("name,marks\n")
    ended = sidscan("scan", images, "--out", out)
    assert ended.code == 7
    assert ended.err == (
        f"sidscan: {out} is there and was not written by sidscan; it is left alone\n"
        "Choose another --out, or replace it with --overwrite.\n"
    )
    assert out.read_text() == "name,marks\n"
    assert not Path(f"{out}.journal").exists()
    assert sidscan("scan", images, "--out", out, "--overwrite").code == 0
    assert out.read_text().startswith("path,status,")


def test_two_scans_with_separate_journals_never_share_a_report(sidscan: Run, tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images", count=1), tmp_path / "r.csv"
    with reserve_all([output_for(str(out))]):
        ended = sidscan("scan", images, "--out", out, "--journal", tmp_path / "other.journal")
    assert ended.code == 7
    assert ended.err.startswith("sidscan: r.csv is being written by another scan\nWait for it to end")
