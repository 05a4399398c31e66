"""``sidscan scan --out report.html``: thumbnails, and the folder beside a large report."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sample_images import encoded, exif_block, folder, photo, scene, with_thumbnail
from sample_results import rows

from sidscan.journal import thumbnails
from sidscan.records import Failure, Stage, Status
from sidscan.reports import html

Run = Callable[..., Any]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    root = folder(tmp_path / "images")
    (root / "turned.jpg").write_bytes(encoded(photo(400, 300), "JPEG", exif=exif_block()))  # orientation 6
    return root


def chunk_entries(text: str) -> dict[str, dict[str, Any]]:
    """The entries of the page's first chunk by file name."""
    match = re.search(r'id="chunk-0">(.*?)</script>', text)
    assert match is not None
    return {Path(entry["result"]["path"]).name: entry for entry in json.loads(match[1])}


def thumbnail_size(entry: dict[str, Any]) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(entry["thumbnail"]))).size


def test_each_image_has_a_thumbnail(sidscan: Run, images: Path) -> None:
    assert sidscan("scan", images, "--model", "mini", "--out", "r.html").code == 0
    entries = chunk_entries(Path("r.html").read_text(encoding="utf-8"))
    assert len(entries) == 4
    assert thumbnail_size(entries["photo-0.jpg"]) == (160, 160)
    assert thumbnail_size(entries["turned.jpg"]) == (120, 160)
    assert len(entries["turned.jpg"]["result"]["scores"][0]["crop_scores"]) == 10


def crop_of(entry: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(entry["crop"])))


def test_the_strongest_images_have_their_highest_crop_at_full_size(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "MOST_CROPS", 2)
    monkeypatch.setattr("sidscan.pipeline.scan.MOST_CROPS", 2)
    sidscan("scan", images, "--model", "mini", "--out", "r.html")
    first = chunk_entries(Path("r.html").read_text(encoding="utf-8"))
    assert [("crop" in entry) for entry in first.values()] == [True, True, False, False], "strongest first"
    assert {crop_of(entry).size for entry in list(first.values())[:2]} == {(224, 224)}
    gone, second, third, _ = first
    (images / gone).unlink()
    ended = sidscan("scan", images, "--model", "mini", "--out", "r.html")
    assert "1 kept image without a thumbnail or crop: read again, not scored\n" in ended.err
    kept = chunk_entries(Path("r.html").read_text(encoding="utf-8"))
    assert [name for name, entry in kept.items() if "crop" in entry] == [second, third]
    assert "read again" not in sidscan("scan", images, "--model", "mini", "--out", "r.html").err
    sidscan("scan", images, "--model", "mini", "--out", "r.html", "--fresh")
    fresh = chunk_entries(Path("r.html").read_text(encoding="utf-8"))
    assert {name: entry.get("crop") for name, entry in fresh.items()} == {
        name: entry.get("crop") for name, entry in kept.items()
    }


def test_a_second_scan_keeps_the_thumbnails(sidscan: Run, images: Path) -> None:
    sidscan("scan", images, "--model", "mini", "--out", "r.html")
    (images / "photo-1.jpg").unlink()
    assert "3 results kept" in sidscan("scan", images, "--model", "mini", "--out", "r.html").err
    entries = chunk_entries(Path("r.html").read_text(encoding="utf-8"))
    assert [name for name, entry in sorted(entries.items()) if "thumbnail" in entry] == sorted(entries)


def test_a_preview_of_another_image_is_shown_beside_it_but_not_in_private(sidscan: Run, images: Path) -> None:
    other = scene(2).resize((160, 120))
    (images / "second.jpg").write_bytes(with_thumbnail(scene(1), other))
    scan = ("scan", images, "--model", "mini", "--out")

    def second(report: str) -> list[str]:
        entries = chunk_entries(Path(report).read_text(encoding="utf-8"))
        return [name for name, entry in entries.items() if "second" in entry]

    assert sidscan(*scan, "r.csv").code == 0
    assert sidscan("scan", images, "--model", "mini", "--out", "r.csv", "--out", "r.html").code == 0
    assert second("r.html") == ["second.jpg"], "also of kept results, which are read again"
    entry = chunk_entries(Path("r.html").read_text(encoding="utf-8"))["second.jpg"]
    assert Image.open(io.BytesIO(base64.b64decode(entry["second"]))).size == (160, 120)
    sidscan(*scan, "none.html", "--html-thumbs", "none")
    assert second("none.html") == []
    sidscan("report", "r.csv", "--private", "--out", "private.html")
    assert second("private.html") == []
    sidscan(*scan, "from-the-start.html", "--private")
    assert second("from-the-start.html") == []
    journal, start = Path("r.csv.journal"), base64.b64decode(entry["second"])[:40]
    assert start in journal.read_bytes()
    sidscan("scan", images, "--model", "mini", "--out", "r.csv", "--out", "r.html", "--private")
    assert second("r.html") == []
    assert start not in journal.read_bytes()


