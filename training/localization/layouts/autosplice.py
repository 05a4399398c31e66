"""AutoSplice (CVPR workshops 2023): parts of news photographs that DALL-E 2 repainted. For tests only.

DATA/Forged_JPEG100, Forged_JPEG90, Forged_JPEG75   one set each
DATA/Mask/<stem up to the last "_">_mask.png        white is synthetic
DATA/Authentic                                      real images, if they are there
"""

from __future__ import annotations

from pathlib import Path

from sidscan.errors import UsageError

from ..examples import MaskedImage, image_files
from .base import Layout

_QUALITIES = ("100", "90", "75")
_EXPECTED = "Forged_JPEG{75,90,100}, Mask/<stem>_mask.png"
GENERATOR = "DALL-E 2"


def _recognises(data: Path) -> bool:
    return any((data / f"Forged_JPEG{quality}").is_dir() for quality in _QUALITIES)


def _list_images(data: Path) -> list[MaskedImage]:
    if not _recognises(data):
        raise UsageError(f"{data} does not have the layout of AutoSplice", f"Expected {_EXPECTED}.")
    images = []
    for quality in _QUALITIES:
        folder = data / f"Forged_JPEG{quality}"
        for path in image_files(folder) if folder.is_dir() else ():
            mask = data / "Mask" / f"{path.stem.rpartition('_')[0] or path.stem}_mask.png"
            name = path.relative_to(data).as_posix()
            images.append(MaskedImage(path, name, mask, f"JPEG{quality}", "test", GENERATOR))
    real = data / "Authentic"
    for path in image_files(real) if real.is_dir() else ():
        images.append(MaskedImage(path, path.relative_to(data).as_posix(), None, "", "test"))
    return images


LAYOUT = Layout("autosplice", _EXPECTED, _recognises, _list_images)
