"""Labelled images -> rows of scores.csv, by one localizer after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sidscan._version import __version__
from sidscan.config import Device, Precision
from sidscan.errors import RuntimeUnavailable, SidscanError, UsageError
from sidscan.images import decode
from sidscan.localize.image_map import Protocol, ReadPlan, plan_of
from sidscan.localize.run import MOST_TILES
from sidscan.localize.tiles import map_of_tiles
from sidscan.models.localizers import LocalizerInfo
from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer
from sidscan.training.common.degradations import Degradation, rng_of
from sidscan.training.common.durable_file import escape_line_breaks
from sidscan.training.common.files import make_folder
from sidscan.training.common.pixels import Pixels
from sidscan.training.common.run_settings import check_settings
from sidscan.training.datasets.content import read_content
from sidscan.training.datasets.rows import LabelledImage
from sidscan.util import threads

from ..examples import list_digest
from ..masks import read_mask, synthetic_region
from ..metrics import Map, Region, map_metrics, resized_map
from ..pixels import read_image, squashed
from .rows import MapRow, MapRowFile, RowKey, latest_rows

_SCORES_FILE = "scores.csv"


@dataclass(frozen=True, kw_only=True)
class MapEvaluationConfig:
    """Everything that rows depend on besides images and localizers.

    Attributes:
        protocol: as `sidscan localize` has it; ``global`` is that of DeCLIP's published figures.
        max_tiles: most tiles of an image, as there; None for what suits the device.
        perturbations: the first is the unchanged image.
        skip_unreadable: record an image that can't be used as a row with an error, instead of stopping.
        resize_masks: accept a mask of another size than its image.
    """

    protocol: Protocol = "auto"
    max_tiles: int | None = None
    perturbations: tuple[Degradation, ...] = (Degradation(),)
    device: Device = "auto"
    precision: Precision = "auto"
    workers: int | None = None
    skip_unreadable: bool = False
    resize_masks: bool = False


@dataclass(frozen=True)
class _Loaded:
    """An image as it is or changed, with its mask."""

    image: LabelledImage
    perturbation: Degradation
    pixels: Pixels
    region: Region | None


class _Made(NamedTuple):
    """A map, and how the image was read: `MapRow.protocol` and `MapRow.scale`."""

    values: Map
    protocol: str
    scale: float | None


class MapEvaluation:
    """An evaluation that is ready to run. Iterating over it yields numbers of finished maps.

    Rows are durable before their number is yielded.

    Attributes:
        num_maps, num_reused: of all images, localizers and perturbations; of those an earlier run measured.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        localizers: Sequence[PyTorchLocalizer],
        config: MapEvaluationConfig,
        file: MapRowFile,
    ) -> None:
        self.images, self.localizers, self.config, self.file = images, localizers, config, file
        self._rows = latest_rows(file.path)
        self.num_maps = len(images) * len(localizers) * len(config.perturbations)
        self.num_reused = sum(
            self._is_done(image, localizer.info, perturbation)
            for localizer in localizers
            for image in images
            for perturbation in config.perturbations
        )

    def __iter__(self) -> Iterator[int]:
        for localizer in self.localizers:
            tasks = [
                (image, perturbation)
                for image in self.images
                for perturbation in self.config.perturbations
                if not self._is_done(image, localizer.info, perturbation)
            ]
            for start in range(0, len(tasks), localizer.batch):
                some = tasks[start : start + localizer.batch]
                self._measure(localizer, some)
                yield len(some)

    def rows(self) -> list[MapRow]:
        """The rows of these images, localizers and perturbations."""
        wanted = {
            _key(image, localizer.info.name, perturbation)
            for localizer in self.localizers
            for image in self.images
            for perturbation in self.config.perturbations
        }
        return [row for key, row in self._rows.items() if key in wanted]

    def _measure(
        self, localizer: PyTorchLocalizer, tasks: Sequence[tuple[LabelledImage, Degradation]]
    ) -> None:
        """Measure some maps and record their rows; unless unreadable images are skipped, up to the first."""
        loaded = list(threads.map_ordered(self._load, tasks, self.config.workers))
        usable = [each for each in loaded if isinstance(each, _Loaded)]
        info = localizer.info
        try:
            maps = self._maps(localizer, [each.pixels for each in usable])
        except MemoryError as error:
            raise _no_memory() from error
        pairs = list(zip(usable, maps, strict=True))
        row_of = threads.map_ordered(lambda pair: _row_of(pair[0], pair[1], info), pairs, self.config.workers)
        measured = iter(list(row_of))
        rows: list[MapRow] = []
        for (image, perturbation), each in zip(tasks, loaded, strict=True):
            if isinstance(each, _Loaded):
                rows.append(next(measured))
            elif self.config.skip_unreadable:
                blank = _blank_row(image, perturbation, info)
                rows.append(replace(blank, error=escape_line_breaks(each.message)))
            else:
                self._append(rows)
                raise each
        self._append(rows)

    def _maps(self, localizer: PyTorchLocalizer, images: Sequence[Pixels]) -> list[_Made]:
        """A map of each image: of ``tiles`` in the image's size, else in the localizer's own.

        Raises:
            RuntimeUnavailable: a map is not finite.
        """
        plans = [self._plan(localizer, pixels) for pixels in images]
        pairs = list(zip(images, plans, strict=True))
        whole = iter(_maps_of_whole(localizer, [pixels for pixels, plan in pairs if not _by_tiles(plan)]))
        maps = [_made_of_tiles(localizer, *pair) if _by_tiles(pair[1]) else next(whole) for pair in pairs]
        if not all(np.isfinite(each.values).all() for each in maps):
            raise RuntimeUnavailable(
                f"maps of {localizer.info.name} in {localizer.runtime.precision} are not finite",
                "Choose --precision fp32.",
            )
        return maps

    def _plan(self, localizer: PyTorchLocalizer, pixels: Pixels) -> ReadPlan:
        """How `sidscan localize` would read the image."""
        height, width, _ = pixels.shape
        most = most_tiles(self.config, localizer)
        return plan_of(width, height, localizer.info.tile, self.config.protocol, most)

    def _load(self, task: tuple[LabelledImage, Degradation]) -> _Loaded | SidscanError:
        image, perturbation = task
        try:
            data = read_content(image.path)
            pixels = read_image(data, image.path)
            region = None if image.is_real else self._region(image, pixels)
        except OSError as error:
            return UsageError(
                f"{image.path} can't be read: {error.strerror or error}", "Check its permissions."
            )
        except SidscanError as error:
            return error
        return _Loaded(image, perturbation, perturbation.apply(pixels, rng_of(data)), region)

    def _region(self, image: LabelledImage, pixels: Pixels) -> NDArray[np.bool_]:
        region = synthetic_region(read_mask(image))
        if region.shape != pixels.shape[:2] and not self.config.resize_masks:
            raise UsageError(
                f"{image.mask} has another size than its image",
                "Masks have the size of their images. Add --resize-masks, if they show the same view.",
            )
        return region

    def _append(self, rows: Sequence[MapRow]) -> None:
        self.file.append(rows)
        self._rows.update({row.key: row for row in rows})

    def _is_done(self, image: LabelledImage, info: LocalizerInfo, perturbation: Degradation) -> bool:
        row = self._rows.get(_key(image, info.name, perturbation))
        return row is not None and not row.error