@pytest.mark.parametrize("isolation", [[], ["--no-isolation"]], ids=["isolated", "in this process"])
def test_thumbnails_can_be_left_out(sidscan: Run, images: Path, isolation: list[str]) -> None:
    for options, expected in ([], True), (["--html-thumbs", "none"], False):
        options = ["--model", "mini", "--fresh", *isolation, *options]
        assert sidscan("scan", images, *options, "--out", "r.html").code == 0
        entries = chunk_entries(Path("r.html").read_text(encoding="utf-8"))
        assert [("thumbnail" in entry) for entry in entries.values()] == [expected] * 4


def test_the_folder_beside_a_report_is_not_scanned(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "INLINE_ROWS", 1)
    for _ in range(2):
        ended = sidscan("scan", images, "--model", "mini", "--out", images / "r.html")
        assert "4 inputs = 4 scored + 0 failed + 0 skipped" in ended.err
    assert [path.name[:11] for path in (images / "r_files").iterdir()] == ["chunk-00000"]


def test_scores_are_the_same_with_and_without_thumbnails(sidscan: Run, images: Path) -> None:
    scores = []
    for out in ("a.html", "b.json"):
        sidscan("scan", images, "--model", "mini", "--out", out, "--out", f"{out}.jsonl")
        lines = Path(f"{out}.jsonl").read_text().splitlines()
        scores.append([json.loads(line)["scores"] for line in lines])
    assert scores[0] == scores[1]


def test_kept_images_are_read_again_for_their_thumbnails_and_not_scored(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(images / "photo-0.jpg", images / "same.jpg")
    sidscan("scan", images, "--model", "mini", "--out", "r.csv")
    before = rows(Path("r.csv").read_text())
    monkeypatch.setattr("sidscan.scoring.scorer.Scorer.score", None)
    ended = sidscan("scan", images, "--model", "mini", "--out", "r.csv", "--out", "r.html")
    assert ended.code == 0, ended.err
    assert "5 results kept" in ended.err
    assert "4 kept images without a thumbnail or crop: read again, not scored\n" in ended.err
    page = Path("r.html").read_text(encoding="utf-8")
    assert all("thumbnail" in entry for entry in chunk_entries(page).values())
    assert page.count('"crop": ') == 5, "the crops with the highest scores, too"
    made_later = {"perceptual_hash", "copy_group", "copy_distance", "copy_transform"}
    after = rows(Path("r.csv").read_text())
    assert [{name: row[name] for name in row if name not in made_later} for row in after] == [
        {name: row[name] for name in row if name not in made_later} for row in before
    ]
    again = sidscan("scan", images, "--model", "mini", "--out", "r.csv", "--out", "r.html")
    assert "read again" not in again.err
    assert Path("r.html").read_text(encoding="utf-8").count('"thumbnail"') == page.count('"thumbnail"')


def test_a_kept_image_with_other_bytes_is_scored_again(sidscan: Run, images: Path) -> None:
    sidscan("scan", images, "--model", "mini", "--out", "r.csv")
    path = images / "photo-0.jpg"
    status, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:15] + bytes([data[15] ^ 1]) + data[16:])  # its density, which changes no pixel
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    ended = sidscan("scan", images, "--model", "mini", "--out", "r.csv", "--out", "r.html")
    assert (
        "warning: 1 file holds other bytes than were scored, with the same size and time; it is scored "
        f"again: {path}\n"
    ) in ended.err
    (row,) = (row for row in rows(Path("r.csv").read_text()) if row["path"] == str(path))
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert row["status"] == "scored"
    entries = chunk_entries(Path("r.html").read_text(encoding="utf-8"))
    assert all("thumbnail" in entry for entry in entries.values())


