"""What some options can be, and how much a scan has of what they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Crops = Literal["ten", "center"]
Effort = Literal["fast", "normal", "full"]
Device = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "directml"]
RuntimeName = Literal["auto", "pytorch", "onnx"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]
CudaMode = Literal["eager", "graphs", "compiled"]

SIDE = 224  # pixels; every detector scores crops of this side
CROPS_PER_IMAGE: Mapping[Crops, int] = {"ten": 10, "center": 1}
MOST_CROPS = 500
"""Of how many images, those with the strongest evidence, the record keeps the crop with the highest score."""
