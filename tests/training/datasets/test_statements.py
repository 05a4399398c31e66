"""`sidscan dataset --croissant` and `--datasheet`: what is measured, and what only a person can say."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sample_images import encoded, photo

from sidscan.training.datasets.inventory import read_facts

Run = Callable[..., Any]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Five images: two with equal bytes, one of which only the name says that it is an image."""
    files = {"a.png": encoded(photo(40, 30), "PNG"), "b.jpg": encoded(photo(60, 50), "JPEG"), "c.png": b"no"}
    files |= {"d.png": encoded(photo(90, 20, 1), "PNG"), "e.png": files["a.png"]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    rows = ("a.png,real,test,", "b.jpg,real,test,", "c.png,1,test,A|B", "d.png,1,test,C", "e.png,real,test,")
    (tmp_path / "web.csv").write_text("\n".join(["path,label,split,generator", *rows]), encoding="utf-8")
    return tmp_path / "web.csv"


def test_croissant_describes_the_table_of_files(sidscan: Run, manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out/web.json"
    out.parent.mkdir()
    ended = sidscan("dataset", manifest, "--croissant", out, "--licence", "CC-BY-4.0", "--creator", "X")
    assert ended.code == 0, ended.err
    assert "only you can say: add --description, --url, --published\n" in ended.err
    table = out.with_name("web.images.csv")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    data = (tmp_path / "d.png").read_bytes()
    assert rows[3] == {
        "path": "../d.png",
        "label": "synthetic",
        "split": "test",
        "set": "web",
        "generator": "C",
        "class": "",
        "bytes": str(len(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
        "format": "PNG",
        "width": "90",
        "height": "20",
    }
    assert [row["format"] for row in rows] == ["PNG", "JPEG", "not an image", "PNG", "PNG"]
    assert sidscan("dataset", table).code == 0  # it is a manifest, too

    metadata = json.loads(out.read_text(encoding="utf-8"))
    assert list(metadata)[:6] == ["@context", "@type", "name", "conformsTo", "license", "creator"]
    assert metadata["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert (metadata["name"], metadata["license"]) == ("web", "CC-BY-4.0")
    (resource,), (records,) = metadata["distribution"], metadata["recordSet"]
    assert resource["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert resource["contentSize"] == f"{table.stat().st_size} B"
    assert (resource["@type"], resource["contentUrl"]) == ("cr:FileObject", "web.images.csv")
    assert [field["name"] for field in records["field"]] == list(rows[0])
    for field in records["field"]:
        assert {"@type", "@id", "name", "description", "dataType", "source"} == set(field)
        assert field["source"] == {
            "fileObject": {"@id": resource["@id"]},
            "extract": {"column": field["name"]},
        }
    used = {key for part in (resource, records, *records["field"]) for key in part if key[0] != "@"}
    schema_org = {"name", "description", "contentUrl", "contentSize", "encodingFormat", "sha256"}
    assert used - schema_org <= set(metadata["@context"])


def test_a_datasheet_holds_counts_and_asks_the_rest(sidscan: Run, manifest: Path, tmp_path: Path) -> None:
    ended = sidscan(
        "dataset", manifest, "--datasheet", tmp_path / "sheet.md", "--name", "Web|1", "--url", "http://u"
    )
    assert ended.code == 0, ended.err
    text = (tmp_path / "sheet.md").read_text(encoding="utf-8")
    assert text.startswith("# Datasheet: Web\\|1\n")
    assert "5 images (3 real, 2 synthetic), " in text
    assert " 1 have the bytes of an earlier one." in text
    assert "| test | web | synthetic | A\\|B | 1 |\n| test | web | synthetic | C | 1 |\n" in text
    assert "| real | 40 | 40 | 60 |\n| synthetic | 90 | 90 | 90 |\n" in text
    assert "Licence: *Which one?" in text
    assert "Address: http://u\n" in text


def test_published_data_sets_are_cited(sidscan: Run, tmp_path: Path) -> None:
    for folder, name in (("RAISEpng", "a"), ("synthbuster/firefly", "b")):
        (tmp_path / "sb" / folder).mkdir(parents=True)
        (tmp_path / "sb" / folder / f"{name}.png").write_bytes(encoded(photo(20, 20), "PNG"))
    outputs = ("--croissant", tmp_path / "c.json", "--datasheet", tmp_path / "d.md")
    assert sidscan("dataset", tmp_path / "sb", *outputs).code == 0
    assert "@article{bammey2024synthbuster," in json.loads((tmp_path / "c.json").read_text())["citeAs"]
    assert "```bibtex\n@article{bammey2024synthbuster," in (tmp_path / "d.md").read_text(encoding="utf-8")


def test_nothing_is_replaced_or_said_in_vain(sidscan: Run, manifest: Path, tmp_path: Path) -> None:
    ended = sidscan("dataset", manifest, "--licence", "MIT")
    assert (ended.code, "--licence has no effect without --croissant or --datasheet" in ended.err) == (
        2,
        True,
    )
    for flag, value, words in (
        ("--published", "yesterday", "yesterday is not a date. Write it like 2026-11-29."),
        ("--published", "20261129", "20261129 is not a date."),
        ("--url", "example.org", "example.org is not the address of a page. Write https://...."),
    ):
        ended = sidscan("dataset", manifest, "--datasheet", tmp_path / "d.md", flag, value)
        assert (ended.code, words in ended.err) == (2, True)
    (tmp_path / "c.images.csv").write_text("mine", encoding="utf-8")
    ended = sidscan("dataset", manifest, "--croissant", tmp_path / "c.json")
    assert (ended.code, "c.images.csv exists" in ended.err) == (7, True)
    assert sidscan("dataset", manifest, "--croissant", tmp_path / "c.json", "--overwrite").code == 0


def test_one_file_is_one_thing(sidscan: Run, manifest: Path, tmp_path: Path) -> None:
    """Not even --overwrite replaces the list that is read, or one result by another."""
    before = manifest.read_bytes()
    for outputs in (
        ("--datasheet", manifest),
        ("--croissant", tmp_path / "x.md", "--datasheet", tmp_path / "x.md"),
        ("--croissant", tmp_path / "c.json", "--datasheet", tmp_path / "c.images.csv"),
        ("--out", tmp_path / "c.images.csv", "--croissant", tmp_path / "c.json"),
    ):
        assert sidscan("dataset", manifest, *outputs, "--overwrite").code == 2
    assert manifest.read_bytes() == before


def test_an_image_of_many_pixels_has_a_size(tmp_path: Path) -> None:
    """Pillow calls it a bomb, and would refuse its header."""
    Image.new("1", (20_000, 10_000)).save(tmp_path / "wide.png")
    facts = read_facts(tmp_path / "wide.png")
    assert (facts.format, facts.width, facts.height) == ("PNG", 20_000, 10_000)
