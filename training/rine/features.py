"""Readings of training views: by a fresh pass of the frozen encoder, or from a cache of one.

The encoder is frozen, so a view's readings never change. `FeatureCache` draws the views of an epoch once,
reads them once, and serves any number of heads from disk. What that changes against `FreshReadings`, for the
same seed: readings are rounded to fp16 (as the published code has them on CUDA anyway), and an epoch beyond
the number of passes sees the views of an earlier one again. One epoch from one pass sees the very same views.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan._version import __version__
from sidscan.config import SIDE, Device, Precision
from sidscan.errors import OutputError, RuntimeUnavailable, UsageError
from sidscan.images.decode import decoder_name
from sidscan.models.backbones import Feature
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.detectors import Encoders
from sidscan.models.store import Store
from sidscan.runtimes.pytorch import DTYPES, encoder_precision, open_device
from sidscan.training.common.files import make_folder, replacing, write_json

from .crop_dataset import Crop, CropDataset
from .fit import Shape

SHARD = 1024  # views; 50 MB for ViT-L/14
ENCODER_BATCH = 128  # views per pass of the encoder when a cache is made


@dataclass(frozen=True)
class FrozenEncoder:
    """A CLIP image encoder on a device.

    Attributes:
        name: the catalog's, or the file's.
        sha256: of its weights file, hex.
    """

    encoder: ClipEncoder
    name: str
    sha256: str
    provenance: str
    device: torch.device
    precision: str

    @property
    def shape(self) -> Shape:
        """What heads have to fit."""
        return Shape(self.encoder.num_blocks, self.encoder.embed_dim, self.encoder.output_dim)

    @torch.no_grad()
    def read(self, views: Sequence[Crop], reading: Feature) -> Tensor:
        """Views (224, 224, 3) uint8 -> (views, ...), float32, on the device."""
        crops = torch.from_numpy(np.stack(views)).to(self.device).permute(0, 3, 1, 2)
        return self.encoder.read(crops, {reading})[reading]


def open_encoder(name: str, device: Device = "auto", precision: Precision = "auto") -> FrozenEncoder:
    """The encoder of that catalog name, or in that file.

    Raises:
        ModelError: not installed, damaged, or no CLIP image encoder for 224 px.
        RuntimeUnavailable: the device or precision asked for is not to be had.
    """
    place = open_device(device)
    used = encoder_precision(precision, place, fp16_safe=True, name=name)
    opened = Encoders(Store(), None if name in Store().catalog else Path(name)).open(name)
    opened.encoder.to(place, DTYPES[used])
    return FrozenEncoder(*opened, place, used)


class FreshReadings:
    """The published way: every epoch draws new views and reads them anew."""

    def __init__(self, views: CropDataset, encoder: FrozenEncoder, reading: Feature) -> None:
        self.views, self.encoder, self.reading = views, encoder, reading
        self._labels = torch.tensor([float(example.synthetic) for example in views.examples])

    def __len__(self) -> int:
        return len(self.views)

    def batches(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """See `fit.Source`."""
        drawn = self.views.draw(epoch, [number for batch in order for number in batch])
        for batch in order:
            pairs = [(number, view) for number, view in zip(batch, drawn, strict=False) if view is not None]
            if not pairs:
                yield torch.empty(0), torch.empty(0)
                continue
            numbers, views = zip(*pairs, strict=True)
            yield self.encoder.read(views, self.reading), self._labels[list(numbers)]


class FeatureCache:
    """Readings on disk: fp16, in shards of ``SHARD`` views, made once.

        FOLDER/facts.json           what they are readings of; a cache of anything else is refused
        FOLDER/pass-0/00000.npy     (SHARD, ...) of the examples in order; NaN where one was left out

    Every shard is written whole or not at all, so an interrupted build goes on at the next one.

    Args:
        data: digest of the training list.
        passes: how many times every example is drawn; epochs beyond that see the first ones again.

    Raises:
        UsageError: the readings are patch maps.
    """

    def __init__(
        self,
        folder: Path,
        views: CropDataset,
        encoder: FrozenEncoder,
        reading: Feature,
        data: str,
        passes: int = 1,
    ) -> None:
        if reading == "maps":
            raise UsageError(
                "patch maps of all blocks are too large to keep (12 MB a view for ViT-L/14)",
                "Train a feature pyramid without --cache.",
            )
        self.folder, self.views, self.encoder, self.reading, self.passes = (
            folder,
            views,
            encoder,
            reading,
            passes,
        )
        self._labels = torch.tensor([float(example.synthetic) for example in views.examples])
        self._shards: dict[tuple[int, int], NDArray[np.float16]] = {}
        self._facts = {
            "format": 1,
            "data": data,
            "examples": len(views),
            "encoder": encoder.sha256,
            "precision": encoder.precision,
            "reading": reading,
            "augmented": views.augmented,
            "seed": views.seed,
            "shard": SHARD,
            "sidscan": __version__,
            "decoder": decoder_name(),
        }

    def __len__(self) -> int:
        return len(self.views)

    def build(self, progress: Callable[[int], object] = lambda _: None) -> None:
        """Make what is missing; ``progress`` is told of the views done.

        Raises:
            UsageError: the folder holds readings of something else.
            OutputError: a shard can't be written; those before it are kept.
            UnreadableExample: a picture can't be decoded, and none may be left out.
        """
        self._claim()
        for number in range(self.passes):
            for shard in range(-(-len(self) // SHARD)):
                rows = range(shard * SHARD, min((shard + 1) * SHARD, len(self)))
                if not self._path(number, shard).exists():
                    self._save(self._path(number, shard), self._read(number, rows, progress))
                else:
                    progress(len(rows))

    def batches(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """See `fit.Source`; from the cache alone."""
        turn = epoch % self.passes
        for batch in order:
            rows = np.stack([self._shard(turn, n // SHARD)[n % SHARD] for n in batch])
            whole = ~np.isnan(rows.reshape(len(rows), -1)[:, 0])
            self.views.leave_out(n for n, there in zip(batch, whole, strict=True) if not there)
            yield torch.from_numpy(rows[whole]).float(), self._labels[batch][torch.from_numpy(whole)]

    @property
    def total(self) -> int:
        """Views that a whole cache holds."""
        return self.passes * len(self)

    def _claim(self) -> None:
        """Write down what the folder holds, or check that it is this."""
        facts = self.folder / "facts.json"
        make_folder(self.folder)
        if not facts.exists():
            write_json(facts, self._facts)
            return
        try:
            found = json.loads(facts.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{facts} can't be read: {error}", _ANOTHER_CACHE) from error
        _check_same(found, self._facts, self.folder)

    def _read(self, turn: int, rows: range, progress: Callable[[int], object]) -> NDArray[np.float16]:
        drawn = self.views.draw(turn, rows)
        parts: list[NDArray[np.float16]] = []
        for start in range(0, len(rows), ENCODER_BATCH):
            views = [view for _, view in zip(rows[start : start + ENCODER_BATCH], drawn, strict=False)]
            parts.append(self._encode(views))
            progress(len(views))
        return np.concatenate(parts)

    def _encode(self, views: Sequence[Crop | None]) -> NDArray[np.float16]:
        """Readings of a batch; NaN for what was left out."""
        found = [view for view in views if view is not None]
        # Of a batch without a readable picture a black view tells the shape.
        read = self.encoder.read(found or [np.zeros((SIDE, SIDE, 3), np.uint8)], self.reading)[: len(found)]
        values = read.half().cpu().numpy()
        if not np.isfinite(values).all():
            raise RuntimeUnavailable(
                f"readings in {self.encoder.precision} are not finite", "Choose --precision fp32 or bf16."
            )
        rows = np.full((len(views), *values.shape[1:]), np.nan, dtype=np.float16)
        rows[[view is not None for view in views]] = values
        return rows

    def _save(self, path: Path, rows: NDArray[np.float16]) -> None:
        data = io.BytesIO()  # np.save to a file says nothing when a full disk cuts a small array short
        np.save(data, rows)
        make_folder(path.parent)
        with replacing(path) as partial:
            partial.write_bytes(data.getbuffer())

    def _shard(self, turn: int, shard: int) -> NDArray[np.float16]:
        if (turn, shard) not in self._shards:
            path = self._path(turn, shard)
            try:
                self._shards[turn, shard] = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as error:
                raise OutputError(
                    f"{path} can't be read: {error}", f"Delete {path} and run again."
                ) from error
        return self._shards[turn, shard]

    def _path(self, turn: int, shard: int) -> Path:
        return self.folder / f"pass-{turn}" / f"{shard:05d}.npy"


_ANOTHER_CACHE = "Name another folder with --cache."


def _check_same(found: Any, wanted: dict[str, Any], folder: Path) -> None:
    known = found if isinstance(found, dict) else {}
    others = [name for name, value in wanted.items() if known.get(name) != value]
    if others:
        raise UsageError(f"{folder} holds readings with other {', '.join(others)}", _ANOTHER_CACHE)
