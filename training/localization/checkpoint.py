"""What a trained decoder is written as: a checkpoint of sidscan, or DeCLIP's own format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sidscan.models.families import localizer_family
from sidscan.models.localizer_checkpoints import LocalizerCheckpoint
from sidscan.training.common.files import writing_result

from .encoders import FAMILY
from .fit import FitState
from .tokens import FrozenEncoders

PUBLISHED_SUFFIX = ".pth"


def write_checkpoint(
    out: Path,
    state: FitState,
    shape: Mapping[str, Any],
    encoders: FrozenEncoders,
    facts: Mapping[str, object],
    steps: int,
) -> None:
    """Write the file whole or not at all; with the suffix .pth as DeCLIP's code writes it.

    Args:
        state: weights and optimiser after the best epoch.
        steps: batches until then.

    Raises:
        OutputError: it can't be written.
    """
    with writing_result(out) as partial:
        if out.suffix == PUBLISHED_SUFFIX:
            torch.save(published_content(state, shape, steps), partial)
            return
        checkpoint = LocalizerCheckpoint(
            tensors=state["decoder"],
            family=FAMILY,
            config=dict(shape),
            encoders={part.opened.name: part.opened.sha256 for part in encoders.parts},
            tile=localizer_family(FAMILY).tile,
            facts=facts,
        )
        partial.write_bytes(checkpoint.to_bytes())


def published_content(state: FitState, shape: Mapping[str, Any], steps: int) -> dict[str, object]:
    """The keys of DeCLIP's files (base_model.py:19-25). They state neither encoder nor recipe."""
    return {
        "model": state["decoder"],
        "optimizer": state["optimiser"],
        "total_steps": steps,
        "feature_layer": f"layer{shape['layer']}",
        "decoder_type": shape["decoder"],
    }
