"""Parquet files as inputs: columns of names, and cells that hold images."""

from __future__ import annotations

import csv
import hashlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, folder, photo

from sidscan.archives.entries import ArchiveError
from sidscan.archives.reading import list_entries, open_member

pytest.importorskip("pyarrow")

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")
IMAGES = [encoded(photo(240, 240, index), "PNG") for index in range(5)]


def write(path: str | Path, columns: dict[str, Any], **options: Any) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), path, **options)
    return Path(path)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(report: str = "r.csv") -> list[dict[str, str]]:
    with Path(report).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_column_of_paths_is_a_list(sidscan: Run, desk: Path) -> None:
    folder(Path("in"))
    names = ["in/photo-0.jpg", None, "in/gone.jpg", " ", "s3://private/a.jpg", "in/nested"]
    write("x.parquet", {"id": range(6), "File": names})
    assert sidscan("scan", "--list", "x.parquet", "--list-column", "file", *MINI, "-o", "r.csv").code == 3
    assert [(row["path"], row["status"]) for row in rows()] == [
        ("in/photo-0.jpg", "scored"),
        ("in/gone.jpg", "failed"),
        ("s3://private/a.jpg", "refused"),
        ("in/nested/photo-2.jpg", "scored"),
    ]


@pytest.mark.parametrize("row_groups", [1, 2, 100])
def test_cells_that_hold_images_have_a_row_each(sidscan: Run, desk: Path, row_groups: int) -> None:
    values = [*IMAGES[:3], None, b"no image", *IMAGES[3:]]
    write("x.parquet", {"id": range(7), "image": values}, row_group_size=row_groups)
    ended = sidscan("scan", "--list", "x.parquet", "--list-column", "image", *MINI, "-o", "r.csv")
    assert ended.code == 0, ended.err
    assert [(row["path"], row["error_message"] or row["status"]) for row in rows()] == [
        ("x.parquet!/image/0", "scored"),
        ("x.parquet!/image/1", "scored"),
        ("x.parquet!/image/2", "scored"),
        ("x.parquet!/image/3", "this row has no bytes"),
        ("x.parquet!/image/4", "not an image: neither its name nor its first bytes say so"),
        ("x.parquet!/image/5", "scored"),
        ("x.parquet!/image/6", "scored"),
    ]
    hashes = [row["sha256"] for row in rows() if row["sha256"]]
    assert hashes == [hashlib.sha256(image).hexdigest() for image in IMAGES]
    ended = sidscan("verify", "r.csv")
    assert (ended.code, "7 rows = 5 unchanged + 0 changed" in ended.err) == (0, True), ended.err
    ended = sidscan("scan", "--list", "x.parquet", "--list-column", "image", *MINI, "-o", "r.csv")
    assert "7 results kept" in ended.err


def test_a_dataset_in_a_folder_is_read_as_archives_are(sidscan: Run, desk: Path) -> None:
    Path("data").mkdir()
    cells = [{"bytes": image, "path": f"{number}.png"} for number, image in enumerate(IMAGES[:2])]
    write("data/train-0.parquet", {"image": cells, "label": [0, 1], "thumb": IMAGES[2:4]})
    write("data/numbers.parquet", {"a": [1, 2]})
    assert sidscan("scan", "data", *MINI, "-o", "r.csv").code == 0
    assert [(row["path"], row["status"]) for row in rows()] == [
        ("data/numbers.parquet", "skipped"),
        *(
            (f"data/train-0.parquet!/{name}", "scored")
            for name in ("image/0", "image/1", "thumb/0", "thumb/1")
        ),
    ]
    assert "it has no column of bytes" in rows()[0]["error_message"]
    assert sidscan("verify", "r.csv").code == 0
    sidscan("scan", "--list", "data/train-0.parquet", "--list-column", "thumb", *MINI, "-o", "s.csv")
    assert [row["path"] for row in rows("s.csv")] == [f"data/train-0.parquet!/thumb/{row}" for row in (0, 1)]
    sidscan("scan", "data/train-0.parquet!/thumb/1", *MINI, "-o", "t.csv")
    assert rows("t.csv")[0]["sha256"] == hashlib.sha256(IMAGES[3]).hexdigest()


@pytest.mark.parametrize(
    ("column", "words"),
    [
        pytest.param(
            None, "the list x.parquet is a Parquet file with the columns id, Name, name", id="no column"
        ),
        pytest.param(
            "url", "the list x.parquet has no column 'url'; its columns are id, Name, name", id="none"
        ),
        pytest.param("NAME", "the list x.parquet has 2 columns 'NAME'", id="two"),
        pytest.param(
            "id",
            "has neither text nor bytes in the column 'id'; its columns are id, Name, name",
            id="numbers",
        ),
    ],
)
def test_a_column_must_be_named(sidscan: Run, desk: Path, column: str | None, words: str) -> None:
    write("x.parquet", {"id": [1], "Name": ["a"], "name": ["b"]})
    options = ["--list-column", column] if column else []
    ended = sidscan("scan", "--list", "x.parquet", *options, *MINI, "-o", "r.csv")
    assert (ended.code, words in ended.err, "--list-column" in ended.err) == (2, True, True), ended.err


