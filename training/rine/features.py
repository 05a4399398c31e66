"""Features of training crops: from a fresh pass of the frozen encoder, or from a cache of one.

The encoder is frozen, so the features of a crop never change. `FeatureCache` draws the crops of an epoch
once, encodes them once, and serves any number of heads from disk. For the same seed it differs from
`FreshFeatures` in two ways: features are rounded to fp16 (as the published code has them on CUDA anyway), and
an epoch beyond the number of passes sees the crops of an earlier one again. One epoch from one pass sees the
very same crops.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan._version import __version__
from sidscan.config import SIDE, Device, Precision
from sidscan.errors import ModelError, OutputError, RuntimeUnavailable, UsageError
from sidscan.images.decode import decoder_name
from sidscan.models.backbones import MAPS, MAPS_AT_ONCE, Feature
from sidscan.models.backbones.base import Encoder
from sidscan.models.backbones.named import is_named
from sidscan.models.detectors import Encoders
from sidscan.models.store import Store
from sidscan.runtimes.pytorch import DTYPES, encoder_precision, open_device
from sidscan.training.common.files import make_folder, write_json, writing_result

from .crop_dataset import Crop, CropDataset
from .fit import EncoderDims

CACHE_FORMAT = 2  # 1, of sidscan 0.1, has "reading" instead of "feature"
CROPS_PER_SHARD = 1024  # 50 MB for ViT-L/14
ENCODER_BATCH = 128  # crops per pass of the encoder, when no batch of a fit sets it


@dataclass(frozen=True)
class FrozenEncoder:
    """An image encoder on a device.

    Attributes:
        name: catalog name, a library's (`named`), or name of the weights file.
        sha256: of the weights file, hex.
    """

    encoder: Encoder
    name: str
    sha256: str
    provenance: str
    device: torch.device
    precision: str

    @property
    def dims(self) -> EncoderDims:
        """The sizes that heads must fit."""
        depths, levels = self.encoder.depths, self.encoder.levels
        return EncoderDims(
            len(depths),
            depths[0],
            getattr(self.encoder, "output_dim", 0),
            depths if len(set(depths)) > 1 else (),
            levels if len(set(levels)) > 1 or len(levels) != len(depths) else (),
        )

    @torch.no_grad()
    def encode(self, crops: Sequence[Crop], feature: Feature) -> Tensor:
        """Crops (224, 224, 3) uint8 -> (crops, ...), float32, on the device.

        Maps are made a part at a time and lie in main memory, as precise as the encoder computes.
        """
        if feature in MAPS:
            parts = (crops[n : n + MAPS_AT_ONCE] for n in range(0, len(crops), MAPS_AT_ONCE))
            return self._collect(parts, len(crops), feature)
        return self._encode(crops, feature)

    def _collect(self, parts: Iterable[Sequence[Crop]], count: int, feature: Feature) -> Tensor:
        """Features of all parts in one tensor, each copied to its place: joining would need them twice."""
        done, maps = 0, torch.empty(0)
        for part in parts:
            read = self._encode(part, feature)
            if not done:
                maps = torch.empty(count, *read.shape[1:], dtype=DTYPES[self.precision])
            maps[done : done + len(part)].copy_(read)
            done += len(part)
        return maps

    def _encode(self, crops: Sequence[Crop], feature: Feature) -> Tensor:
        pixels = torch.from_numpy(np.stack(crops)).to(self.device).permute(0, 3, 1, 2)
        return self.encoder.read(pixels, {feature})[feature]


def open_encoder(
    name: str, device: Device = "auto", precision: Precision = "auto", weights: Path | None = None
) -> FrozenEncoder:
    """Open the encoder with that catalog name, in that file, or built by a library.

    Args:
        weights: of a library's.

    Raises:
        ModelError: the encoder is not installed or is damaged, or has no features of every depth for 224 px.
        RuntimeUnavailable: this machine does not offer the device or precision.
    """
    torch_device = open_device(device)
    file = weights if is_named(name) else None if name in Store().catalog else Path(name)
    opened = Encoders(Store(), [file] if file else []).open(name)
    encoder = opened.encoder
    if not encoder.depths:
        raise ModelError(
            f"{name} gives no features of every depth",
            "Choose a vision transformer, or a ResNet of torchvision's.",
        )
    precision_used = encoder_precision(precision, torch_device, encoder.fp16_safe, name=name)
    encoder.to(torch_device, DTYPES[precision_used])
    return FrozenEncoder(encoder, *opened[1:], torch_device, precision_used)


class FreshFeatures:
    """The published way: every epoch draws new crops and encodes them anew."""

    def __init__(self, crops: CropDataset, encoder: FrozenEncoder, feature: Feature) -> None:
        self.crops, self.encoder, self.feature = crops, encoder, feature
        self._labels = _labels_of(crops)

    def __len__(self) -> int:
        return len(self.crops)

    def batches(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """See `fit.FeatureSource`."""
        drawn = self.crops.draw(epoch, [index for batch in order for index in batch])
        for batch in order:
            pairs = [(index, crop) for index, crop in zip(batch, drawn, strict=False) if crop is not None]
            if not pairs:
                yield torch.empty(0), torch.empty(0)
                continue
            indices, crops = zip(*pairs, strict=True)
            yield self.encoder.encode(crops, self.feature), self._labels[list(indices)]


class FeatureCache:
    """Features on disk: fp16, in shards of ``CROPS_PER_SHARD`` crops, made once.

        FOLDER/facts.json           what the features depend on; a cache of anything else is refused
        FOLDER/pass-0/00000.npy     (CROPS_PER_SHARD, ...), examples in order; NaN for those left out

    Every shard is written whole or not at all, so an interrupted build goes on at the next one.

    Args:
        list_digest: of the training list (`examples.list_digest`).
        passes: how many times every example is drawn; epochs beyond that see the first crops again.

    Raises:
        UsageError: the features are patch maps.
    """

    def __init__(
        self,
        folder: Path,
        crops: CropDataset,
        encoder: FrozenEncoder,
        feature: Feature,
        list_digest: str,
        passes: int = 1,
    ) -> None:
        if feature in MAPS:
            raise UsageError(
                "maps of all blocks are too large for a cache (12 MB per crop for ViT-L/14)",
                "Train a feature pyramid without --cache.",
            )
        self.folder, self.crops, self.encoder = folder, crops, encoder
        self.feature, self.passes = feature, passes
        self._labels = _labels_of(crops)
        self._shards: dict[tuple[int, int], NDArray[np.float16]] = {}
        self._facts: dict[str, object] = {
            "format": CACHE_FORMAT,
            "data": list_digest,
            "examples": len(crops),
            "encoder": encoder.sha256,
            "precision": encoder.precision,
            "feature": feature,
            "augmented": crops.augmented,
            "seed": crops.seed,
            "augmentation": {name: _as_json(value) for name, value in crops.recipe.augmentation.items()},
            "shard": CROPS_PER_SHARD,
            "sidscan": __version__,
            "decoder": decoder_name(),
        }

    def __len__(self) -> int:
        return len(self.crops)

    def build(self, progress: Callable[[int], object] = lambda _: None) -> None:
        """Make the shards that are missing; ``progress`` gets the number of crops after each batch.

        Raises:
            UsageError: the folder contains features of something else.
            OutputError: a shard can't be written; those before it stay.
            UnreadableExample: an image can't be decoded, and none may be left out.
        """
        self._claim_folder()
        for pass_number in range(self.passes):
            for shard in range(-(-len(self) // CROPS_PER_SHARD)):
                indices = range(shard * CROPS_PER_SHARD, min((shard + 1) * CROPS_PER_SHARD, len(self)))
                path = self._path(pass_number, shard)
                if not path.exists():
                    self._save(path, self._encode_shard(pass_number, indices, progress))
                else:
                    progress(len(indices))

    def batches(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """See `fit.FeatureSource`; this reads the cache alone."""
        pass_number = epoch % self.passes
        for batch in order:
            rows = np.stack(
                [self._shard(pass_number, n // CROPS_PER_SHARD)[n % CROPS_PER_SHARD] for n in batch]
            )
            readable = ~np.isnan(rows.reshape(len(rows), -1)[:, 0])
            self.crops.leave_out(index for index, ok in zip(batch, readable, strict=True) if not ok)
            yield torch.from_numpy(rows[readable]).float(), self._labels[batch][torch.from_numpy(readable)]

    @property
    def total(self) -> int:
        """Number of crops in a complete cache."""
        return self.passes * len(self)

    def _claim_folder(self) -> None:
        """Record what the folder contains, or check that it contains this."""
        path = self.folder / "facts.json"
        make_folder(self.folder)
        if not path.exists():
            write_json(path, self._facts)
            return
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{path} can't be read: {error}", _ANOTHER_CACHE) from error
        _check_same(stored if isinstance(stored, dict) else {}, self._facts, self.folder)

    def _encode_shard(
        self, pass_number: int, indices: range, progress: Callable[[int], object]
    ) -> NDArray[np.float16]:
        drawn = self.crops.draw(pass_number, indices)
        parts: list[NDArray[np.float16]] = []
        for start in range(0, len(indices), ENCODER_BATCH):
            crops = [crop for _, crop in zip(indices[start : start + ENCODER_BATCH], drawn, strict=False)]
            parts.append(self._encode_batch(crops))
            progress(len(crops))
        return np.concatenate(parts)

    def _encode_batch(self, crops: Sequence[Crop | None]) -> NDArray[np.float16]:
        """Features of a batch; NaN for the crops that were left out."""
        readable = [crop for crop in crops if crop is not None]
        # Where no image of a batch is readable, a black crop gives the shape.
        features = self.encoder.encode(readable or [np.zeros((SIDE, SIDE, 3), np.uint8)], self.feature)
        values = features[: len(readable)].half().cpu().numpy()
        if not np.isfinite(values).all():
            raise RuntimeUnavailable(
                f"features in {self.encoder.precision} are not finite", "Choose --precision fp32 or bf16."
            )
        rows = np.full((len(crops), *values.shape[1:]), np.nan, dtype=np.float16)
        rows[[crop is not None for crop in crops]] = values
        return rows

    def _save(self, path: Path, rows: NDArray[np.float16]) -> None:
        data = io.BytesIO()  # np.save to a file raises nothing when a full disk cuts a small array short
        np.save(data, rows)
        make_folder(path.parent)
        with writing_result(path) as partial:
            partial.write_bytes(data.getbuffer())

    def _shard(self, pass_number: int, shard: int) -> NDArray[np.float16]:
        if (pass_number, shard) not in self._shards:
            path = self._path(pass_number, shard)
            try:
                self._shards[pass_number, shard] = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as error:
                raise OutputError(
                    f"{path} can't be read: {error}", f"Delete {path} and run again."
                ) from error
        return self._shards[pass_number, shard]

    def _path(self, pass_number: int, shard: int) -> Path:
        return self.folder / f"pass-{pass_number}" / f"{shard:05d}.npy"


_ANOTHER_CACHE = "Choose another folder with --cache."


def _labels_of(crops: CropDataset) -> Tensor:
    """(examples,), 1.0 for synthetic."""
    return torch.tensor([float(example.synthetic) for example in crops.examples])


def _as_json(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _check_same(stored: Mapping[str, object], wanted: Mapping[str, object], folder: Path) -> None:
    if stored.get("format") != CACHE_FORMAT:
        raise UsageError(
            f"{folder} contains a feature cache of format {stored.get('format')}; "
            f"this version of sidscan needs format {CACHE_FORMAT}",
            _ANOTHER_CACHE,
        )
    different = [name for name, value in wanted.items() if stored.get(name) != value]
    if different:
        raise UsageError(
            f"{folder} contains features of other settings: {', '.join(different)}", _ANOTHER_CACHE
        )
