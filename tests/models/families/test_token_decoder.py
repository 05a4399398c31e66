"""Decoders of ours: what describes one, and what they make of tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sidscan.errors import ModelError
from sidscan.models.backbones import PatchTokens
from sidscan.models.families import localizer_family

CONFIG: dict[str, Any] = {"blocks": [1, 3], "embed_dim": 8, "width": 4}


def test_maps_are_of_the_tile() -> None:
    family = localizer_family("token_decoder")
    decoder = family.untrained(CONFIG).eval()
    assert decoder.reads == ((PatchTokens(1), PatchTokens(3)),)
    with torch.inference_mode():
        logits = decoder(torch.randn(2, 8, 14, 14), torch.randn(2, 8, 14, 14))
    assert logits.shape == (2, family.tile.side, family.tile.side)
    assert decoder.side == family.tile.read == 224


def test_outliers_count_as_in_training() -> None:
    """Tokens of the training were clipped at 7.9 deviations."""
    decoder = localizer_family("token_decoder").untrained(CONFIG).eval()
    tokens = torch.zeros(1, 8, 14, 14)
    tokens[0, 0, 3, 3] = 7.9
    with torch.inference_mode():
        assert torch.equal(decoder(tokens, tokens), decoder(tokens * 100, tokens * 100))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "it has blocks, embed_dim and width"),
        (CONFIG | {"more": 1}, "it has blocks, embed_dim and width"),
        (CONFIG | {"blocks": 3}, "it has blocks, embed_dim and width"),
        (CONFIG | {"blocks": []}, "its numbers are whole, and not negative"),
        (CONFIG | {"blocks": [-1]}, "its numbers are whole, and not negative"),
        (CONFIG | {"width": 2.5}, "its numbers are whole, and not negative"),
        (CONFIG | {"embed_dim": 0}, "its numbers are whole, and not negative"),
    ],
)
def test_what_describes_no_decoder_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=f"this does not describe a token_decoder: {message}"):
        localizer_family("token_decoder").untrained(config)
