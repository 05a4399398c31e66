"""Encoders by name -> frozen encoders, and the decoder of DeCLIP that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sidscan.config import Device, Precision
from sidscan.errors import UsageError
from sidscan.models.backbones.base import Encoder
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.detectors import Encoders, OpenedEncoder
from sidscan.models.families import localizer_family
from sidscan.models.heads.decoder import Decoder
from sidscan.models.store import Store
from sidscan.runtimes.pytorch import DTYPES, encoder_precision, open_device

from .tokens import EncoderPart, FrozenEncoders

FAMILY = "declip"
_PUBLISHED_DEPTH = (21, 24)  # blocks that DeCLIP computes of CLIP ViT-L/14's
_PUBLISHED_STAGE = 3  # of a residual network
_ARCHS = {(True,): "CLIP:ViT-L/14", (False,): "CLIP:RN50", (True, False): "CLIP:ViT-L/14,RN50"}


def open_encoder(name: str) -> OpenedEncoder:
    """The encoder with that catalog name, or in that file.

    Raises:
        ModelError: it is not installed or is damaged, or is not an image encoder of CLIP.
    """
    store = Store()
    return Encoders(store, [] if name in store.catalog else [Path(name)]).open(name)


def default_layer(encoders: Sequence[Encoder]) -> int:
    """The published layer: block 20 of 24, as deep in a transformer of another depth; stage 3 of a ResNet."""
    first = encoders[0]
    if not isinstance(first, ClipEncoder):
        return _PUBLISHED_STAGE
    read, of = _PUBLISHED_DEPTH
    return max(round(first.num_blocks * read / of), 1) - 1


def decoder_shape(kind: str, layer: int, encoders: Sequence[Encoder]) -> dict[str, Any]:
    """Which decoder of DeCLIP reads these encoders: the fields of `DeclipShape`.

    Raises:
        UsageError: the encoders don't go together, or have no such layer.
        ModelError: DeCLIP has no such decoder.
    """
    arch = _ARCHS.get(tuple(isinstance(encoder, ClipEncoder) for encoder in encoders))
    if arch is None:
        raise UsageError(
            "these encoders don't go together",
            "Name one --encoder, or a vision transformer and then a residual network.",
        )
    if isinstance(first := encoders[0], ClipEncoder) and layer >= first.num_blocks:
        raise UsageError(f"an encoder has no layer {layer}", f"Choose one from 0 to {first.num_blocks - 1}.")
    shape: dict[str, Any] = {"arch": arch, "layer": layer, "decoder": kind, "channels": 1}
    with torch.device("meta"):
        reads = localizer_family(FAMILY).untrained(shape).reads
    pairs = zip(encoders, reads, strict=True)
    widths = [encoder.width_of(feature) for encoder, features in pairs for feature in features]
    known = [width for width in widths if width is not None]
    if len(known) < len(widths):
        raise UsageError(f"an encoder has no layer {layer}", "Choose a lower --layer.")
    return {**shape, "channels": sum(known)}


def freeze(
    opened: Sequence[OpenedEncoder], decoder: Decoder, device: Device, precision: Precision
) -> FrozenEncoders:
    """The encoders on their device, with the features that the decoder reads of each.

    Raises:
        RuntimeUnavailable: this machine does not offer the device or precision.
    """
    torch_device = open_device(device)
    used = encoder_precision(precision, torch_device, fp16_safe=True, name=opened[0].name)
    parts = []
    for each, reads in zip(opened, decoder.reads, strict=True):
        each.encoder.to(torch_device, DTYPES[used])
        parts.append(EncoderPart(each, reads))
    return FrozenEncoders(tuple(parts), torch_device, used)