@pytest.mark.parametrize("as_list", [True, False])
def test_damaged_files_are_said(sidscan: Run, desk: Path, as_list: bool) -> None:
    data = write("x.parquet", {"image": IMAGES}).read_bytes()
    Path("x.parquet").write_bytes(data[:-200])
    named = ["--list", "x.parquet", "--list-column", "image"] if as_list else ["x.parquet"]
    ended = sidscan("scan", *named, *MINI, "-o", "r.csv")
    if as_list:
        assert (ended.code, "the list x.parquet can't be read as Parquet" in ended.err) == (2, True), (
            ended.err
        )
    else:
        assert ended.code == 3
        (row,) = rows()
        assert row["error_class"] == "ArchiveNotRead"
        assert "it can't be read as Parquet" in row["error_message"]


def test_random_damage_raises_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", {"image": IMAGES}, row_group_size=2)
    whole = path.read_bytes()
    generator = random.Random(5)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 6)):
            data[generator.randrange(4, len(data) - 8)] = generator.randrange(256)
        path.write_bytes(data)
        for entry in list_entries(str(path), lambda _: True):
            if entry.span:
                try:
                    parts = list(
                        open_member(
                            f"{path}!/{entry.name}",
                            f"{path.stat().st_size}:{path.stat().st_mtime_ns}|{entry.span}",
                        ).read()
                    )
                except ArchiveError:
                    continue
                assert sum(map(len, parts)) == entry.span.size


def test_without_pyarrow_the_command_that_brings_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.parquet", {"image": IMAGES})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (entry,) = list_entries(str(path), lambda _: True)
    assert entry.problem == (
        "it is a Parquet file, which needs one package more: pip install pyarrow; then run the scan again"
    )


def test_a_large_cell_is_within_the_limits(sidscan: Run, desk: Path) -> None:
    write("x.parquet", {"image": [IMAGES[0], IMAGES[1] + bytes(3_000_000), IMAGES[2]]})
    sidscan("scan", "x.parquet", *MINI, "-o", "r.csv", "--max-bytes", "2MB")
    assert [row["status"] for row in rows()] == ["scored", "too_large", "scored"]


def test_a_bomb_costs_its_own_file_alone(sidscan: Run, desk: Path) -> None:
    """Cells that unpack to more memory than a process may take."""
    Path("in").mkdir()
    write("in/bomb.parquet", {"image": [bytes(400 << 20)]}, compression="zstd")
    assert Path("in/bomb.parquet").stat().st_size < 1 << 20
    Path("in/good.png").write_bytes(IMAGES[0])
    ended = sidscan("scan", "in", *MINI, "-o", "r.csv", "--memory-limit", "300")
    assert ended.code == 3, ended.err
    bomb, good = rows()
    assert (bomb["path"], bomb["status"], good["status"]) == ("in/bomb.parquet", "failed", "scored")
    assert "memory" in bomb["error_message"] or "process" in bomb["error_message"]


def test_columns_of_one_name_are_refused_and_not_mixed_up(desk: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    names = ["image", "other", "image"]
    parquet.write_table(
        pa.Table.from_arrays([pa.array([b"a"]), pa.array([b"b"]), pa.array([b"c"])], names), "x.parquet"
    )
    assert [entry.problem for entry in list_entries("x.parquet")] == ["it has several columns 'image'"]
    one = pa.table({"image": pa.array([{"bytes": b"a"}]), "image.bytes": pa.array([b"b"])})
    parquet.write_table(one, "y.parquet")
    assert [entry.problem for entry in list_entries("y.parquet")] == ["it has several columns 'image.bytes'"]


def test_a_column_whose_name_begins_another_one_is_read_alone(sidscan: Run, desk: Path) -> None:
    write("x.parquet", {"a": IMAGES[:2], "a/b": IMAGES[2:4]})
    assert sidscan("scan", "--list", "x.parquet", "--list-column", "a", *MINI, "-o", "r.csv").code == 0
    assert [row["path"] for row in rows()] == ["x.parquet!/a/0", "x.parquet!/a/1"]
    assert sidscan("scan", "--list", "x.parquet", "--list-column", "a/b", *MINI, "-o", "s.csv").code == 0
    assert [row["path"] for row in rows("s.csv")] == ["x.parquet!/a/b/0", "x.parquet!/a/b/1"]
