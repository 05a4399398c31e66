"""Windows -> what CLIP's blocks say of their views: the CLS token after every block's ``ln_2``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.detectors import Encoders
from sidscan.models.store import Store
from sidscan.runtimes.precision_check import has_fast_bf16
from sidscan.training.common import pixels as pixels_module
from sidscan.training.common.pixels import Pixels
from sidscan.training.windows import conditions, corpus, degradation
from sidscan.training.windows.cache import cached
from sidscan.training.windows.conditions import ALTERED_CONDITIONS, CONDITIONS, HARD_CONDITIONS
from sidscan.training.windows.corpus import Window, decode_window
from sidscan.training.windows.parallel import map_windows

from . import views
from .views import centre_view, random_view, upload_view

ENCODER = "clip-vit-b16-q8"  # the head is fitted to these weights, which everybody can have

View: TypeAlias = Callable[[Window], Pixels]
"""A window -> the crop of it that is read, (224, 224, 3)."""


def measured_view(window: Window, condition: str) -> Pixels:
    """The centre crop of a window under one of the module `conditions`."""
    changes = CONDITIONS | HARD_CONDITIONS | ALTERED_CONDITIONS
    return centre_view(changes[condition](decode_window(window)))


def measured_views(conditions: Iterable[str] = ("clean", "jpeg75")) -> dict[str, View]:
    """Views to measure on, by the name of their condition."""
    return {name: partial(measured_view, condition=name) for name in conditions}


def fitted_views(degraded: int, uploads: int) -> dict[str, View]:
    """Views to fit on, by name; the last two are the window as it is, and saved again as JPEG 75.

    Args:
        degraded: number of `random_view`.
        uploads: number of `upload_view`.
    """
    return {
        **{f"random {number}": partial(random_view, number=number) for number in range(1, degraded + 1)},
        **{f"upload {number}": partial(upload_view, number=number) for number in range(1, uploads + 1)},
        **measured_views(),
    }


class ClsExtractor:
    """(index, window) -> (n, d) float16: the CLS tokens of one view of a window.

    bfloat16 where the processor multiplies it itself, as in a scan; float32 elsewhere.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self._encoder: ClipEncoder | None = None  # opened in each process: it is large

    def __call__(self, numbered: tuple[int, Window]) -> NDArray[np.float16]:
        if self._encoder is None:
            self._encoder = open_encoder()
        crop = torch.from_numpy(self.view(numbered[1]).copy()).permute(2, 0, 1)[
            None
        ]  # may be a view of another array
        with torch.inference_mode():
            tokens: NDArray[np.float16] = self._encoder(crop)[0].half().numpy()
        return tokens


def open_encoder() -> ClipEncoder:
    """The installed encoder, in the precision that a scan uses here.

    Raises:
        ModelNotInstalled: it is not on this machine; the remedy says how to get it.
    """
    dtype = torch.bfloat16 if has_fast_bf16() else torch.float32
    encoder = Encoders(Store()).open(ENCODER).encoder.to(dtype)
    assert isinstance(encoder, ClipEncoder), "the catalog has a vision transformer of that name"
    return encoder


def compute_features(
    windows: Sequence[Window], name: str, view: View, workers: int, cache: Path | None = None
) -> torch.Tensor:
    """CLS tokens (windows, n, d), float16.

    Args:
        name: of the view, for the progress bar and the cache.
        cache: a folder that holds them for the next command on the same windows (18 kB a window and view).
    """
    array = cached(
        lambda: np.stack(map_windows(ClsExtractor(view), windows, workers, name)),
        cache,
        f"cls-{name.replace(' ', '')}",
        windows,
        (name, ENCODER, views, conditions, degradation, pixels_module, corpus, sys.modules[__name__]),
    )
    return torch.from_numpy(array)
