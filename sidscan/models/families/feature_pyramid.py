"""Feature pyramids over patch maps: the paper's appendix alternative to RINE; nobody published weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidscan.models.families import HeadFamily, register
from sidscan.models.families.rine import RINE_PAPER, reads_every_block

if TYPE_CHECKING:
    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head
    from sidscan.models.heads.feature_pyramid import FpnHead


@register
class FeaturePyramidFamily(HeadFamily):
    """Heads that `sidscan train --head fpn` writes."""

    name = "fpn"
    papers = (RINE_PAPER,)

    def head_class(self) -> type[FpnHead]:
        """The pyramid and its classifier."""
        from sidscan.models.heads.feature_pyramid import FpnHead

        return FpnHead

    def fits(self, head: Head, encoder: Encoder) -> bool:
        """Whether it reads every block of the encoder."""
        return reads_every_block(head, encoder)
