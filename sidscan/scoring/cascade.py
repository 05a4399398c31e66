"""Which of an image's ten crops are computed: all, the centre alone, or as many as its decision needs.

A cascade has three stages: the centre crop, the four corners, the mirror images of these five (Viola and
Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001, section 4: cheap stages
reject most). Every stage is one call of the runtime for all images of a batch that still need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sidscan.config import Effort, ScanConfig
from sidscan.images.crops import CENTRE, UNMIRRORED
from sidscan.models.detector_info import DetectorInfo, reading_crops
from sidscan.records import CropRef
from sidscan.scoring.crop_logits import CropLogits

_Logits = NDArray[np.float32]


def effort_used(config: ScanConfig, detectors: Sequence[DetectorInfo]) -> Effort:
    """What is done: ``fast`` where only the centre is cut, ``normal`` where a cascade runs, else ``full``.

    All detectors that read crops get the same ones of an image, so a cascade runs only if every one of them
    states it.
    """
    if config.crops == "center":
        return "fast"
    cascades = [detector.cascade for detector in reading_crops(detectors)]
    runs = config.effort == "normal" and cascades and None not in cascades
    return "normal" if runs else "full"


class Cascades:
    """The cascades of all detectors of a scan, at the thresholds that decide in it.

    An image goes on to the next stage if any detector wants it. Its crops and their order are those of ten
    crops, so that the mean over all ten is the same as without a cascade.

    Args:
        detectors: each states a cascade.
        threshold_logits: one per detector.
    """

    def __init__(self, detectors: Sequence[DetectorInfo], threshold_logits: Sequence[float]) -> None:
        cascades = [detector.cascade for detector in detectors if detector.cascade is not None]
        self._thresholds = np.array(threshold_logits, np.float64)
        self._centre = np.array([cascade.centre for cascade in cascades], np.float64)
        self._mirrors = np.array([cascade.mirrors for cascade in cascades], np.float64)

    def logits(self, crops: CropLogits, views: Sequence[Sequence[CropRef]]) -> list[_Logits]:
        """Logits of each image, (its crops that were computed, columns), in the order of its views.

        Only those of the detectors decide.

        Args:
            views: the crop of each of the ten views of each image.
        """
        chosen = [refs[CENTRE : CENTRE + 1] for refs in views]
        crops.compute(chain.from_iterable(chosen))
        for needs, count in ((self._needs_corners, UNMIRRORED), (self._needs_mirrors, 2 * UNMIRRORED)):
            # An image that ended at an earlier stage has fewer crops than this one starts from.
            going = [number for number, refs in enumerate(chosen) if needs(crops.of(refs))]
            for number in going:
                chosen[number] = views[number][:count]
            crops.compute(ref for number in going for ref in chosen[number])
        return [crops.of(refs) for refs in chosen]

    def _needs_corners(self, logits: _Logits) -> bool:
        """Whether the logits (1, columns) of the centre may belong to an image at the threshold."""
        centre = self._of_detectors(logits)[0]
        return bool(np.isfinite(centre).all() and (centre >= self._thresholds - self._centre).any())

    def _needs_mirrors(self, logits: _Logits) -> bool:
        """Whether the mirror images may change on which side of the threshold logits (5, columns) lie."""
        if len(logits) < UNMIRRORED or not np.isfinite(logits).all():
            return False
        distance = np.abs(self._of_detectors(logits).mean(axis=0) - self._thresholds)
        return bool((distance <= self._mirrors).any())

    def _of_detectors(self, logits: _Logits) -> NDArray[np.float64]:
        return logits[:, : len(self._thresholds)].astype(np.float64)
