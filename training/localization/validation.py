"""The score of a decoder on the validation part, after each epoch."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score

from .fit import DecoderFit
from .masks import read_mask, synthetic_region
from .metrics import Map, iou, resized_map
from .survey import SurveyedImage
from .tokens import TokenSource

_BATCH = 32  # images


class ValidationPart:
    """Images that are not trained on, and where their features come from.

    Args:
        by_image: whether images are judged as a whole, as the fit trains them.
    """

    def __init__(self, images: tuple[SurveyedImage, ...], source: TokenSource, by_image: bool) -> None:
        self.images, self.source, self.by_image = images, source, by_image

    def score(self, fit: DecoderFit) -> float:
        """Mean IoU in percent; where only images have labels, average precision of mean probabilities."""
        order = [
            list(range(start, min(start + _BATCH, len(self.images))))
            for start in range(0, len(self.images), _BATCH)
        ]
        scores: list[float] = []
        for numbers, batch in zip(order, self.source.batches(0, order), strict=True):
            maps = fit.maps(batch.features).numpy()
            scores += [
                float(probabilities.mean())
                if self.by_image
                else self._iou(number, probabilities, fit.recipe.validation_threshold)
                for number, probabilities in zip(numbers, maps, strict=True)
            ]
        if not self.by_image:
            return float(np.mean(scores))
        labels = [not seen.image.is_real for seen in self.images]
        return float(100 * average_precision_score(labels, scores))

    def _iou(self, number: int, probabilities: Map, threshold: float) -> float:
        """Against the mask in its own size, as evaluation computes it."""
        region = synthetic_region(read_mask(self.images[number].image))
        return iou(resized_map(probabilities, *region.shape) > threshold, region)