def most_tiles(config: MapEvaluationConfig, localizer: PyTorchLocalizer) -> int:
    """Tiles of an image at most: what was asked for, or what `sidscan localize` takes on the device."""
    return config.max_tiles or MOST_TILES["cpu" if localizer.runtime.device == "cpu" else "cuda"]


def open_rows(
    folder: Path,
    images: Sequence[LabelledImage],
    localizers: Sequence[PyTorchLocalizer],
    config: MapEvaluationConfig,
    fresh: bool,
) -> MapRowFile:
    """The folder's file of rows, open for these settings; an earlier evaluation with the same goes on.

    Raises:
        OutputError: the folder holds an evaluation with other settings, or can't be written.
    """
    make_folder(folder)
    file = MapRowFile(folder / _SCORES_FILE, fresh)
    runtime = localizers[0].runtime
    settings = {
        "sidscan": __version__,
        "images": list_digest(images),
        "localizers": ", ".join(f"{each.info.name} {each.info.digest}" for each in localizers),
        "protocol": config.protocol
        + ("" if config.protocol == "global" else f", {most_tiles(config, localizers[0])} tiles at most"),
        "perturbations": ", ".join(perturbation.name for perturbation in config.perturbations),
        "decoder": decode.decoder_name(),
        "runtime": f"{runtime.runtime}, {runtime.device}, {runtime.precision}",
    }
    try:
        check_settings(folder, settings, file.started)
    except BaseException:
        file.close()
        raise
    return file


