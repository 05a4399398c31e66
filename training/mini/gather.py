"""Windows of pictures in public repositories, cut again from the list of those that the mini detector was
trained on beside its first corpus.

    python -m sidscan.training.mini.gather --out MORE [--clones FOLDER]

``images.csv`` states of every window: repository, commit, path, git blob, licence as the repository states
it, and place. Pictures themselves are not ours to give. Repositories that are not in FOLDER yet are cloned
into it, without the files that are not needed (`git clone --filter=blob:none`). What can't be had is told at
the end; run again, only that is tried again. The result is a corpus as `training.mini.train` reads it.
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
from tqdm import tqdm

from sidscan.training.common.files import make_folder, writing_result

LIST = Path(__file__).with_name("images.csv")
HOST = "https://github.com"
MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Listed:
    """One window of the list."""

    label: str  # real or synthetic
    what: str  # generator of a synthetic picture, kind of a real one
    repo: str
    commit: str
    path: str
    blob: str
    licence: str
    left: int  # px, in the picture as decoded, not rotated
    top: int
    width: int
    height: int

    @property
    def file(self) -> str:
        """Path below the corpus folder."""
        owner, name = self.repo.split("/")
        return f"{self.label}/{owner}__{name}-{self.blob[:10]}-{self.left}-{self.top}.png"

    @property
    def row(self) -> dict[str, str]:
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
        }


class GitError(Exception):
    """What git said when it failed."""


@dataclass(frozen=True)
class Clone:
    """A repository on this machine, cloned when it is first needed."""

    repo: str
    folder: Path
    host: str = HOST

    @property
    def git_folder(self) -> Path:
        """The folder that git reads; GitError where it is neither there nor to be had."""
        if isinstance(self._tried, GitError):
            raise self._tried
        return self._tried

    @cached_property
    def _tried(self) -> Path | GitError:
        """It is looked for, and cloned, once."""
        place = self.folder / self.repo.replace("/", "+")
        for found in (place, place / ".git", place / "repo", place / "repo" / ".git"):
            if (found / "HEAD").is_file():
                return found
        try:
            _git("clone", "--quiet", "--bare", "--filter=blob:none", f"{self.host}/{self.repo}", str(place))
        except GitError as error:
            return error
        return place

    def read(self, listed: Listed) -> bytes:
        """A picture's bytes, by its blob: they can be no others."""
        return _git("--git-dir", str(self.git_folder), "cat-file", "blob", listed.blob)


def _git(*words: str) -> bytes:
    try:
        return subprocess.run(["git", *words], capture_output=True, check=True).stdout  # noqa: S603, S607
    except subprocess.CalledProcessError as error:
        raise GitError("".join(error.stderr.decode(errors="replace").strip().splitlines()[-1:])) from error


def read_list(path: Path = LIST) -> list[Listed]:
    """All windows, in the list's order."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_listed(row) for row in csv.DictReader(file)]


def _listed(row: dict[str, str]) -> Listed:
    left, top, width, height = (int(row[name]) for name in ("left", "top", "width", "height"))
    return Listed(
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


def window(data: bytes, listed: Listed) -> Image.Image:
    """The window of a picture, RGB; transparency is flattened as palettes need it."""
    image: Image.Image = Image.open(io.BytesIO(data))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    box = (listed.left, listed.top, listed.left + listed.width, listed.top + listed.height)
    return image.convert("RGB").crop(box)


def gather(windows: Sequence[Listed], out: Path, clones: Path, host: str = HOST) -> Iterator[str]:
    """Cut what is not there yet and write the manifest of all that is; yields what could not be had."""
    make_folder(out)
    made = []
    known: dict[str, Clone] = {}
    for listed in tqdm(windows, desc="windows"):
        target = out / listed.file
        if not target.exists():
            clone = known.setdefault(listed.repo, Clone(listed.repo, clones, host))
            try:
                cut = window(clone.read(listed), listed)
            except (GitError, OSError, SyntaxError, Image.DecompressionBombError) as error:
                yield f"{listed.repo} {listed.path}: {error}"
                continue
            make_folder(target.parent)
            with writing_result(target) as partial:
                cut.save(partial, "PNG", compress_level=3)
        made.append(listed)
    with writing_result(out / MANIFEST) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(Listed("real", "", "a/b", "", "", "", "", 0, 0, 0, 0).row))
        writer.writeheader()
        writer.writerows(listed.row for listed in made)


@click.command(help=__doc__)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--clones", type=click.Path(file_okay=False, path_type=Path), help="Default: OUT/clones.")
def main(out: Path, clones: Path | None) -> None:
    """Make the corpus."""
    clones = clones or out / "clones"
    make_folder(clones)
    missing = list(gather(read_list(), out, clones))
    for line in missing:
        click.echo(line, err=True)
    if missing:
        raise SystemExit(f"{len(missing)} windows could not be had; the manifest lists the others")


if __name__ == "__main__":
    main()
