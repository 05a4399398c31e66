"""A scan of a folder of all kinds of files: what is not scored is named, and the exit code counts it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended
from sample_images import encoded, photo
from sample_raws import PREVIEW, SIZE, preview, raw_tiff

Run = Callable[..., Ended]

MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(12)
MOV = b"\x00\x00\x00\x14ftypqt  " + bytes(8)
ZIP = b"PK\x03\x04" + bytes(50)
RAR = b"Rar!\x1a\x07\x01\x00"
TGA = encoded(photo(32, 32), "TGA")


def scan(sidscan: Run, folder: Path, files: dict[str, bytes]) -> tuple[Ended, dict[str, dict[str, str]]]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    report = folder.parent / f"{folder.name}.csv"
    ended = sidscan("scan", folder, "--model", "mini", "--crops", "center", "--out", report)
    rows = csv.DictReader(report.read_text(encoding="utf-8").splitlines())
    return ended, {Path(row["path"]).name: row for row in rows}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "photo.txt").write_bytes(encoded(photo(256, 256), "JPEG"))  # a JPEG, whatever its name
    return folder


def test_files_that_may_hold_images_are_named_and_the_scan_ends_as_before(sidscan: Run, images: Path) -> None:
    ended, rows = scan(
        sidscan, images, {"a.mp4": MP4, "b.bin": MP4, "c.MOV": MOV, "d.rar": RAR, "e.txt": b"no"}
    )
    assert ended.code == 0
    assert {name: row["status"] for name, row in rows.items()} == {
        "photo.txt": "scored",
        **dict.fromkeys(("a.mp4", "b.bin", "c.MOV", "d.rar", "e.txt"), "skipped"),
    }
    lines = ended.err.splitlines()
    assert "6 inputs = 1 scored + 0 failed + 5 skipped" in lines
    assert "  2 skipped: an MP4 video: frames of videos are not scored" in lines
    assert "  1 skipped: a QuickTime video: frames of videos are not scored" in lines
    assert (
        "  1 skipped: a RAR archive: images in archives are not scored; unpack it and scan the folder"
        in lines
    )
    assert "  1 skipped: not an image: neither its name nor its first bytes say so" in lines


def test_images_of_formats_that_are_not_read_are_failures(sidscan: Run, images: Path) -> None:
    ended, rows = scan(sidscan, images, {"a.tga": TGA, "b.jpg": b"8BPS\x00\x02", "c": b"8BPS\x00\x02"})
    assert ended.code == 3
    lines = ended.err.splitlines()
    assert "4 inputs = 1 scored + 3 failed + 0 skipped" in lines
    at = lines.index(
        "  2 failed: a large Photoshop image (PSB): this format is not read; convert it to PNG or TIFF"
    )
    assert lines[at + 1] == f"    first: {images / 'b.jpg'}"
    assert {name: (row["error_class"], row["format"]) for name, row in rows.items()} == {
        "photo.txt": ("", "JPEG"),
        "a.tga": ("FormatNotRead", "TGA"),
        "b.jpg": ("FormatNotRead", "PSB"),
        "c": ("FormatNotRead", "PSB"),
    }


def test_no_reason_is_left_out_of_the_closing_words(sidscan: Run, images: Path) -> None:
    heads = {"png": b"\x89PNG\r\n\x1a\n", "mkv": b"\x1a\x45\xdf\xa3", "7z": b"7z\xbc\xaf\x27\x1c", "zip": ZIP}
    heads |= {"rar": b"Rar!\x1a\x07\x00", "pdf": b"%PDF-1", "rtf": b"{\\rtf", "svg": b"<svg ", "mp4": MP4}
    heads |= {"mov": MOV, "avi": b"RIFF....AVI "}
    ended, _ = scan(sidscan, images, {f"a.{suffix}": head for suffix, head in heads.items()})
    assert "  3 for 3 other reasons, which their rows have" in ended.err.splitlines()


def test_a_raw_file_is_scored_by_its_preview_and_says_so(sidscan: Run, images: Path) -> None:
    ended, rows = scan(sidscan, images, {"DSC_0001.NEF": raw_tiff("NIKON", jpeg=preview())})
    assert ended.code == 0
    row = rows["DSC_0001.NEF"]
    assert (row["status"], row["evidence"], row["format"]) == ("scored", "inconclusive", "NEF")
    assert row["flags"].split() == ["preview"]
    assert "preview" in row["inconclusive"].split()
    assert (row["width"], row["height"]) == tuple(map(str, SIZE))
    assert (row["preview_width"], row["preview_height"]) == tuple(map(str, PREVIEW))
    assert row["exif_make"] == "NIKON"


def test_a_file_that_is_named_is_read_and_fails(sidscan: Run, tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(MP4)
    ended = sidscan("scan", video, "--model", "mini", "--out", tmp_path / "r.csv")
    assert ended.code == 3
    assert "  1 failed: an MP4 video: frames of videos are not scored" in ended.err.splitlines()
