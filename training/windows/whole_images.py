"""Whole images, on which detectors of ours are measured as a scan sees them.

    python -m sidscan.training.windows.whole_images --out WHOLE [--list unseen_images] [--clones FOLDER] \\
        [--reserved FILE]

Windows have no skies, walls or borders, and all of them are about as large as a crop. So thresholds and
rates of false positives are measured on whole images of the same repositories (``whole_images.csv``): at most
24 photographs and 2 synthetic images of each. ``unseen_images.csv`` lists images of repositories that no
detector of ours was fitted to, at most 10 of each. A list states the repository, commit, path, git blob and
licence of each. The images are not ours to redistribute; the command copies them out of clones of their
repositories. Images that could not be copied are listed at the end; run the command again to try only those.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from sidscan.training.common.files import make_folder, writing_result
from sidscan.util.progress import track

from .corpus import Window
from .gather import HOST, Clone, GitError
from .options import reserved_option
from .reserved import check_not_reserved

IMAGE_LISTS = {name: Path(__file__).with_name(f"{name}.csv") for name in ("whole_images", "unseen_images")}


@dataclass(frozen=True)
class WholeImage:
    """One row of a list."""

    synthetic: bool
    category: str  # the generator of a synthetic image, the kind of a real one
    repo: str
    commit: str
    path: str
    blob: str
    licence: str

    @property
    def file(self) -> str:
        """Path below the folder of whole images."""
        return f"{self.repo.replace('/', '__')}/{self.blob}{Path(self.path).suffix.lower()}"


def read_image_list(path: Path = IMAGE_LISTS["whole_images"]) -> list[WholeImage]:
    """All images, in the list's order."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            WholeImage(
                synthetic=row["label"] == "synthetic",
                category=row["what"],
                **{name: row[name] for name in ("repo", "commit", "path", "blob", "licence")},
            )
            for row in csv.DictReader(file)
        ]


def as_windows(images: Sequence[WholeImage], folder: Path) -> list[Window]:
    """The images in a folder, as windows that show all of an image."""
    return [Window(i.file, i.synthetic, i.category, i.repo, i.licence, folder) for i in images]


def present_images(folder: Path, fold_of: Mapping[str, int]) -> list[Window]:
    """The listed images that are in the folder and whose repository has a fold; says how many are not."""
    listed = as_windows(read_image_list(), folder)
    present = [image for image in listed if image.repo in fold_of and (folder / image.file).is_file()]
    click.echo(f"{len(present)} of {len(listed)} listed whole images", err=True)
    return present


def gather_images(images: Sequence[WholeImage], out: Path, clones: Path, host: str = HOST) -> Iterator[str]:
    """Copy the images that are missing.

    Yields:
        a line for every image that could not be copied.
    """
    known: dict[str, Clone] = {}
    for image in track(images, len(images), "image", title="whole images"):
        target = out / image.file
        if target.exists():
            continue
        try:
            data = known.setdefault(image.repo, Clone(image.repo, clones, host)).read_blob(image.blob)
        except GitError as error:
            yield f"{image.repo} {image.path}: {error}"
            continue
        make_folder(target.parent)
        with writing_result(target) as partial:
            partial.write_bytes(data)


@click.command(help=__doc__)
@click.option(
    "--list",
    "name",
    type=click.Choice(list(IMAGE_LISTS)),
    default="whole_images",
    show_default=True,
    help="Which images.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--clones", type=click.Path(file_okay=False, path_type=Path), help="Default: OUT/clones.")
@reserved_option
def whole_images_command(name: str, out: Path, clones: Path | None, reserved: Path | None) -> None:
    """Copy the whole images."""
    images = read_image_list(IMAGE_LISTS[name])
    if reserved:
        check_not_reserved((image.repo for image in images), reserved)
    clones = clones or out / "clones"
    make_folder(clones)
    missing = list(gather_images(images, out, clones))
    for line in missing:
        click.echo(line, err=True)
    if missing:
        raise SystemExit(f"{len(missing)} images could not be copied")


if __name__ == "__main__":
    whole_images_command()