def test_a_kept_image_that_cannot_be_read_keeps_its_score(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidscan("scan", images, "--model", "mini", "--out", "r.csv")
    monkeypatch.setattr(
        "sidscan.isolation.reader.IsolatedReader.__call__",
        lambda self, item: Failure(item, Stage.READ, "Crashed", "lost", status=Status.CRASHED),
    )
    ended = sidscan("scan", images, "--model", "mini", "--out", "r.csv", "--out", "r.html")
    assert ended.code == 0, ended.err
    assert "4 images have no thumbnail: it can't be made, or the bytes of a URL were not kept\n" in ended.err
    assert {row["status"] for row in rows(Path("r.csv").read_text())} == {"scored"}


def report_id(path: Path) -> str:
    match = re.search(r'"report_id": "([0-9a-f]{16})"', path.read_text(encoding="utf-8"))
    assert match is not None
    return match[1]


def test_a_report_keeps_its_marks_when_the_scan_is_run_again(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = set()
    for name, times in ((images, "2026-01-01"), ("images", "2026-01-02")):
        for user in ("sidscan.pipeline.opening", "sidscan.pipeline.scan"):
            monkeypatch.setattr(f"{user}.utc_now", lambda day=times: f"{day}T00:00:00+00:00")
        sidscan("scan", name, "--model", "mini", "--out", "r.html")
        ids.add(report_id(Path("r.html")))
    assert len(ids) == 1


def test_a_file_where_the_folder_must_be_is_noticed_before_the_scan(sidscan: Run, images: Path) -> None:
    Path("r_files").write_text("mine")
    ended = sidscan("scan", images, "--model", "mini", "--out", "r.html")
    assert ended.code == 7
    assert "r_files is a file, and a large report needs a folder of that name\n" in ended.err
    assert "model:" not in ended.err


def test_a_file_that_is_not_text_can_be_replaced(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "INLINE_ROWS", 1)
    Path("r.html").write_bytes(b"\xff\xfe")
    assert sidscan("scan", images, "--model", "mini", "--out", "r.html", "--overwrite").code == 0


def test_too_many_rows_are_refused_and_the_other_reports_written(sidscan: Run, images: Path) -> None:
    ended = sidscan(
        "scan", images, "--model", "mini", "--html-rows", "3", "--out", "r.html", "--out", "r.csv"
    )
    assert ended.code == 7
    assert "warning: r.html will not be written: it would have 4 rows, more than 3 (--html-rows)" in ended.err
    assert ended.err.endswith(
        "r.html is not written: it would have 4 rows, more than 3 (--html-rows)\n"
        "Use --out report.csv, which takes any number of rows; no image is scored again. "
        "Written: r.csv.\n"
    )
    assert not Path("r.html").exists()
    assert len(Path("r.csv").read_text().splitlines()) == 1 + 4
    ended = sidscan("report", "r.html", "--html-rows", "4", "--out", "r.html")
    assert ended.code == 0


@pytest.mark.parametrize(
    ("choice", "chunks_in_page", "files", "thumbnails"),
    [("inline", 2, 0, True), ("files", 0, 2, True), ("none", 0, 2, False)],
)
def test_small_images_lie_where_they_are_asked_for(
    sidscan: Run,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    choice: str,
    chunks_in_page: int,
    files: int,
    thumbnails: bool,
) -> None:
    monkeypatch.setattr(html, "INLINE_ROWS", 1)
    monkeypatch.setattr(html, "CHUNK_ROWS", 2)
    sidscan("scan", images, "--model", "mini", "--out", "r.html", "--html-thumbs", choice)
    text = Path("r.html").read_text(encoding="utf-8")
    beside = list(Path("r_files").glob("*"))
    assert len(re.findall(r'id="chunk-\d+"', text)) == chunks_in_page
    assert len(beside) == files
    everything = text + "".join(path.read_text(encoding="utf-8") for path in beside)
    assert ('"thumbnail": "UklGR' in everything, '"crop": "UklGR' in everything) == (thumbnails, thumbnails)
    assert f'"images": {json.dumps(thumbnails)}' in text


def test_a_report_without_small_images_leaves_those_of_the_record_out(sidscan: Run, images: Path) -> None:
    sidscan("scan", images, "--model", "mini", "--out", "r.html")
    sidscan("report", "r.html", "--html-thumbs", "none", "--out", "r.html")
    assert '"thumbnail": "UklGR' not in Path("r.html").read_text(encoding="utf-8")
    sidscan("report", "r.html", "--out", "r.html")
    assert Path("r.html").read_text(encoding="utf-8").count('"thumbnail": "UklGR') == 4
