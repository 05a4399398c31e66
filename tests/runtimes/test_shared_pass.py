"""One pass of an encoder for a detector's scores and a localizer's maps."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_localizers import random_checkpoint, write_localizer
from tiny_networks import random_head

from sidscan.errors import ModelError
from sidscan.models.checkpoints import Checkpoint
from sidscan.models.detectors import load_detectors
from sidscan.models.heads.decoder import Decoder, LocalizerNetwork
from sidscan.models.localizers import LoadedLocalizer, TileSpec, load_localizer
from sidscan.records import CropSet
from sidscan.runtimes.precision_check import natural_crops
from sidscan.runtimes.pytorch import PyTorchRuntime
from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer
from sidscan.runtimes.shared_pass import SharedPass, load_shared


def _native(loaded: LoadedLocalizer) -> LoadedLocalizer:
    """The localizer with tiles that are read as they are."""
    return loaded._replace(info=replace(loaded.info, tile=TileSpec(224, 224, 112)))


def _head(folder: Path, encoder: Path) -> str:
    path = folder / "head.safetensors"
    sha256 = hashlib.sha256(encoder.read_bytes()).hexdigest()
    head = random_head(2, 64, 16, 2)
    path.write_bytes(Checkpoint(dict(head.state_dict()), "rine", encoder.name, sha256, 0.4, {}).to_bytes())
    return str(path)


def test_one_pass_gives_what_two_give(tmp_path: Path) -> None:
    model, encoder = write_localizer(tmp_path)
    head = _head(tmp_path, encoder)
    crops = natural_crops(3)
    logits = PyTorchRuntime(load_detectors([head], encoder=encoder), "cpu", "fp32").logits(
        CropSet.plain(crops)
    )
    maps = PyTorchLocalizer(_native(load_localizer(model, encoder=encoder)), "cpu", "fp32").maps(crops)
    detector, localizer = load_shared(head, model, encoder=encoder)
    passes: list[int] = []
    detector.encoder.visual.conv1.register_forward_hook(lambda *_: passes.append(1))  # type: ignore[union-attr]
    read = SharedPass(detector, _native(localizer), "cpu", "fp32").read(crops)
    assert np.abs(read.logits - logits[:, 0]).max() <= 1e-5
    assert np.abs(read.maps - maps).max() <= 1e-5
    assert passes == [1]


def test_resized_tiles_are_other_crops(tmp_path: Path) -> None:
    model, encoder = write_localizer(tmp_path)
    detector, localizer = load_shared(_head(tmp_path, encoder), model, encoder=encoder)
    with pytest.raises(ModelError, match="don't read the same crops: tiles of 256 px are resized"):
        SharedPass(detector, localizer)
    (other,) = load_detectors([_head(tmp_path, encoder)], encoder=encoder)
    with pytest.raises(ModelError, match="don't read one encoder"):
        SharedPass(other, _native(localizer))
    assert isinstance(localizer.network, LocalizerNetwork)
    assert isinstance(localizer.network.decoder, Decoder)
    assert random_checkpoint(encoder).tile == TileSpec(256, 224, 128)
