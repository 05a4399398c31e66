"""A detector in one file: how sharp are the crops? It shows how to plug in; its scores mean nothing.

sidscan finds this module by the entry point in pyproject.toml; the model is then used like any other:

    sidscan models list
    sidscan scan ./images --model sharpness --out report.csv
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING

from sidscan.models.catalog import CatalogEntry
from sidscan.models.families import DetectorFamily, register
from sidscan.models.origins import Bundled

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones import Feature
    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head


@register
class Sharpness(DetectorFamily):
    """Mean difference of neighbouring pixels -> one linear layer."""

    name = "sharpness"
    entries = (
        CatalogEntry(
            name="sharpness",
            kind="detector",
            summary="example: measures sharpness, not synthesis",
            licence="Apache-2.0",
            provenance="examples/third_party_detector",
            origin=Bundled("sharpness.safetensors", "sharpness.json", Path(__file__).parent),
            size=200,
        ),
    )

    def networks(self, tensors: Mapping[str, Tensor], encoder: Encoder | None) -> tuple[Encoder, Head]:
        """An encoder without weights, and a linear layer with ``weight`` (1, 2) and ``bias`` (1,)."""
        import torch  # here, not above: `sidscan models list` waits for nothing heavy

        from sidscan.models.backbones.base import Encoder
        from sidscan.models.heads.base import with_weights
        from sidscan.models.heads.linear_probe import LinearProbe

        class Differences(Encoder):
            """uint8 RGB crops (b, 3, h, w) -> mean |difference| of neighbours across and down, (b, 2)."""

            mirror_invariant = True

            def read(self, crops: Tensor, features: Set[Feature]) -> dict[Feature, Tensor]:
                pixels = crops.float()
                sharpness = [pixels.diff(dim=dim).abs().mean(dim=(1, 2, 3)) for dim in (3, 2)]
                return {"embedding": torch.stack(sharpness, dim=1)}

        return Differences(), with_weights(LinearProbe, tensors)
