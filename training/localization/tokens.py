"""Features that a decoder is trained on: from a pass of the frozen encoders, or from a cache of one."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan.errors import OutputError, RuntimeUnavailable
from sidscan.models.backbones import Feature
from sidscan.models.detectors import OpenedEncoder
from sidscan.training.common.files import make_folder, write_json, writing_result
from sidscan.training.common.pixels import Pixels
from sidscan.training.datasets.content import read_content
from sidscan.util import threads

from .augmentation import AUGMENTATIONS
from .masks import read_mask, soft_target
from .pixels import READ_SIDE, read_image, squashed
from .recipe import LocalizerRecipe
from .survey import SurveyedImage, decoder

CACHE_FORMAT = 1
PREPROCESSING = f"squashed to {READ_SIDE}, Pillow's bilinear"
_AHEAD = 16  # images in flight per worker
_ENCODER_BATCH = 32  # images per pass, when no batch of a fit sets it


class EncoderPart(NamedTuple):
    """An encoder on its device, and the features that a decoder reads of it."""

    opened: OpenedEncoder
    reads: tuple[Feature, ...]


@dataclass(frozen=True)
class FrozenEncoders:
    """All encoders that a decoder reads, in its order."""

    parts: tuple[EncoderPart, ...]
    device: torch.device
    precision: str

    @torch.no_grad()
    def encode(self, images: Sequence[Pixels]) -> list[Tensor]:
        """Images (READ_SIDE, READ_SIDE, 3) -> features (images, ...), float32, on the device."""
        pixels = torch.from_numpy(np.stack(images)).to(self.device).permute(0, 3, 1, 2)
        features = []
        for part in self.parts:
            found = part.opened.encoder.read(pixels, set(part.reads))
            features += [found[name] for name in part.reads]
        return features

    def facts(self) -> dict[str, object]:
        """What features depend on, besides the image."""
        return {
            "encoders": [[part.opened.sha256, [str(name) for name in part.reads]] for part in self.parts],
            "precision": self.precision,
            "preprocessing": PREPROCESSING,
            "decoder": decoder(),
        }


class Batch(NamedTuple):
    """Some images.

    Attributes:
        features: of each tap, (b, ...), float32, on the encoders' device.
        targets: masks (b, side, side), 0 to 1; zeros for real images.
    """

    features: list[Tensor]
    targets: Tensor


class TokenSource(Protocol):
    """Where features and targets come from."""

    def batches(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """One batch for each list of image numbers."""
        ...


class FreshTokens:
    """As published: every epoch reads, augments and encodes all images anew.

    Args:
        side: of the maps, pixels.
        augmented_by: the recipe that says how images are augmented; None leaves them as they are.
    """

    def __init__(
        self,
        images: Sequence[SurveyedImage],
        encoders: FrozenEncoders,
        side: int,
        augmented_by: LocalizerRecipe | None = None,
        workers: int | None = None,
    ) -> None:
        self.images, self.encoders, self.side, self.workers = images, encoders, side, workers
        self.recipe = augmented_by

    def batches(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """See `TokenSource`."""

        def load(index: int) -> tuple[Pixels, NDArray[np.float32]]:
            return self._pixels(epoch, index), target_of(self.images[index], self.side)

        numbers = [number for batch in order for number in batch]
        with closing(threads.map_ordered(load, numbers, self.workers, _AHEAD)) as loaded:
            for batch in order:
                pixels, targets = zip(*(next(loaded) for _ in batch), strict=True)
                yield Batch(self.encoders.encode(pixels), torch.from_numpy(np.stack(targets)))

    def _pixels(self, epoch: int, index: int) -> Pixels:
        path = self.images[index].image.path
        pixels = squashed(read_image(read_content(path), path))
        if self.recipe is None or self.recipe.augment == "none":
            return pixels
        rng = np.random.default_rng([self.recipe.seed, epoch, index])
        return AUGMENTATIONS[self.recipe.augment](pixels, rng, self.recipe)


class CachedTokens:
    """Features on disk: fp16, one file per image and tap, named by the image file's sha256.

        FOLDER/<key>/facts.json            what the features depend on: encoders, taps, preprocessing
        FOLDER/<key>/ab/abcd...-0.npy      features (...) of the image with that sha256, first tap

    Files are written whole or not at all, so an interrupted build goes on where it was. Data sets share them.
    """

    def __init__(
        self,
        folder: Path,
        images: Sequence[SurveyedImage],
        encoders: FrozenEncoders,
        side: int,
        workers: int | None = None,
    ) -> None:
        self.images, self.encoders, self.side, self.workers = images, encoders, side, workers
        facts = {"format": CACHE_FORMAT, **encoders.facts()}
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        self.folder, self._facts = folder / key, facts
        self._taps = sum(len(part.reads) for part in encoders.parts)

    def build(self, progress: Callable[[int], object] = lambda _: None) -> None:
        """Make the files that are missing; ``progress`` gets numbers of images.

        Raises:
            OutputError: a file can't be written; those before it stay.
            RuntimeUnavailable: features are not finite in this precision.
        """
        make_folder(self.folder)
        if not (self.folder / "facts.json").exists():
            write_json(self.folder / "facts.json", self._facts)
        missing = [
            seen for seen in self.images if not all(self._path(seen, n).exists() for n in range(self._taps))
        ]
        progress(len(self.images) - len(missing))
        starts = range(0, len(missing), _ENCODER_BATCH)
        fresh = FreshTokens(missing, self.encoders, self.side, workers=self.workers)
        for start in starts:
            some = missing[start : start + _ENCODER_BATCH]
            pixels = threads.map_ordered(
                lambda index: fresh._pixels(0, index), range(start, start + len(some)), self.workers, _AHEAD
            )
            self._save(some, self.encoders.encode(list(pixels)))
            progress(len(some))

    def batches(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[Batch]:  # noqa: ARG002
        """See `TokenSource`; every epoch is the same."""

        def load(index: int) -> tuple[list[NDArray[np.float16]], NDArray[np.float32]]:
            return self._load(self.images[index]), target_of(self.images[index], self.side)

        numbers = [number for batch in order for number in batch]
        with closing(threads.map_ordered(load, numbers, self.workers, _AHEAD)) as loaded:
            for batch in order:
                rows, targets = zip(*(next(loaded) for _ in batch), strict=True)
                features = [
                    torch.from_numpy(np.stack(tap)).to(self.encoders.device).float()
                    for tap in zip(*rows, strict=True)
                ]
                yield Batch(features, torch.from_numpy(np.stack(targets)))

    def _save(self, images: Sequence[SurveyedImage], features: Sequence[Tensor]) -> None:
        for number, tap in enumerate(features):
            values = tap.half().cpu().numpy()
            if not np.isfinite(values).all():
                raise RuntimeUnavailable(
                    f"features in {self.encoders.precision} are not finite, or too large for fp16",
                    "Choose --precision fp32 or bf16, or leave --cache out.",
                )
            for seen, row in zip(images, values, strict=True):
                path, data = self._path(seen, number), io.BytesIO()
                np.save(data, row)
                make_folder(path.parent)
                with writing_result(path) as partial:
                    partial.write_bytes(data.getbuffer())

    def _load(self, seen: SurveyedImage) -> list[NDArray[np.float16]]:
        rows = []
        for number in range(self._taps):
            path = self._path(seen, number)
            try:
                rows.append(np.load(path))
            except (OSError, ValueError) as error:
                raise OutputError(
                    f"{path} can't be read: {error}", f"Delete {path} and run again."
                ) from error
        return rows

    def _path(self, seen: SurveyedImage, number: int) -> Path:
        return self.folder / seen.sha256[:2] / f"{seen.sha256}-{number}.npy"


def target_of(seen: SurveyedImage, side: int) -> NDArray[np.float32]:
    """The soft mask (side, side) of an image; zeros for a real one."""
    if seen.image.is_real:
        return np.zeros((side, side), np.float32)
    return soft_target(read_mask(seen.image), side)
