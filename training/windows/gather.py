"""Cut training corpora of our detectors again, from images in public repositories.

    python -m sidscan.training.windows.gather [--list images_2] --out MORE [--clones FOLDER] [--originals]

``images.csv`` lists the windows that `mini` and rine-b16 are fitted to, ``images_2.csv`` further ones of
rine-b16. For every window they state the repository, commit, path, git blob, licence as the repository states
it, and position. The images themselves are not ours to redistribute. Repositories that are not in
FOLDER yet are cloned into it, without the files that are not needed (`git clone --filter=blob:none`).
Windows that could not be cut are listed at the end; run the command again to try only those. With --originals
the whole images are kept beside the windows (of the first list, 3 GB); training of rine-b16 uses them. If
--reserved lists one of the repositories, nothing is cloned. The result is a corpus as
`sidscan.training.windows.corpus` reads it.
"""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click
from PIL import Image

from sidscan.training.common.files import make_folder, writing_result
from sidscan.util.progress import track

from .options import reserved_option
from .reserved import check_not_reserved

WINDOW_LISTS = {name: Path(__file__).with_name(f"{name}.csv") for name in ("images", "images_2")}
HOST = "https://github.com"
_COLUMNS = (
    "file",
    "label",
    "generator",
    "kind",
    "repo",
    "commit",
    "repo_path",
    "blob_sha",
    "license",
    "original",
)


@dataclass(frozen=True)
class ListedWindow:
    """One row of a list."""

    label: str  # real or synthetic
    what: str  # generator of a synthetic image, kind of a real one
    repo: str
    commit: str
    path: str
    blob: str
    licence: str
    left: int  # px, in the image as decoded, not rotated
    top: int
    width: int
    height: int

    @property
    def file(self) -> str:
        """Path below the corpus folder."""
        owner, name = self.repo.split("/")
        return f"{self.label}/{owner}__{name}-{self.blob[:10]}-{self.left}-{self.top}.png"

    @property
    def original(self) -> str:
        """Path of the whole image below the corpus folder."""
        owner, name = self.repo.split("/")
        return f"originals/{owner}__{name}/{self.blob}{Path(self.path).suffix.lower()}"

    def manifest_row(self, originals: bool) -> dict[str, str]:
        """As a corpus's manifest states it."""
        synthetic = self.label == "synthetic"
        return {
            "file": self.file,
            "label": self.label,
            "generator": self.what if synthetic else "real",
            "kind": "synthetic" if synthetic else self.what,
            "repo": self.repo,
            "commit": self.commit,
            "repo_path": self.path,
            "blob_sha": self.blob,
            "license": self.licence,
            "original": self.original if originals else "",
        }


class GitError(Exception):
    """git failed; the message is the last line of what it printed."""


@dataclass(frozen=True)
class Clone:
    """A repository on this machine, cloned when it is first needed."""

    repo: str
    folder: Path
    host: str = HOST

    @property
    def git_folder(self) -> Path:
        """The folder that git reads.

        Raises:
            GitError: it is missing and can't be cloned.
        """
        if isinstance(self._outcome, GitError):
            raise self._outcome
        return self._outcome

    @cached_property
    def _outcome(self) -> Path | GitError:
        """Looked for, and cloned, only once."""
        target = self.folder / self.repo.replace("/", "+")
        for candidate in (target, target / ".git", target / "repo", target / "repo" / ".git"):
            if (candidate / "HEAD").is_file():
                return candidate
        try:
            _git("clone", "--quiet", "--bare", "--filter=blob:none", f"{self.host}/{self.repo}", str(target))
        except GitError as error:
            return error
        return target

    def read_blob(self, blob: str) -> bytes:
        """An image's bytes; git checks that they hash to the blob's name."""
        return _git("--git-dir", str(self.git_folder), "cat-file", "blob", blob)


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout  # noqa: S603, S607
    except subprocess.CalledProcessError as error:
        raise GitError("".join(error.stderr.decode(errors="replace").strip().splitlines()[-1:])) from error


def read_window_list(path: Path = WINDOW_LISTS["images"]) -> list[ListedWindow]:
    """All windows, in the list's order."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_listed(row) for row in csv.DictReader(file)]


def _listed(row: dict[str, str]) -> ListedWindow:
    left, top, width, height = (int(row[name]) for name in ("left", "top", "width", "height"))
    return ListedWindow(
        label=row["label"],
        what=row["what"],
        repo=row["repo"],
        commit=row["commit"],
        path=row["path"],
        blob=row["blob"],
        licence=row["licence"],
        left=left,
        top=top,
        width=width,
        height=height,
    )


def cut_window(data: bytes, listed: ListedWindow) -> Image.Image:
    """The window of an image, RGB; palette images go through RGBA, so that transparency is flattened."""
    image: Image.Image = Image.open(io.BytesIO(data))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    box = (listed.left, listed.top, listed.left + listed.width, listed.top + listed.height)
    return image.convert("RGB").crop(box)


def gather_windows(
    windows: Sequence[ListedWindow], out: Path, clones: Path, host: str = HOST, originals: bool = False
) -> Iterator[str]:
    """Cut the windows that are missing and write the manifest of all that exist.

    Args:
        originals: keep the whole images, too.

    Yields:
        a line for every window that could not be cut.
    """
    make_folder(out)
    existing = []
    known: dict[str, Clone] = {}
    for listed in track(windows, len(windows), "window", title="windows"):
        wanted = [out / listed.file, *([out / listed.original] if originals else [])]
        if not all(target.exists() for target in wanted):
            clone = known.setdefault(listed.repo, Clone(listed.repo, clones, host))
            try:
                _write_window(clone.read_blob(listed.blob), listed, *wanted)
            except (GitError, OSError, SyntaxError, Image.DecompressionBombError) as error:
                yield f"{listed.repo} {listed.path}: {error}"
                continue
        existing.append(listed)
    with (
        writing_result(out / "manifest.csv") as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(listed.manifest_row(originals) for listed in existing)


def _write_window(data: bytes, listed: ListedWindow, target: Path, original: Path | None = None) -> None:
    """The window of an image to ``target``, and the image's bytes to ``original``."""
    window = cut_window(data, listed)
    make_folder(target.parent)
    with writing_result(target) as partial:
        window.save(partial, "PNG", compress_level=3)
    if original:
        make_folder(original.parent)
        with writing_result(original) as partial:
            partial.write_bytes(data)


@click.command(help=__doc__)
@click.option(
    "--list",
    "name",
    type=click.Choice(list(WINDOW_LISTS)),
    default="images",
    show_default=True,
    help="Which windows.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--clones", type=click.Path(file_okay=False, path_type=Path), help="Default: OUT/clones.")
@click.option("--originals", is_flag=True, help="Keep the whole images, too.")
@reserved_option
def gather_command(name: str, out: Path, clones: Path | None, originals: bool, reserved: Path | None) -> None:
    """Make the corpus."""
    listed = read_window_list(WINDOW_LISTS[name])
    if reserved:
        check_not_reserved((window.repo for window in listed), reserved)
    clones = clones or out / "clones"
    make_folder(clones)
    missing = list(gather_windows(listed, out, clones, originals=originals))
    for line in missing:
        click.echo(line, err=True)
    if missing:
        raise SystemExit(f"{len(missing)} windows could not be cut; the manifest lists the others")


if __name__ == "__main__":
    gather_command()
