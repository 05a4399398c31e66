"""Text that nobody reads, or that can't be written, does not end a command's work; `-` names no file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, photo

from sidscan.util.terminal import ShownStream

Run = Callable[..., Any]
FULL = Path("/dev/full")


def with_stdout(stdout: Any, *arguments: str | Path) -> tuple[int, str]:
    command = [sys.executable, "-P", "-m", "sidscan", *map(str, arguments)]
    ended = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return ended.returncode, ended.stderr


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """The end of a pipe that is written to; nobody has the other one."""
    unread, written = os.pipe()
    os.close(unread)
    yield written
    os.close(written)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for label in ("real", "synthetic"):
        (tmp_path / f"{label}.jpg").write_bytes(encoded(photo(40, 40, len(label)), "JPEG"))
    table = tmp_path / "images.csv"
    table.write_text("path,label\nreal.jpg,real\nsynthetic.jpg,synthetic\n", encoding="utf-8")
    return table


def test_files_are_written_though_nobody_reads_the_text(data: Path, closed_pipe: int) -> None:
    out, metadata, sheet = (data.parent / name for name in ("m.csv", "m.json", "m.md"))
    arguments = ("dataset", data, "--out", out, "--croissant", metadata, "--datasheet", sheet)
    code, err = with_stdout(closed_pipe, *arguments)
    assert code == 0, err
    assert all(path.stat().st_size for path in (out, metadata, sheet))
    assert f"manifest: {out}\n" in err
    assert "standard output" not in err


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
def test_files_are_written_though_the_text_can_not_be(data: Path) -> None:
    out = data.parent / "m.csv"
    with FULL.open("w") as full:
        code, err = with_stdout(full, "dataset", data, "--out", out)
    assert code == 7
    assert out.stat().st_size
    assert err == (
        f"manifest: {out}\nsidscan: can't write to standard output: No space left on device\n"
        "Free space, or write elsewhere.\n"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["cite", "mini"], ["marks", "--help"]], ids=" ".join)
def test_a_text_that_nobody_reads_ends_quietly(arguments: list[str], closed_pipe: int) -> None:
    assert with_stdout(closed_pipe, *arguments) == (0, "")


def test_provenance_stops_where_nobody_reads_on(data: Path, closed_pipe: int) -> None:
    assert with_stdout(closed_pipe, "provenance", data.parent / "real.jpg", data.parent / "no.jpg") == (
        130,
        "",
    )


def test_what_follows_a_failure_is_dropped(tmp_path: Path) -> None:
    with (tmp_path / "text").open("w") as file:
        shown = ShownStream(file)
        shown.failure = OSError("full")
        shown.writelines(["lost\n"])
        shown.flush()
    assert not (tmp_path / "text").stat().st_size


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["dataset", "data", "--out"], "file"),
        (["dataset", "data", "--croissant"], "file"),
        (["dataset", "data", "--datasheet"], "file"),
        (["calibrate", "data", "--out"], "file"),
        (["evaluate", "report", "scores.csv", "--out"], "folder"),
        (["evaluate", "localization", "data", "--out"], "folder"),
        (["export-onnx", "--out"], "file"),
        (["localize", "a.jpg", "--out-dir"], "folder"),
        (["redact", "r.csv", "--out"], "file"),
        (["study", "data", "--out"], "folder"),
        (["train", "data", "--out"], "file"),
        (["train-localizer", "data", "--out"], "file"),
        (["verify", "r.csv", "--out"], "file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_no_file_is_called_like_standard_output(
    command: list[str], kind: str, sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("scores.csv", "r.csv", "a.jpg"):
        Path(name).touch()
    Path("data").mkdir()
    ended = sidscan(*command, "-")
    assert ended.code == 2
    assert f"this is not written to standard output. Name a {kind}.\n" in ended.err
    assert not Path("-").exists()
