"""Detectors on one device: crops in, logits out, every encoder and every crop once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan.models.backbones import MAPS, MAPS_AT_ONCE, Feature
from sidscan.models.detectors import Detector
from sidscan.records import CropRef
from sidscan.runtimes import unique_crops

Logits = NDArray[np.float32]


class DetectorGroup(NamedTuple):
    """Detectors that need the same passes.

    Attributes:
        columns: of all logits, those that are theirs: first their own, then those of their probes
            (`probe_columns`).
        mirror_invariant: whether a mirror image reads the same to their encoders as the crop itself.
    """

    detectors: tuple[Detector, ...]
    columns: list[int]
    mirror_invariant: bool


def group_by_mirroring(detectors: Sequence[Detector]) -> tuple[DetectorGroup, ...]:
    """All detectors, in one group or two."""
    probed = [detector for detector in detectors for _ in detector.info.probed]
    owners = [detector.encoder.mirror_invariant for detector in (*detectors, *probed)]  # of every column
    return tuple(
        DetectorGroup(
            tuple(detector for detector in detectors if detector.encoder.mirror_invariant is kind),
            [column for column, other in enumerate(owners) if other is kind],
            kind,
        )
        for kind in sorted(set(owners))
    )


def gather(
    groups: Sequence[DetectorGroup],
    order: Sequence[CropRef],
    compute: Callable[[DetectorGroup, Sequence[CropRef]], Logits],
) -> Logits:
    """Logits (crops, all columns) from ``compute``, which gets each group and the crops that it needs."""
    logits = np.empty((len(order), sum(len(group.columns) for group in groups)), np.float32)
    for group in groups:
        needed, positions = unique_crops(order, group.mirror_invariant)
        logits[:, group.columns] = compute(group, needed)[positions]
    return logits


def select_crops(crops: Tensor, refs: Sequence[CropRef]) -> Tensor:
    """Crops (k, h, w, 3) -> the b crops that ``refs`` name, (b, 3, h, w), mirrored on the same device."""
    index, mirrored = torch.tensor(refs, device=crops.device).unbind(dim=1)
    selected = crops[index]
    if any(turned for _, turned in refs):
        selected = torch.where(mirrored.bool()[:, None, None, None], selected.flip(2), selected)
    return selected.permute(0, 3, 1, 2)


@torch.inference_mode()
def compute_logits(detectors: Sequence[Detector], crops: Tensor, refs: Sequence[CropRef]) -> Tensor:
    """The crops that ``refs`` name, of (k, rows, columns, 3) -> logits (b, columns), on the same device."""
    return run_networks(detectors, select_crops(crops, refs))


def run_networks(detectors: Sequence[Detector], batch: Tensor) -> Tensor:
    """Crops or pictures (b, 3, rows, columns), uint8 -> logits (b, columns), on the same device.

    Every encoder runs once, for what its heads read. Columns are as in `Runtime.logits`. Where a head reads
    maps of every depth, a few crops at a time go through.
    """
    if len(batch) > MAPS_AT_ONCE and any(detector.head.feature in MAPS for detector in detectors):
        return torch.cat([run_networks(detectors, part) for part in torch.split(batch, MAPS_AT_ONCE)])
    wanted: dict[int, set[Feature]] = {}
    for detector in detectors:
        wanted.setdefault(id(detector.encoder), set()).add(detector.head.feature)
    read: dict[int, dict[Feature, Tensor]] = {}
    columns, probes = [], []
    for detector in detectors:
        key = id(detector.encoder)
        if key not in read:
            read[key] = detector.encoder.read(batch, wanted[key])
        features = read[key][detector.head.feature]
        columns.append(detector.head(features))
        probes += [detector.head.caution_logits(features, kind) for kind in detector.info.probed]
    return torch.stack([*columns, *probes], dim=1)


def copy_to(detectors: Sequence[Detector], device: torch.device) -> tuple[Detector, ...]:
    """The same detectors on another device; those that share an encoder share its copy."""
    modules = copy.deepcopy([(detector.encoder, detector.head) for detector in detectors])
    return tuple(
        replace(detector, encoder=encoder.to(device), head=head.to(device))
        for detector, (encoder, head) in zip(detectors, modules, strict=True)
    )