def _no_memory() -> RuntimeUnavailable:
    return RuntimeUnavailable(
        "making a map takes more memory than there is, even a tile at a time",
        "Close other programs, lower --max-tiles, or choose --device cpu. Maps that were measured are "
        "recorded, and the same command goes on.",
    )


def maps_in_parts(localizer: PyTorchLocalizer, tiles: Pixels) -> Map:
    """What a localizer makes of tiles (b, h, w, 3), of fewer at once where memory is short.

    Raises:
        MemoryError: it does not hold a single tile.
    """
    try:
        return localizer.maps(tiles)
    except MemoryError:
        if len(tiles) == 1:
            raise
    middle = len(tiles) // 2
    return np.concatenate([maps_in_parts(localizer, part) for part in (tiles[:middle], tiles[middle:])])


def _by_tiles(plan: ReadPlan) -> bool:
    """Whether tiles are read; an image that is one tile is read the same way by both protocols."""
    is_one_tile = plan.grid is not None and plan.grid.scale == len(plan.grid) == 1 and not plan.whole
    return plan.by_tiles and not is_one_tile


def _maps_of_whole(localizer: PyTorchLocalizer, images: Sequence[Pixels]) -> list[_Made]:
    """Maps of squashed images, as DeCLIP was published."""
    if not images:
        return []
    read = localizer.info.tile.read
    maps = maps_in_parts(localizer, np.stack([squashed(pixels, read) for pixels in images]))
    return [_Made(values, "global", None) for values in maps]


def _made_of_tiles(localizer: PyTorchLocalizer, pixels: Pixels, plan: ReadPlan) -> _Made:
    assert plan.grid is not None, "a plan by tiles has a grid"
    height, width, _ = pixels.shape
    read = partial(maps_in_parts, localizer)
    made = map_of_tiles(pixels, plan.grid, read, localizer.batch, lambda _: None)
    return _Made(made.rows(0, height, width, height), "tiles", float(plan.grid.scale))


def _row_of(loaded: _Loaded, made: _Made, info: LocalizerInfo) -> MapRow:
    values = made.values
    common = replace(
        _blank_row(loaded.image, loaded.perturbation, info),
        protocol=made.protocol,
        scale=made.scale,
        area=float(np.mean(values > info.threshold)),
        mean=float(values.mean()),
        max=float(values.max()),
    )
    if loaded.region is None:
        return common
    metrics = map_metrics(resized_map(values, *loaded.region.shape), loaded.region)
    return replace(
        common,
        iou=metrics.iou,
        ap=metrics.ap,
        f1_fixed=metrics.f1_fixed,
        f1_best=metrics.f1_best,
        region=float(loaded.region.mean()),
    )


def _blank_row(image: LabelledImage, perturbation: Degradation, info: LocalizerInfo) -> MapRow:
    return MapRow(
        set=escape_line_breaks(image.set),
        path=escape_line_breaks(image.name),
        label="real" if image.is_real else "synthetic",
        generator=escape_line_breaks(image.generator),
        model=info.name,
        digest=info.digest,
        trained_on=_trained_on(info),
        protocol="",
        perturbation=perturbation.name,
    )


def _trained_on(info: LocalizerInfo) -> str:
    """The sets that a checkpoint states; empty where it states none."""
    data = info.card.get("data")
    sets = data.get("sets") if isinstance(data, dict) else None
    return escape_line_breaks(" ".join(map(str, sets))) if isinstance(sets, list) else ""


def _key(image: LabelledImage, model: str, perturbation: Degradation) -> RowKey:
    return escape_line_breaks(image.set), escape_line_breaks(image.name), model, perturbation.name
