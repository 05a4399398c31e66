"""Feature pyramids over maps of several sides, such as a ResNet's; nobody published weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidscan.models.families import HeadFamily, register
from sidscan.models.families.rine import RINE_PAPER

if TYPE_CHECKING:
    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head
    from sidscan.models.heads.feature_pyramid import FpnLevelsHead


@register
class FeaturePyramidLevelsFamily(HeadFamily):
    """Heads that `sidscan train --head fpn` writes on a ResNet, say."""

    name = "fpn_levels"
    papers = (RINE_PAPER,)

    def head_class(self) -> type[FpnLevelsHead]:
        """The pyramid and its classifier."""
        from sidscan.models.heads.feature_pyramid import FpnLevelsHead

        return FpnLevelsHead

    def fits(self, head: Head, encoder: Encoder) -> bool:
        """Whether it reads every map of the encoder."""
        return getattr(head, "levels", None) == encoder.levels
