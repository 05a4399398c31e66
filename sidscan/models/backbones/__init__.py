"""Frozen encoders: uint8 crops (b, 3, 224, 224) -> the features that heads ask for."""

from __future__ import annotations

from typing import Literal, TypeAlias

Feature: TypeAlias = Literal["blocks", "embedding", "maps"]
"""What a head reads of an encoder.

``blocks``     (b, n, d), one feature vector per block
``embedding``  (b, e), the encoder's own image embedding
``maps``       (b, n, d, g, g), the features of every block's patches, laid out as the patches lie
"""
