"""Detectors on one device: views in, logits out, every encoder and every view once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan.models.backbones import Feature
from sidscan.models.detectors import Detector
from sidscan.records import CropRef
from sidscan.runtimes import unique_crops

Logits = NDArray[np.float32]


class DetectorGroup(NamedTuple):
    """Detectors that need the same passes.

    Attributes:
        columns: their places among all detectors.
        mirror_invariant: whether a mirror image reads the same to their encoders as the crop itself.
    """

    detectors: tuple[Detector, ...]
    columns: list[int]
    mirror_invariant: bool


def group_by_mirroring(detectors: Sequence[Detector]) -> tuple[DetectorGroup, ...]:
    """All detectors, in one group or two."""
    kinds = [detector.encoder.mirror_invariant for detector in detectors]
    columns = {kind: [place for place, one in enumerate(kinds) if one is kind] for kind in sorted(set(kinds))}
    return tuple(
        DetectorGroup(tuple(detectors[c] for c in places), places, kind) for kind, places in columns.items()
    )


def gather(
    several: Sequence[DetectorGroup],
    order: Sequence[CropRef],
    compute: Callable[[Sequence[Detector], Sequence[CropRef]], Logits],
) -> Logits:
    """(views, all detectors) from what ``compute`` makes of each group's detectors and the views it needs."""
    found = np.empty((len(order), sum(len(group.columns) for group in several)), np.float32)
    for group in several:
        needed, places = unique_crops(order, group.mirror_invariant)
        found[:, group.columns] = compute(group.detectors, needed)[places]
    return found


def select_crops(crops: Tensor, views: Sequence[CropRef]) -> Tensor:
    """Crops (k, h, w, 3) -> views (b, 3, h, w), mirrored on the crops' own device."""
    index, mirrored = torch.tensor(views, device=crops.device).unbind(dim=1)
    taken = crops[index]
    if any(turned for _, turned in views):
        taken = torch.where(mirrored.bool()[:, None, None, None], taken.flip(2), taken)
    return taken.permute(0, 3, 1, 2)


@torch.inference_mode()
def score(detectors: Sequence[Detector], crops: Tensor, views: Sequence[CropRef]) -> Tensor:
    """Views of crops (k, 224, 224, 3) -> logits (views, detectors), on the crops' device.

    Every encoder runs once, for what its heads read.
    """
    batch = select_crops(crops, views)
    asked: dict[int, set[Feature]] = {}
    for detector in detectors:
        asked.setdefault(id(detector.encoder), set()).add(detector.head.feature)
    read: dict[int, dict[Feature, Tensor]] = {}
    columns = []
    for detector in detectors:
        key = id(detector.encoder)
        if key not in read:
            read[key] = detector.encoder.read(batch, asked[key])
        columns.append(detector.head(read[key][detector.head.feature]))
    return torch.stack(columns, dim=1)


def copy_to(detectors: Sequence[Detector], device: torch.device) -> tuple[Detector, ...]:
    """The same detectors on another device; those that share an encoder share its copy."""
    modules = copy.deepcopy([(detector.encoder, detector.head) for detector in detectors])
    return tuple(
        replace(detector, encoder=encoder.to(device), head=head.to(device))
        for detector, (encoder, head) in zip(detectors, modules, strict=True)
    )
