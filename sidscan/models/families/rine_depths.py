"""RINE on encoders whose blocks differ in width, the paper's appendix; nobody published weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidscan.models.families import HeadFamily, register
from sidscan.models.families.rine import RINE_PAPER

if TYPE_CHECKING:
    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head
    from sidscan.models.heads.rine_depths import RineDepthsHead


@register
class RineDepthsFamily(HeadFamily):
    """Heads that `sidscan train` writes on a ResNet, say."""

    name = "rine_depths"
    papers = (RINE_PAPER,)

    def head_class(self) -> type[RineDepthsHead]:
        """A Q1 for each width, the Trainable Importance Estimator, Q2, classifier."""
        from sidscan.models.heads.rine_depths import RineDepthsHead

        return RineDepthsHead

    def fits(self, head: Head, encoder: Encoder) -> bool:
        """Whether it reads every block of the encoder."""
        return getattr(head, "depths", None) == encoder.depths
