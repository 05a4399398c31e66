"""Windows are cut from the images that a list names, or reported as missing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sample_images import encoded, photo

from sidscan.training.windows import gather as gather_module
from sidscan.training.windows.corpus import read_manifest
from sidscan.training.windows.gather import WINDOW_LISTS, ListedWindow, gather_windows, read_window_list
from sidscan.training.windows.reserved import repository_digest

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def hosted(tmp_path: Path) -> tuple[str, list[ListedWindow]]:
    """A host with one repository of two images, and a list of their windows."""
    folder = tmp_path / "host" / "owner" / "images"
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    image = photo(300, 200)
    (folder / "a b.jpg").write_bytes(encoded(image, "JPEG", quality=90))
    (folder / "p.png").write_bytes(encoded(image.convert("P"), "PNG"))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "images")
    commit, repo = git(folder, "rev-parse", "HEAD"), "owner/images"
    listed = [
        ListedWindow(label, what, repo, commit, path, git(folder, "rev-parse", f"HEAD:{path}"), "CC0", *box)
        for label, what, path, box in (
            ("real", "web", "a b.jpg", (16, 32, 100, 90)),
            ("synthetic", "flux", "p.png", (0, 0, 300, 200)),
        )
    ]
    return (tmp_path / "host").as_uri(), listed


def cut(listed: Sequence[ListedWindow], out: Path, host: str) -> list[str]:
    return list(gather_windows(listed, out, out / "clones", host))


def test_windows_and_manifest(hosted: tuple[str, list[ListedWindow]], tmp_path: Path) -> None:
    host, listed = hosted
    out = tmp_path / "out"
    assert cut(listed, out, host) == []
    real, synthetic = read_manifest(out)
    assert (real.synthetic, real.category, real.repo, real.licence) == (False, "web", "owner/images", "CC0")
    assert (synthetic.synthetic, synthetic.category) == (True, "flux")
    whole = np.asarray(Image.open(tmp_path / "host" / "owner" / "images" / "a b.jpg"))
    assert np.array_equal(np.asarray(Image.open(out / real.file)), whole[32:122, 16:116])
    assert Image.open(out / synthetic.file).mode == "RGB"


def test_missing_windows_are_reported_and_the_others_are_cut(
    hosted: tuple[str, list[ListedWindow]], tmp_path: Path
) -> None:
    host, (first, second) = hosted
    out = tmp_path / "out"
    gone = [replace(first, repo="owner/gone"), replace(first, blob="0" * 40, left=1)]
    lines = cut([*gone, second], out, host)
    assert [line.split()[0] for line in lines] == ["owner/gone", "owner/images"]
    assert [window.category for window in read_manifest(out)] == ["flux"]


def test_a_clone_that_failed_is_not_tried_again(
    hosted: tuple[str, list[ListedWindow]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, listed = hosted
    commands: list[str] = []

    def refuse(*arguments: str) -> bytes:
        commands.append(arguments[0])
        raise gather_module.GitError("no such host")

    monkeypatch.setattr(gather_module, "_git", refuse)
    elsewhere = replace(listed[0], repo="owner/other")
    assert len(cut([listed[0], elsewhere, listed[1]], tmp_path / "out", host)) == 3
    assert commands == ["clone", "clone"]  # one each


def test_existing_windows_are_not_cut_again(hosted: tuple[str, list[ListedWindow]], tmp_path: Path) -> None:
    host, listed = hosted
    out = tmp_path / "out"
    cut(listed, out, host)
    shutil.rmtree(out / "clones")
    shutil.rmtree(tmp_path / "host")
    assert cut(listed, out, host) == []
    assert len(read_manifest(out)) == 2


def test_nothing_is_cloned_if_a_repository_is_reserved(
    hosted: tuple[str, list[ListedWindow]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, listed = hosted
    out, reserved = tmp_path / "out", tmp_path / "reserved.txt"
    reserved.write_text(repository_digest("Owner/Images"))
    monkeypatch.setattr(gather_module, "read_window_list", lambda path: listed)
    result = CliRunner().invoke(
        gather_module.gather_command, ["--out", str(out), "--reserved", str(reserved)]
    )
    assert (result.exit_code, out.exists()) == (2, False)
    assert "reserves owner/images: leave out" in " ".join(result.output.split())


def test_a_list_of_other_repositories_changes_nothing(
    hosted: tuple[str, list[ListedWindow]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, listed = hosted
    out, reserved = tmp_path / "out", tmp_path / "reserved.txt"
    cut(listed, out, host)  # so that the command itself has nothing to clone
    reserved.write_text(repository_digest("owner/other"))
    monkeypatch.setattr(gather_module, "read_window_list", lambda path: listed)
    result = CliRunner().invoke(
        gather_module.gather_command, ["--out", str(out), "--reserved", str(reserved)]
    )
    assert result.exit_code == 0, result.output
    assert len(read_manifest(out)) == 2


def test_the_chosen_list_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the second list, the first repository; reserving it is the quickest way to see it."""
    reserved = tmp_path / "reserved.txt"
    repo = read_window_list(WINDOW_LISTS["images_2"])[0].repo
    reserved.write_text(repository_digest(repo))
    given = ["--list", "images_2", "--out", str(tmp_path / "out"), "--reserved", str(reserved)]
    result = CliRunner().invoke(gather_module.gather_command, given)
    assert result.exit_code == 2
    assert repo in result.output


def test_no_repository_is_in_both_lists() -> None:
    first, second = (
        {window.repo.lower() for window in read_window_list(path)} for path in WINDOW_LISTS.values()
    )
    assert not first & second


@pytest.mark.parametrize("name", WINDOW_LISTS)
def test_the_list_names_every_window_once(name: str) -> None:
    listed = read_window_list(WINDOW_LISTS[name])
    assert len({window.file for window in listed}) == len(listed) > 2000
    assert all(len(window.blob) == len(window.commit) == 40 for window in listed)
    assert all(window.width > 0 < window.height for window in listed)
    assert {window.label for window in listed} == {"real", "synthetic"}
