"""Texts hidden in the lowest bits of pixels: where they are found, and what damage costs."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sample_provenance import png_chunk
from sample_stealth import hidden, saved

from sidscan.config import ReadLimits
from sidscan.provenance.read import read_provenance

PARAMETERS = "a harbour\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"
NOVELAI = json.dumps({"Software": "NovelAI", "Comment": "{}"})


@pytest.mark.parametrize("size", [(64, 48), (300, 10), (20, 200)], ids=str)
@pytest.mark.parametrize(
    "scheme", ["stealth_pnginfo", "stealth_pngcomp", "stealth_rgbinfo", "stealth_rgbcomp"]
)
def test_a_hidden_text_is_read(scheme: str, size: tuple[int, int]) -> None:
    found = read_provenance(saved(hidden(scheme, PARAMETERS, *size)))
    (marker,) = found.markers
    channel = "alpha" if scheme.startswith("stealth_png") else "colour"
    assert (found.verdict, found.strength) == ("ai_generated", "plain")
    assert (marker.id, marker.container) == ("stealth-text", f"{channel} of PNG pixels")
    assert (marker.key, marker.value) == (scheme, PARAMETERS)


@pytest.mark.parametrize("options", [{"lossless": True, "exact": True}, {"quality": 60}], ids=str)
def test_webp_keeps_it_in_its_transparency(options: dict[str, object]) -> None:
    found = read_provenance(saved(hidden("stealth_pngcomp", NOVELAI), "WEBP", **options))
    assert (found.verdict, found.says) == ("ai_generated", ("NovelAI",))


@given(filters=st.lists(st.integers(0, 4), min_size=48, max_size=48))
def test_every_filter_of_png_is_undone(filters: list[int]) -> None:
    image = hidden("stealth_pnginfo", PARAMETERS)
    pixels = np.asarray(image).reshape(48, -1).astype(int)
    assert read_provenance(filtered(pixels, filters)).by == ("stealth-text",)


def filtered(pixels: NDArray[np.int_], filters: list[int]) -> bytes:
    """A PNG with transparency whose rows have these filters (W3C PNG, section 9)."""
    rows, above = b"", np.zeros_like(pixels[0])
    for number, row in zip(filters, pixels, strict=True):
        left, upper_left = (np.concatenate([[0] * 4, each[:-4]]) for each in (row, above))
        estimate = left + above - upper_left
        far = [abs(estimate - each) for each in (left, above, upper_left)]
        paeth = np.where(
            (far[0] <= far[1]) & (far[0] <= far[2]), left, np.where(far[1] <= far[2], above, upper_left)
        )
        guess = (0, left, above, (left + above) // 2, paeth)[number]
        rows += bytes([number]) + ((row - guess) & 255).astype(np.uint8).tobytes()
        above = row
    header = (pixels.shape[1] // 4).to_bytes(4, "big") + len(pixels).to_bytes(4, "big") + b"\x08\x06\0\0\0"
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*each) for each in chunks)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(saved(hidden("stealth_pnginfo", "a letter to a friend")), id="another text"),
        pytest.param(saved(hidden("stealth_pngcomp", PARAMETERS).crop((0, 0, 9, 48))), id="cut off"),
        pytest.param(saved(hidden("stealth_pnginfo", "", bits=(1 << 32) - 1)), id="a length of 2^32"),
        pytest.param(saved(hidden("stealth_pnginfo", "")), id="no text"),
    ],
)
def test_the_signature_alone_is_a_hint(data: bytes) -> None:
    found = read_provenance(data)
    assert (found.verdict, found.strength, found.by) == ("ai_hint", "weak", ("stealth-signature",))


def test_a_packed_text_that_would_fill_the_memory_is_told() -> None:
    found = read_provenance(
        saved(hidden("stealth_pngcomp", "x" * 3_000_000, 256, 256)), ReadLimits(max_metadata=1 << 20)
    )
    assert (found.verdict, found.by) == ("unreadable", ("metadata-limit",))


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(hidden("stealth_pnginfo", PARAMETERS).transpose(Image.Transpose.ROTATE_90), id="turned"),
        pytest.param(hidden("stealth_pnginfo", PARAMETERS).convert("RGB"), id="without transparency"),
        pytest.param(hidden("stealth_pngother", PARAMETERS), id="another scheme"),
        pytest.param(Image.new("RGBA", (3, 3), (0, 0, 0, 254)), id="too few pixels"),
        pytest.param(Image.new("L", (64, 64)), id="grey"),
    ],
)
def test_others_hold_nothing(image: Image.Image) -> None:
    assert read_provenance(saved(image)).markers == ()


@pytest.mark.parametrize("cut", [0.05, 0.3, 0.9])
def test_damaged_pixels_cost_nothing_else(cut: float) -> None:
    data = saved(hidden("stealth_pnginfo", PARAMETERS))
    at = data.index(b"IDAT") + 4
    for damaged in (data[: int(cut * len(data))], data[:at] + b"\xff" * 40 + data[at + 40 :]):
        assert read_provenance(damaged).verdict in ("none", "ai_hint")
