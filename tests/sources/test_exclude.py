"""--exclude: what is left out, and the row that says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sample_images import folder

from sidscan import ScanConfig, Status, scan
from sidscan.errors import UsageError
from sidscan.sources import open_sources

FILES = ("a.gif", "a.jpg", "private/b.jpg", "private/deep/c.gif", "q/private/d.jpg", "q/x/e.jpg")
Patterns = tuple[str, ...]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the current one, whose files are listed in `FILES`."""
    monkeypatch.chdir(tmp_path)
    root = Path("images")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def _left_out(root: str | Path, exclude: object) -> dict[str, str]:
    """The reason of each skipped input, by its path below images."""
    items = open_sources(ScanConfig(inputs=(str(root),), exclude=exclude))  # type: ignore[arg-type]
    return {os.path.relpath(item.name, "images"): item.skip for item in items if item.skip}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        pytest.param(("private",), {"private": "private", "q/private": "private"}, id="a name at any depth"),
        pytest.param(("private/",), {"private": "private/", "q/private": "private/"}, id="folders only"),
        pytest.param(("a.jpg/",), {}, id="not a folder"),
        pytest.param(("*.gif",), {"a.gif": "*.gif", "private/deep/c.gif": "*.gif"}, id="a wildcard"),
        pytest.param(("[a-b].jpg",), {"a.jpg": "[a-b].jpg", "private/b.jpg": "[a-b].jpg"}, id="a class"),
        pytest.param(("A.JPG",), {}, id="capitals matter"),
        pytest.param(("/private",), {"private": "/private"}, id="below the root"),
        pytest.param(("q/private",), {"q/private": "q/private"}, id="a path below the root"),
        pytest.param(("q/*",), {"q/private": "q/*", "q/x": "q/*"}, id="a wildcard in a path"),
        pytest.param(
            ("q/**/*.jpg",), {f"q/{n}": "q/**/*.jpg" for n in ("private/d.jpg", "x/e.jpg")}, id="**"
        ),
        pytest.param(("images/private",), {"private": "images/private"}, id="from the current folder"),
        pytest.param(("./images/q/",), {"q": "./images/q/"}, id="with a dot in front"),
        pytest.param(("../images/q",), {}, id="another folder's"),
        pytest.param(("*.jpg", "!a.jpg", "q"), {"private/b.jpg": "*.jpg", "q": "q"}, id="taken back"),
        pytest.param(("deep", "private/deep"), {"private/deep": "private/deep"}, id="the last one is named"),
        pytest.param(("#a",), {}, id="no comment"),
    ],
)
def test_patterns(images: Path, patterns: Patterns, expected: dict[str, str]) -> None:
    reasons = {name: f"excluded by --exclude {pattern}" for name, pattern in expected.items()}
    assert _left_out(images, patterns) == reasons
    assert _left_out("./images/", patterns) == reasons


@pytest.mark.parametrize("linked", [False, True], ids=["", "below a link"])
@pytest.mark.parametrize("form", ["text", "path", "tuple", "absolute text", "absolute path"])
def test_a_folder_may_be_given_in_any_form(images: Path, form: str, linked: bool) -> None:
    root = images
    if linked:
        root = Path("link")
        root.symlink_to("images", target_is_directory=True)
    forms: dict[str, object] = {
        "text": "images/private",
        "path": Path("images/private"),
        "tuple": (Path("images/private"), "no such name"),
        "absolute text": str(Path.cwd() / "images/private"),
        "absolute path": images.absolute() / "private",
    }
    names = _left_out(root, forms[form])
    assert [Path(name).name for name in names] == ["private"]
    assert all("/q/" not in name for name in names)  # the other folder of that name is walked


def test_special_characters_in_a_path_are_themselves(tmp_path: Path) -> None:
    for name in ("[a]", "a", "b c*", "bxc*"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").write_bytes(b"x")
    config = ScanConfig(inputs=(str(tmp_path),), exclude=(tmp_path / "[a]", tmp_path / "b c*"))
    skipped = [Path(item.name).name for item in open_sources(config) if item.skip]
    assert skipped == ["[a]", "b c*"]


@pytest.mark.parametrize(
    ("name", "pattern", "left_out"),
    [
        pytest.param("images/a.gif", "*.gif", True, id="a file"),
        pytest.param("images", "images", True, id="a folder"),
        pytest.param("images/private", "images", False, id="a part of a named path"),
        pytest.param("images/private", "images/private", True, id="a named path"),
        pytest.param(".", "images", False, id="the current folder"),
        pytest.param("https://example.org/a.gif", "*.gif", False, id="a URL"),
    ],
)
def test_named_inputs(images: Path, name: str, pattern: str, left_out: bool) -> None:
    items = list(open_sources(ScanConfig(inputs=(name,), exclude=(pattern,))))
    whole = [item for item in items if item.name == name and item.skip]
    assert bool(whole) == left_out


def test_of_a_listed_path_every_part_counts(images: Path) -> None:
    Path("names.txt").write_text("images/private/b.jpg\nimages/a.jpg\n")
    config = ScanConfig(lists=("names.txt",), exclude="private")
    assert [(item.name, bool(item.skip)) for item in open_sources(config)] == [
        ("images/private/b.jpg", True),
        ("images/a.jpg", False),
    ]


@pytest.mark.parametrize("pattern", ["", " ", "/", "!", "a\\"])
def test_what_is_not_a_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError) as refused:
        list(open_sources(ScanConfig(inputs=("x",), exclude=(pattern,))))
    assert refused.value.message == f"--exclude {pattern!r} is not a pattern"


@pytest.mark.parametrize("exclude", [5, ("a", 5), ["a"], b"a"])
def test_other_types_are_refused(exclude: object) -> None:
    with pytest.raises(UsageError, match="exclude must be patterns or paths"):
        ScanConfig(inputs=("x",), exclude=exclude)  # type: ignore[arg-type]


def test_a_scan_leaves_a_folder_out_and_says_so(tmp_path: Path) -> None:
    folder(tmp_path, count=3)
    results = list(scan(ScanConfig(inputs=(str(tmp_path),), models=("mini",), exclude=tmp_path / "nested")))
    assert [(Path(result.name).name, result.status) for result in results] == [
        ("nested", Status.SKIPPED),
        ("photo-0.jpg", Status.SCORED),
        ("photo-1.jpg", Status.SCORED),
    ]
    assert results[0].message == f"excluded by --exclude {tmp_path / 'nested'}"
