"""AutoSplice (CVPR workshops 2023): parts of news photographs that DALL-E 2 repainted. For tests only.

DATA/Forged_JPEG100, Forged_JPEG90, Forged_JPEG75   one set each
DATA/Mask/<stem up to the last "_">_mask.png        white is synthetic
DATA/Authentic                                      real images, if they are there
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.util.bibtex import Citation

from ..folders import below, image_files
from ..rows import LabelledImage, Wanted
from . import Layout, register

_QUALITIES = ("100", "90", "75")
GENERATOR = "DALL-E 2"
_PAPER = Citation(
    key="jia2023autosplice",
    kind="inproceedings",
    title="AutoSplice: A Text-prompt Manipulated Image Dataset for Media Forensics",
    authors=("Jia, Shan", "Huang, Mingzhen", "Zhou, Zhou", "Ju, Yan", "Cai, Jialing", "Lyu, Siwei"),
    year=2023,
    venue="Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops",
    pages="893-903",
)


@register
class AutoSplice(Layout):
    """One set for each JPEG quality."""

    name = "autosplice"
    expected = "Forged_JPEG{75,90,100}, Mask/<stem>_mask.png"
    source = "Jia et al., CVPR workshops 2023"
    papers = (_PAPER,)
    has_masks = True

    def recognises(self, data: Path) -> bool:
        """By the folders of qualities."""
        return any((data / f"Forged_JPEG{quality}").is_dir() for quality in _QUALITIES)

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:  # noqa: ARG002
        """Set by set, then the real images, which all sets share."""
        if not self.recognises(data):
            raise UsageError(f"{data} does not have the layout of AutoSplice", f"Expected {self.expected}.")
        for quality in _QUALITIES:
            folder = data / f"Forged_JPEG{quality}"
            for path in image_files(folder) if folder.is_dir() else ():
                mask = data / "Mask" / f"{path.stem.rpartition('_')[0] or path.stem}_mask.png"
                yield LabelledImage(
                    path, below(path, data), True, f"JPEG{quality}", "test", GENERATOR, mask=mask
                )
        real = data / "Authentic"
        for path in image_files(real) if real.is_dir() else ():
            yield LabelledImage(path, below(path, data), False, "", "test")
