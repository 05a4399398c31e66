"""JSON Lines on standard output: row by row while the scan runs, and a quiet end where nobody reads on."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder
from servers import Server, answer

Run = Callable[..., Any]
SCAN = [sys.executable, "-m", "sidscan", "scan", "--model", "mini", "--batch", "1", "--workers", "1"]


def paths(text: str) -> list[str]:
    return [json.loads(line)["path"] for line in text.splitlines()]


@contextmanager
def running(*arguments: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A scan in a process of its own, whose output is read while it runs."""
    command = [*SCAN, *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_lines_are_those_of_a_report_in_a_file(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    (images / "empty.png").touch()
    out = tmp_path / "r.jsonl"
    ended = sidscan("scan", images, "--model", "mini", "--out", out, "--out", "-", "--format", "jsonl")
    assert ended.code == 3
    assert ended.out == out.read_text()
    assert ended.err.endswith(f"report: {out}\nreport: standard output\n")


def test_a_row_is_written_while_later_images_are_still_to_come(tmp_path: Path) -> None:
    asked = threading.Event()

    def late(connection: Any) -> None:
        assert asked.wait(60)
        connection.sendall(answer(b"no image"))

    with closing(Server()) as server:
        server.answers["/late.jpg"] = late
        images = sorted(folder(tmp_path / "images", count=4).rglob("*.*"))
        url = f"{server.url}/late.jpg"
        with running(*images, url, "--allow-private", "--format", "jsonl") as process:
            assert process.stdout is not None
            assert paths(process.stdout.readline()) == [str(images[0])]
            asked.set()
            assert paths(process.stdout.read()) == [*map(str, images[1:]), url]
            assert process.wait() == 3


def test_a_reader_that_stops_ends_the_scan_quietly_and_its_results_are_kept(
    sidscan: Run, tmp_path: Path
) -> None:
    images = folder(tmp_path / "images", count=6)
    with running(images, "--format", "jsonl", "--quiet") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 130
        assert process.stderr.read() == ""
    again = sidscan("scan", images, "--model", "mini", "--format", "jsonl")
    assert again.code == 0
    assert again.out.startswith(first)
    assert "kept from an earlier run in" in again.err
    everything = sidscan("scan", images, "--model", "mini", "--format", "jsonl").out
    assert sorted(paths(again.out)) == sorted(paths(everything)) == sorted(set(paths(everything)))
    assert len(paths(everything)) == 6


def test_a_report_in_a_file_is_completed_when_nobody_reads_standard_output(tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images", count=6), tmp_path / "r.csv"
    with running(images, "--format", "jsonl", "--out", "-", "--out", out) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 0
        assert process.stderr.read().endswith(
            f"report: standard output, closed by its reader\nreport: {out}\n"
        )
    assert len(out.read_text().splitlines()) == 7


def test_a_full_disk_is_no_quiet_end(tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=2)
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*SCAN, images, "--format", "jsonl"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 7
    assert (
        "can't write to standard output: No space left on device\nGive --out FILE instead.\n" in ended.stderr
    )


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_other_formats_are_written_whole(sidscan: Run, tmp_path: Path, suffix: str) -> None:
    images = folder(tmp_path / "images", count=2)
    out = tmp_path / f"r.{suffix}"
    ended = sidscan("scan", images, "--model", "mini", "--out", "-", "--out", out, "--format", suffix)
    assert (ended.code, ended.out) == (0, out.read_bytes().decode())


def test_only_leaves_rows_out_while_the_scan_runs(tmp_path: Path) -> None:
    asked = threading.Event()

    def late(connection: Any) -> None:
        assert asked.wait(60)
        connection.sendall(answer(b"no image"))

    with closing(Server()) as server:
        server.answers["/late.jpg"] = late
        images = sorted(folder(tmp_path / "images", count=4).rglob("*.*"))
        url = f"{server.url}/late.jpg"
        options = ("--allow-private", "--format", "jsonl", "--only", "path!~photo-3", "--only", "failed=no")
        with running(*images, url, *options, "--columns", "path,score") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.readline()
            assert paths(first) == [str(images[1])]
            assert list(json.loads(first)) == ["format", "path", "path_bytes", "sha256", "score"]
            asked.set()
            assert paths(process.stdout.read()) == [str(image) for image in images[2:]]
            assert process.wait() == 3
            assert "reports show 3 of 5 results: only path!~photo-3 and failed=no; sorted by inputs\n" in (
                process.stderr.read()
            )


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--sort", "-path"], id="sort"),
        pytest.param(["--top", "4", "--sort", "-path"], id="top"),
    ],
)
def test_rows_that_are_sorted_come_at_the_end(sidscan: Run, tmp_path: Path, options: list[str]) -> None:
    images = folder(tmp_path / "images", count=4)
    ended = sidscan("scan", images, "--model", "mini", "--format", "jsonl", *options)
    assert ended.code == 0
    assert paths(ended.out) == sorted((str(path) for path in images.rglob("*.*")), reverse=True)
