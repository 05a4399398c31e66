"""Zip and tar files as inputs, as a user meets them: one row a member, whatever is in them."""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sample_archives import (
    TARS,
    local_entry,
    nested,
    write_archive,
    write_by_hand,
    write_links,
    write_overlapping,
    write_tar,
    write_zip,
)
from sample_images import encoded, photo

from sidscan.archives.entries import ArchiveEntry
from sidscan.isolation.archives import ArchiveReader

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")
IMAGES = [(f"dir/{index}.png", encoded(photo(240, 240, index), "PNG")) for index in range(4)]
NESTED = "archives in archives are not read; unpack the outer one and scan the folder"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    return tmp_path


def rows(report: str = "r.csv") -> dict[str, dict[str, str]]:
    with Path(report).open(encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def endings() -> dict[str, str]:
    return {path: row["error_message"] or row["status"] for path, row in rows().items()}


def test_an_archive_in_a_folder_is_read_like_a_folder(sidscan: Run, desk: Path) -> None:
    others = [("notes.txt", b"text"), (".hidden.png", IMAGES[0][1]), ("../up.png", IMAGES[0][1])]
    others += [("in.zip", nested(1, b"")), ("unnamed", IMAGES[1][1]), ("._x.png", b"\0\5\x16\7")]
    write_zip(Path("in/a.zip"), IMAGES[:2] + others, zipfile.ZIP_DEFLATED)
    Path("in/b.png").write_bytes(IMAGES[2][1])
    assert sidscan("scan", "in", *MINI, "-o", "r.csv").code == 0
    assert endings() == {
        "in/a.zip!/dir/0.png": "scored",
        "in/a.zip!/dir/1.png": "scored",
        "in/a.zip!/notes.txt": "not an image: neither its name nor its first bytes say so",
        "in/a.zip!/../up.png": "scored",
        "in/a.zip!/in.zip": f"a ZIP archive: {NESTED}",
        "in/a.zip!/unnamed": "scored",
        "in/b.png": "scored",
    }
    row = rows()["in/a.zip!/dir/0.png"]
    assert row["sha256"] == hashlib.sha256(IMAGES[0][1]).hexdigest()
    assert int(row["bytes"]) == len(IMAGES[0][1])


@pytest.mark.parametrize("compression", TARS.values(), ids=TARS)
@pytest.mark.parametrize("isolation", ["--isolation", "--no-isolation"])
def test_tars(sidscan: Run, desk: Path, compression: str, isolation: str) -> None:
    write_tar(Path("a.tar"), IMAGES, compression)
    assert sidscan("scan", "a.tar", *MINI, isolation, "-o", "r.csv").code == 0
    assert [(path, row["status"], row["modified_at"]) for path, row in rows().items()] == [
        (f"a.tar!/{name}", "scored", "2001-09-09T01:46:40+00:00") for name, _ in IMAGES
    ]
    assert [row["sha256"] for row in rows().values()] == [
        hashlib.sha256(data).hexdigest() for _, data in IMAGES
    ]


def test_without_archives(sidscan: Run, desk: Path) -> None:
    write_zip(Path("in/a.zip"), IMAGES)
    Path("in/b.png").write_bytes(IMAGES[2][1])
    assert sidscan("scan", "in", *MINI, "--no-archives", "-o", "r.csv").code == 0
    assert endings() == {
        "in/a.zip": "a ZIP archive: images in archives are not scored; unpack it and scan the folder",
        "in/b.png": "scored",
    }


def test_documents_are_read_when_they_are_named(sidscan: Run, desk: Path) -> None:
    write_zip(Path("in/a.docx"), [("word/document.xml", b"<w/>"), ("word/media/image1.png", IMAGES[0][1])])
    assert sidscan("scan", "in", *MINI, "--allow-empty", "-o", "r.csv").code == 0
    assert endings() == {
        "in/a.docx": "a Word document: images in documents are not scored; export them and scan those, "
        "or name the document itself"
    }
    assert sidscan("scan", "in/a.docx", *MINI, "-o", "s.csv").code == 0
    assert [row["status"] for row in rows("s.csv").values()] == ["skipped", "scored"]


def test_a_compressed_file_that_is_no_tar_is_skipped(sidscan: Run, desk: Path) -> None:
    import gzip

    Path("in/log.gz").write_bytes(gzip.compress(b"text"))
    Path("in/a.tar.gz").write_bytes(gzip.compress(b"text"))
    assert sidscan("scan", "in", *MINI, "-o", "r.csv").code == 3
    assert endings() == {
        "in/log.gz": "a gzip archive: images in archives are not scored; unpack it and scan the folder",
        "in/a.tar.gz": "not all of the archive can be read: it is not a tar archive, or damaged at its start",
    }


def test_hostile_members_have_rows(sidscan: Run, desk: Path) -> None:
    write_overlapping(Path("in/overlap.zip"), IMAGES[0][1], IMAGES[1][1])
    encrypted = [
        {"name": b"a.png", "flags": 1, "size": 1},
        {"name": b"notes", "flags": 1, "offset": 36, "size": 1},
    ]
    write_by_hand(
        Path("in/secret.zip"),
        encrypted,
        local_entry(b"a.png", b"1", flags=1) + local_entry(b"notes", b"1", flags=1),
    )
    write_links(Path("in/links.tar"))
    write_zip(Path("in/cut.zip"), IMAGES)
    Path("in/cut.zip").write_bytes(Path("in/cut.zip").read_bytes()[: len(IMAGES[0][1]) + 1000])
    write_zip(Path("in/empty.zip"), [])
    assert sidscan("scan", "in", *MINI, "-o", "r.csv").code == 3
    image = "the archive holds this image, but it can't be read: "
    overlap = f"{image}its bytes overlap those of another member, as in a zip bomb"
    assert endings() == {
        "in/cut.zip!/dir/0.png": "scored",
        "in/cut.zip!/dir/1.png": f"{image}it lies outside of its archive, which is damaged or cut off",
        "in/cut.zip": "not all of the archive can be read: its directory is missing: the file is cut off, "
        "or one part of several, to be joined first; 1 whole member was found without it",
        "in/empty.zip": "the archive holds no files; hidden ones need --hidden",
        "in/links.tar!/sym.png": "a symbolic link, not followed",
        "in/links.tar!/hard.png": "a hard link to another member, not followed",
        "in/links.tar!/null.png": "not a regular file",
        "in/overlap.zip!/a.png": overlap,
        "in/overlap.zip!/b.png": overlap,
        "in/secret.zip!/a.png": f"{image}it is encrypted; unpack it with its password and scan the folder",
        "in/secret.zip!/notes": "not an image by its name, and its first bytes can't be read: it is "
        "encrypted; unpack it with its password and scan the folder",
    }
    classes = {row["error_class"] for row in rows().values() if row["status"] == "failed"}
    assert classes == {"MemberNotRead", "ArchiveNotRead"}


def test_parts_of_archives_have_failed_rows(sidscan: Run, desk: Path) -> None:
    for name in ("a.z01", "b.zip.001", "c.TAR.GZ.002", "d.zip.1"):
        Path("in", name).write_bytes(b"PK\3\4 or any bytes")
    Path("in/photo.png").write_bytes(IMAGES[0][1])
    assert sidscan("scan", "in", *MINI, "-o", "r.csv").code == 3
    why = (
        "not all of the archive can be read: it is one part of an archive in several files; join them first, "
    )
    part = f"{why}and scan the whole"
    found = endings()
    assert [found[f"in/{name}"] for name in ("a.z01", "b.zip.001", "c.TAR.GZ.002")] == [part] * 3
    assert found["in/photo.png"] == "scored"
    assert sidscan("scan", "in", *MINI, "--no-archives", "-o", "n.csv").code == 0
    assert part not in Path("n.csv").read_text()


def test_more_members_than_allowed(sidscan: Run, desk: Path) -> None:
    write_zip(Path("a.zip"), IMAGES)
    assert sidscan("scan", "a.zip", *MINI, "--max-members", "3", "-o", "r.csv").code == 3
    assert list(rows())[:3] == [f"a.zip!/{name}" for name, _ in IMAGES[:3]]
    assert endings()["a.zip"] == (
        "not all of the archive can be read: 1 of its 4 members were not read; raise the limit with "
        "--max-members"
    )


def test_members_are_excluded_by_their_names(sidscan: Run, desk: Path) -> None:
    write_zip(Path("in/a.zip"), [*IMAGES, ("top.png", IMAGES[0][1])])
    for pattern, left in (
        ("dir", 1),
        ("3.png", 4),
        ("a.zip!/dir/0.png", 4),
        ("in/a.zip!/top.png", 4),
        ("a.zip", 0),
    ):
        ended = sidscan("scan", "in", *MINI, "--exclude", pattern, "--allow-empty", "-o", "r.csv", "--fresh")
        assert ended.code == 0
        scored = [path for path, row in rows().items() if row["status"] == "scored"]
        assert len(scored) == left, pattern


@pytest.mark.parametrize("compression", ["zip", "", "gz"])
def test_the_same_command_again_reads_nothing_again(
    sidscan: Run, desk: Path, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    list_entries = ArchiveReader.list_entries

    def counted(reader: ArchiveReader, path: str) -> Iterator[ArchiveEntry]:
        listed.append(path)
        return list_entries(reader, path)

    monkeypatch.setattr(ArchiveReader, "list_entries", counted)
    path = Path("a.bin")
    make = partial(write_archive, path, compression)
    make(IMAGES)
    sidscan("scan", "a.bin", *MINI, "-o", "r.csv")
    again = sidscan("scan", "a.bin", *MINI, "-o", "r.csv")
    assert "4 results kept from an earlier run" in again.err
    assert len(listed) == (1 if compression == "gz" else 2), "a compressed tar is listed once"
    make([*IMAGES[:3], ("dir/3.png", IMAGES[0][1])])
    changed = sidscan("scan", "a.bin", *MINI, "-o", "r.csv")
    assert "not kept" in changed.err or "changed" in changed.err
    assert rows()["a.bin!/dir/3.png"]["sha256"] == hashlib.sha256(IMAGES[0][1]).hexdigest()


@pytest.mark.parametrize("compression", ["zip", "", "xz"])
def test_verify_hashes_members_again(sidscan: Run, desk: Path, compression: str) -> None:
    path = Path("a.bin")
    members = [*IMAGES, IMAGES[0]]
    make = partial(write_archive, path, compression)
    make(members)
    sidscan("scan", "a.bin", *MINI, "-o", "r.csv")
    assert (
        sidscan("verify", "r.csv")
        .err.splitlines()[-1]
        .startswith("5 rows = 5 unchanged + 0 changed + 0 missing + 0 unreadable + 0 not recorded")
    )
    make([IMAGES[0], ("dir/1.png", b"other"), *IMAGES[2:3]])
    ended = sidscan("verify", "r.csv")
    assert ended.code == 8
    assert ended.err.splitlines()[-1].startswith(
        "5 rows = 2 unchanged + 1 changed + 2 missing + 0 unreadable"
    )
    path.unlink()
    assert "0 unchanged + 0 changed + 5 missing" in sidscan("verify", "r.csv").err


def test_verify_tells_a_member_from_a_file_of_its_name(sidscan: Run, desk: Path) -> None:
    Path("in/x.zip!").mkdir(parents=True)
    write_zip(Path("in/x.zip"), [("in.png", IMAGES[0][1])])
    Path("in/x.zip!/in.png").write_bytes(IMAGES[1][1])
    sidscan("scan", "in", *MINI, "-o", "r.csv")
    with Path("r.csv").open(newline="") as file:
        hashes = {row["sha256"] for row in csv.DictReader(file)}
    assert hashes == {hashlib.sha256(image).hexdigest() for _, image in IMAGES[:2]}
    ended = sidscan("verify", "r.csv")
    assert (ended.code, "2 rows = 2 unchanged" in ended.err) == (0, True), ended.err
    Path("in/x.zip!/in.png").write_bytes(b"other")
    assert sidscan("verify", "r.csv").out == "changed: in/x.zip!/in.png\n"
    Path("in/x.zip").unlink()
    assert sidscan("verify", "r.csv").out == 2 * "changed: in/x.zip!/in.png\n"


def test_one_member_by_its_name(sidscan: Run, desk: Path) -> None:
    write_zip(Path("a.zip"), IMAGES)
    write_tar(Path("a.tgz"), IMAGES, "gz")
    for name in ("a.zip!/dir/1.png", "a.tgz!/dir/1.png"):
        ended = sidscan("inspect", name, *MINI, "--format", "json")
        assert ended.code == 0
        assert json.loads(ended.out)["images"][0]["result"]["path"] == name
        assert sidscan("provenance", name).out.startswith(f"{name}: none\n")
    assert sidscan("scan", "a.zip!/dir/9.png", *MINI, "-o", "r.csv").code == 3
    assert endings() == {"a.zip!/dir/9.png": "the archive has no such member"}
    Path("names.txt").write_text("".join(f"a.tgz!/{name}\n" for name, _ in IMAGES))
    assert sidscan("scan", "--list", "names.txt", *MINI, "-o", "s.csv").code == 0
    assert len(rows("s.csv")) == 4


def test_a_folder_whose_name_looks_like_an_archive(sidscan: Run, desk: Path) -> None:
    Path("wow!").mkdir()
    Path("wow!/a.png").write_bytes(IMAGES[0][1])
    write_zip(Path("wow"), [("a.png", IMAGES[1][1])])
    assert sidscan("scan", "wow!", "wow", *MINI, "-o", "r.jsonl").code == 0
    results = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    found = [(each["path"], each["kind"], each["facts"]["sha256"]) for each in results]
    assert found == [
        ("wow!/a.png", "file", hashlib.sha256(IMAGES[0][1]).hexdigest()),
        ("wow!/a.png", "member", hashlib.sha256(IMAGES[1][1]).hexdigest()),
    ]


def test_an_archive_whose_disk_is_gone_is_not_forgotten(sidscan: Run, desk: Path) -> None:
    write_zip(Path("in/a.zip"), IMAGES)
    Path("in/b.png").write_bytes(IMAGES[0][1])
    Path("names.txt").write_text("in/a.zip\nin/b.png\n")
    assert sidscan("scan", "--list", "names.txt", *MINI, "-o", "r.csv").code == 0
    Path("in/a.zip").unlink()
    ended = sidscan("scan", "--list", "names.txt", *MINI, "-o", "r.csv")
    assert "a.zip is gone or can't be listed, and an earlier run has results below it" in ended.err


def test_a_page_shows_members(sidscan: Run, desk: Path) -> None:
    write_tar(Path("a.tgz"), IMAGES, "gz")
    assert sidscan("scan", "a.tgz", *MINI, "-o", "r.csv").code == 0
    ended = sidscan("scan", "a.tgz", *MINI, "-o", "r.csv", "-o", "r.html", "--look-closer", "1")
    assert ended.code == 0, ended.err
    page = Path("r.html").read_text(encoding="utf-8")
    assert page.count('"thumbnail"') >= 4 or page.count("UklGR") >= 4  # WebP in base64


def test_the_scan_itself_parses_no_archive(sidscan: Run, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sidscan.archives import reading

    def refuse(*_: object) -> None:
        raise AssertionError("an archive was opened in the scan's own process")

    monkeypatch.setattr(reading, "_entries", refuse)
    monkeypatch.setattr(reading, "read_member", refuse)
    write_zip(Path("a.zip"), IMAGES)
    write_tar(Path("a.tgz"), IMAGES, "gz")
    assert sidscan("scan", "a.zip", "a.tgz", *MINI, "-o", "r.csv").code == 0
    assert sidscan("verify", "r.csv").code == 0
