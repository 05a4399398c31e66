"""Maps that sidscan drew lie in folders that are scanned later: they are rows, and no images."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from red_localizer import RedLocalizer
from sample_images import encoded, photo

from sidscan import ScanConfig
from sidscan.isolation.archives import ArchiveReader
from sidscan.isolation.protocol import WorkerOptions
from sidscan.localize.drawings import map_png, mask_png, overlay_png
from sidscan.localize.image_map import make_map, plan_of
from sidscan.localize.tile_reader import TileReader
from sidscan.records.score_map import ScoreMap
from sidscan.review.score_map_image import draw_score_maps
from sidscan.sources import open_sources
from sidscan.sources.output_filter import SKIP_MAP

SHA256 = "ab" * 32


def drawings() -> dict[str, bytes]:
    """What `sidscan localize` writes of an image of 200 x 160 pixels."""
    localizer, pixels = RedLocalizer(), np.full((160, 200, 3), 200, np.uint8)
    plan = plan_of(200, 160, localizer.info.tile, "auto", 64)
    facts, measured = make_map(pixels, TileReader(localizer, 4), plan, lambda _: None)
    return {
        f"{SHA256}.map.png": map_png(measured, facts),
        f"{SHA256}.mask.png": mask_png(measured, facts),
        f"{SHA256}.overlay.png": overlay_png(pixels, measured, facts),
    }


def plain_png(text: str = "") -> bytes:
    texts = PngInfo()
    texts.add_text("Software", text)
    return encoded(photo(64, 64), "PNG", **({"pnginfo": texts} if text else {}))


def text_after_the_pixels() -> bytes:
    before, end = plain_png("sidscan"), plain_png()[-12:]
    chunk = before[33 : 33 + 12 + 16]
    return plain_png()[:-12] + chunk + end


def skips(folder: Path) -> dict[str, str]:
    config = ScanConfig(inputs=(str(folder),))
    with_lists = ArchiveReader(WorkerOptions.from_config(config), config.max_members)
    try:
        items = list(open_sources(config, with_lists.list_entries))
    finally:
        with_lists.close()
    return {Path(item.name).name: item.skip for item in items}


@pytest.mark.parametrize("below", ["", "maps", "deep/er/maps"])
def test_a_walk_leaves_them_out_and_says_so(tmp_path: Path, below: str) -> None:
    folder = tmp_path / below
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in drawings().items():
        (folder / name).write_bytes(content)
    (tmp_path / "photo.png").write_bytes(plain_png())
    assert skips(tmp_path) == {"photo.png": "", **dict.fromkeys(drawings(), SKIP_MAP)}


def test_members_of_archives_likewise(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in {**drawings(), "photo.png": plain_png()}.items():
            archive.writestr(f"maps/{name}", content)
    assert skips(tmp_path) == {"photo.png": "", **dict.fromkeys(drawings(), SKIP_MAP)}


def test_a_map_of_scores_that_is_named_as_one(tmp_path: Path) -> None:
    scores = ScoreMap("m", "d", 0.5, 224, 448, 224, (0, 224), (0,), ((0.2, 0.9),), ((False, False),))
    (tmp_path / "photo-map.png").write_bytes(draw_score_maps([scores], SHA256, None))
    assert skips(tmp_path) == {"photo-map.png": SKIP_MAP}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param(f"{SHA256}.map.png", plain_png(), id="the name alone"),
        pytest.param("photo.png", plain_png("sidscan"), id="the words alone"),
        pytest.param(f"{SHA256}.map.png", plain_png("a camera"), id="another software"),
        pytest.param(f"{SHA256}.map.png", text_after_the_pixels(), id="the words after the pixels"),
        pytest.param(f"{SHA256}.overlay.png", encoded(photo(64, 64), "JPEG"), id="a JPEG"),
    ],
)
def test_images_stay_images(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert skips(tmp_path) == {name: ""}


def test_who_names_a_map_has_it_scanned(tmp_path: Path) -> None:
    name, content = next(iter(drawings().items()))
    path = tmp_path / name
    path.write_bytes(content)
    (tmp_path / "names.txt").write_text(f"{path}\n")
    for config in (ScanConfig(inputs=(str(path),)), ScanConfig(lists=(str(tmp_path / "names.txt"),))):
        assert [item.skip for item in open_sources(config)] == [""]


def test_a_map_that_can_not_be_opened_is_left_to_the_reader(tmp_path: Path) -> None:
    (tmp_path / f"{SHA256}.map.png").mkdir()
    (tmp_path / f"{SHA256}.map.png" / "photo.png").write_bytes(plain_png())
    Image.new("L", (8, 8)).save(tmp_path / f"{SHA256}.mask.png")
    assert skips(tmp_path) == {"photo.png": "", f"{SHA256}.mask.png": ""}
