"""Windows are cut again from the pictures that a list names, or said to be missing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_images import encoded, photo

from sidscan.training.mini import gather as gather_module
from sidscan.training.mini.corpus import read_manifest
from sidscan.training.mini.gather import Listed, gather, read_list

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def hosted(tmp_path: Path) -> tuple[str, list[Listed]]:
    """A host with one repository of two pictures, and a list of them."""
    place = tmp_path / "host" / "owner" / "pictures"
    place.mkdir(parents=True)
    git(place, "init", "-q")
    picture = photo(300, 200)
    (place / "a b.jpg").write_bytes(encoded(picture, "JPEG", quality=90))
    (place / "p.png").write_bytes(encoded(picture.convert("P"), "PNG"))
    git(place, "add", ".")
    git(place, "commit", "-qm", "pictures")
    commit, repo = git(place, "rev-parse", "HEAD"), "owner/pictures"
    listed = [
        Listed(label, what, repo, commit, path, git(place, "rev-parse", f"HEAD:{path}"), "CC0", *box)
        for label, what, path, box in (
            ("real", "web", "a b.jpg", (16, 32, 100, 90)),
            ("synthetic", "flux", "p.png", (0, 0, 300, 200)),
        )
    ]
    return (tmp_path / "host").as_uri(), listed


def cut(listed: Sequence[Listed], out: Path, host: str) -> list[str]:
    return list(gather(listed, out, out / "clones", host))


def test_windows_and_manifest(hosted: tuple[str, list[Listed]], tmp_path: Path) -> None:
    host, listed = hosted
    out = tmp_path / "out"
    assert cut(listed, out, host) == []
    real, synthetic = read_manifest(out)
    assert (real.synthetic, real.source, real.repo, real.licence) == (False, "web", "owner/pictures", "CC0")
    assert (synthetic.synthetic, synthetic.source) == (True, "flux")
    whole = np.asarray(Image.open(tmp_path / "host" / "owner" / "pictures" / "a b.jpg"))
    assert np.array_equal(np.asarray(Image.open(out / real.file)), whole[32:122, 16:116])
    assert Image.open(out / synthetic.file).mode == "RGB"


def test_what_is_missing_is_told_and_the_rest_is_made(
    hosted: tuple[str, list[Listed]], tmp_path: Path
) -> None:
    host, (first, second) = hosted
    out = tmp_path / "out"
    gone = [replace(first, repo="owner/gone"), replace(first, blob="0" * 40, left=1)]
    told = cut([*gone, second], out, host)
    assert [line.split()[0] for line in told] == ["owner/gone", "owner/pictures"]
    assert [window.source for window in read_manifest(out)] == ["flux"]


def test_a_clone_that_failed_is_not_tried_again(
    hosted: tuple[str, list[Listed]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, listed = hosted
    asked: list[str] = []

    def refuse(*words: str) -> bytes:
        asked.append(words[0])
        raise gather_module.GitError("no such host")

    monkeypatch.setattr(gather_module, "_git", refuse)
    elsewhere = replace(listed[0], repo="owner/other")
    assert len(cut([listed[0], elsewhere, listed[1]], tmp_path / "out", host)) == 3
    assert asked == ["clone", "clone"]  # one each


def test_what_is_there_is_not_cut_again(hosted: tuple[str, list[Listed]], tmp_path: Path) -> None:
    host, listed = hosted
    out = tmp_path / "out"
    cut(listed, out, host)
    shutil.rmtree(out / "clones")
    shutil.rmtree(tmp_path / "host")
    assert cut(listed, out, host) == []
    assert len(read_manifest(out)) == 2


def test_the_list_names_every_window_once() -> None:
    listed = read_list()
    assert len({one.file for one in listed}) == len(listed) > 3000
    assert all(len(one.blob) == len(one.commit) == 40 and one.width > 0 < one.height for one in listed)
    assert {one.label for one in listed} == {"real", "synthetic"}
