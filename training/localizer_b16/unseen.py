"""Measure the shipped localizer-b16 on repositories that it never saw, and add that to its model card.

    python -m sidscan.training.localizer_b16.unseen --whole UNSEEN --weights sidscan/weights --work WORK

UNSEEN holds the images of ``unseen_images.csv``, as `sidscan.training.windows.whole_images` copies them.
Composites are made of them as for the card, with host and donor from two repositories. Every result is added
to WORK at once, so the command can be stopped at any time and run again: it goes on where it was.
--minutes ends it after some time; with --minutes 0 it only writes the card of what was measured before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from inspect import getsource
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click
import torch

from sidscan.errors import UsageError
from sidscan.training.common.files import make_folder
from sidscan.training.rine_b16.train import WEIGHTS_FILE as HEAD_FILE
from sidscan.training.rine_b16.train import load_weights as load_head
from sidscan.training.windows.cache import cached
from sidscan.training.windows.corpus import FOLDS, Window
from sidscan.training.windows.options import reserved_option, whole_option
from sidscan.training.windows.reserved import check_not_reserved
from sidscan.training.windows.whole_images import IMAGE_LISTS, as_windows, read_image_list
from sidscan.util.progress import track

from .card import scale_of, stored_card, write_card
from .composites import WHOLE_KINDS
from .material import Material, colour_descriptor, materials, whole_images_of, window_colours
from .measure import COMPOSITES, CONDITIONS, LARGER, SIDE, STRIDE, WITH_REGIONS, Job
from .photographs import PhotographReadings
from .results import CompositeResults, Result
from .train import WEIGHTS_FILE, load_decoder
from .unseen_figures import PhotographReading, unseen_figures

EACH, INSPECTED, OTHER_KINDS, LARGE = 40, 20, 20, 8
"""Composites of a kind and size of region; of these by the grids of `inspect`; of kinds without a synthetic
region; of 1,792 px."""
EVERY = 6  # after so many composites comes a photograph
RESULTS_FILE = "unseen.jsonl"  # in the work folder


def unseen_windows(whole: Path) -> list[Window]:
    """The listed images that are at hand.

    Raises:
        UsageError: images of a label are missing altogether.
    """
    listed = as_windows(read_image_list(IMAGE_LISTS["unseen_images"]), whole)
    present = [replace(image, original=image.file) for image in listed if (whole / image.file).is_file()]
    click.echo(f"{len(present)} of {len(listed)} listed images", err=True)
    if len({window.synthetic for window in present}) < 2:
        raise UsageError(
            f"{whole} needs images of both labels",
            "Copy them with `python -m sidscan.training.windows.whole_images --list unseen_images`.",
        )
    return present


def unseen_jobs() -> list[Job]:
    """In an order in which any beginning has about equally many of all."""
    return [job for number in range(EACH) for job in _jobs_of(number)]


def _jobs_of(number: int) -> Iterator[Job]:
    for kind, area in COMPOSITES:
        if kind in WITH_REGIONS:
            yield Job(kind, area, number, "JPEG 95", number < INSPECTED)
            for condition in list(CONDITIONS)[1:]:
                yield Job(kind, area, number, condition)
        elif kind not in WHOLE_KINDS and number < OTHER_KINDS:
            yield Job(kind, area, number, "JPEG 95")
    if number % (EACH // LARGE) == 0:
        for area in (0.01, 0.05, 0.2):
            yield Job("inserted", area, number, "JPEG 95", side=LARGER[-1])


def spread(images: Sequence[Window]) -> list[Window]:
    """One image of every repository, then a second of every one, and so on."""
    groups: dict[str, list[Window]] = {}
    for image in images:
        groups.setdefault(image.repo, []).append(image)
    return [image for turn in zip_longest(*groups.values()) for image in turn if image]


@dataclass
class Measurement:
    """What is measured, and by what."""

    windows: Sequence[Window]
    weights: Path  # folder
    work: Path  # folder

    def tasks(self) -> Iterator[tuple[str, Job | Window]]:
        """A name that lasts, and what is to be measured: composites, whole images in between."""
        images = spread([w for w in self.windows if not w.synthetic])
        wholes = iter([*images, *spread([w for w in self.windows if w.synthetic])])
        for index, job in enumerate(unseen_jobs()):
            yield json.dumps(asdict(job), sort_keys=True), job
            if index % EVERY == 0 and (image := next(wholes, None)):
                yield image.file, image
        yield from ((image.file, image) for image in wholes)

    def measured(self, task: Job | Window) -> Result | PhotographReading:
        """A composite, or an image as `sidscan localize` reads it."""
        if isinstance(task, Job):
            return self._composites((0, task))
        reading = self._photographs((0, task))
        return {
            **reading,
            "kind": task.category,
            "repo": task.repo,
            "file": task.file,
            "synthetic": task.synthetic,
        }

    @cached_property
    def _composites(self) -> CompositeResults:
        decoder, checkpoint = load_decoder(self.weights / WEIGHTS_FILE)
        head = load_head(self.weights / HEAD_FILE)[0]
        sides = {side: self._material(side) for side in (SIDE, LARGER[-1])}
        return CompositeResults(
            materials={side: [material] * FOLDS for side, material in sides.items()},
            decoders=[decoder] * FOLDS,
            heads=[head] * FOLDS,
            blocks=tuple(checkpoint.config["blocks"]),
            scale=scale_of(decoder),
            mini=self.weights / "mini.safetensors",
            overlapping=False,
        )

    @cached_property
    def _photographs(self) -> PhotographReadings:
        found, folds = self._composites, {window.repo: 0 for window in self.windows}
        return PhotographReadings(found.decoders, found.blocks, found.scale, folds, STRIDE)

    def _material(self, side: int) -> Material:
        return whole_images_of(self._all, side, synthetic=SIDE)

    @cached_property
    def _all(self) -> Material:
        folds = {window.repo: 0 for window in self.windows}
        code = (getsource(colour_descriptor),)
        colours = cached(lambda: window_colours(self.windows, 1), self.work, "colours", self.windows, code)
        return materials(self.windows, colours, folds, 1)[0]


def measure(measurement: Measurement, path: Path, minutes: float) -> list[Result | PhotographReading]:
    """All results so far, those in a file included; each new one is added to it as it comes."""
    done = {entry["name"]: entry["result"] for entry in stored_results(path)}
    tasks, end = list(measurement.tasks()), time.monotonic() + 60 * minutes
    left = [(name, task) for name, task in tasks if name not in done]
    with path.open("a", encoding="utf-8") as file:
        for name, task in track(left, len(left), "image", title="unseen"):
            if time.monotonic() >= end:
                break
            done[name] = measurement.measured(task)
            file.write(json.dumps({"name": name, "result": done[name]}) + "\n")
            file.flush()
    return [done[name] for name, _ in tasks if name in done]


def stored_results(path: Path) -> list[dict[str, Any]]:
    """Those in a file; the end of it that was not written whole is cut off."""
    if not path.is_file():
        return []
    written = path.read_bytes()
    whole = written[: written.rfind(b"\n") + 1]
    if whole != written:
        path.write_bytes(whole)
    return [json.loads(line) for line in whole.splitlines()]


@click.command(help=__doc__)
@whole_option
@click.option("--weights", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--minutes", type=click.FloatRange(min=0), default=10**6, help="Stop after so long.")
@reserved_option
def unseen_command(whole: Path, weights: Path, work: Path, minutes: float, reserved: Path | None) -> None:
    """Measure, and write both files of the card again."""
    make_folder(work)
    windows = unseen_windows(whole)
    card = stored_card(weights)
    if card is None:
        raise UsageError(
            f"{weights} has no card of this localizer",
            "Write it with `python -m sidscan.training.localizer_b16.card`.",
        )
    if reserved:
        check_not_reserved((window.repo for window in windows), reserved)
    if known := {window.repo for window in windows} & {source["repository"] for source in card["sources"]}:
        raise UsageError(
            f"localizer-b16 was fitted to {', '.join(sorted(known))}", "Leave these images out of the list."
        )
    torch.set_num_threads(1)
    results = measure(Measurement(windows, weights, work), work / RESULTS_FILE, minutes)
    alarm = card["alarm_contrast"]
    assert alarm is not None, "localizer-b16 has one"
    card["unseen"] = unseen_figures(results, alarm, windows)
    write_card(weights, card)


if __name__ == "__main__":
    unseen_command()
