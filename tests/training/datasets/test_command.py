"""`sidscan dataset`: counts, manifests, and images in several parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidscan.cli.data_options import LAYOUTS

Run = Callable[..., Any]

COUNTS = """\
part   set  generator  label      images
train  one  -          real            1
train  one  A          synthetic       1
test   -    -          real            1
test   one  A          synthetic       1
test   two  B          synthetic       2
6 images: 2 real, 4 synthetic; layout manifest
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    lines = ["path,label,split,set,generator"]
    test = ("real,test,,", "1,test,one,A", "1,test,two,B", "1,test,two,B")
    rows = ("real,train,one,", "synthetic,train,one,A", *test)
    for number, row in enumerate(rows):
        (tmp_path / f"{number}.png").write_bytes(bytes([number]))
        lines.append(f"{number}.png,{row}")
    (tmp_path / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "list.csv"


def test_a_data_set_is_counted_and_written(sidscan: Run, manifest: Path) -> None:
    out = manifest.with_name("out") / "copy.csv"
    out.parent.mkdir()
    ended = sidscan("dataset", "--manifest", manifest, "--out", out)
    assert (ended.code, ended.out) == (0, COUNTS)
    assert out.read_text(encoding="utf-8").splitlines()[:3] == [
        "path,label,split,set,generator",
        "../0.png,real,train,one,",
        "../1.png,synthetic,train,one,A",
    ]
    assert sidscan("dataset", out).out == COUNTS
    again = sidscan("dataset", manifest, "--out", out)
    assert (again.code, "exists" in again.err) == (7, True)
    onto_itself = sidscan("dataset", out, "--out", out, "--overwrite")
    assert (onto_itself.code, onto_itself.err) == (
        2,
        f"sidscan: {out} is both read and written\nChoose another file to write.\n",
    )


def test_images_in_several_parts_are_named(sidscan: Run, manifest: Path) -> None:
    manifest.with_name("2.png").write_bytes(bytes([0]))
    ended = sidscan("dataset", manifest)
    assert ended.code == 3
    assert ended.err == "warning: 0.png (train) and 2.png (test) have equal bytes\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param((), "no data set is named", id="nothing"),
        pytest.param((".", "--manifest", "a.csv"), "--manifest can't be combined with .", id="both"),
        pytest.param((".", "--layout", "imagenet"), "no layout is called imagenet", id="layout"),
        pytest.param((".", "--layout", "cnndetect"), "Did you mean cnndetection? Known are", id="similar"),
        pytest.param(("none",), "no such data set: none", id="missing"),
    ],
)
def test_wrong_usage_is_refused(sidscan: Run, arguments: tuple[str, ...], words: str) -> None:
    ended = sidscan("dataset", *arguments)
    assert (ended.code, words in ended.err) == (2, True), ended.err


def test_a_folder_without_labels_is_shown_one_layout_per_line(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    ended = sidscan("dataset", tmp_path)
    message, remedy, *layouts = ended.err.splitlines()
    assert (ended.code, message) == (2, f"sidscan: {tmp_path} looks like no layout; it holds holiday")
    assert remedy == "Name the layout with --layout, or list the images in a manifest. Expected are:"
    assert [line.split(":")[0] for line in layouts] == [f"  {name}" for name in LAYOUTS]
