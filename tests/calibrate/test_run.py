"""Calibrating the bundled detector on generated images."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_images import encoded, folder, photo

from sidscan.calibrate.run import calibrate_models
from sidscan.config import ScanConfig
from sidscan.errors import NothingToScan, UsageError
from sidscan.scoring.calibration import load_calibration


def config(images: Path) -> ScanConfig:
    return ScanConfig(inputs=(str(images),), models=("mini",), crops="center")


def test_a_calibration_holds_each_image_once_and_counts_the_rest(tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=5)
    (images / "again.jpg").write_bytes((images / "photo-0.jpg").read_bytes())
    (images / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (images / "notes.txt").write_text("not an image")
    (saved,) = calibrate_models(config(images), 0.25, tmp_path / "c.json")
    calibration = saved.calibration
    assert (calibration.num_images, calibration.duplicates) == (5, 1)
    assert (calibration.unreadable, calibration.skipped) == (1, 1)
    assert (calibration.model, calibration.crops, calibration.precision) == ("mini", "center", "fp32")
    assert calibration.target_fpr == 0.25
    assert load_calibration(tmp_path / "c.json") == calibration
    assert saved.path == tmp_path / "c.json"
    assert 0 <= saved.card_rate <= 1


@pytest.mark.parametrize(
    ("count", "message"),
    [
        pytest.param(2, "at least 3 different images; there are 2", id="known in advance"),
        pytest.param(3, "at least 3 different images; only 2 of 3 can be used", id="a duplicate"),
    ],
)
def test_the_error_for_too_few_images_names_the_number_needed(
    tmp_path: Path, count: int, message: str
) -> None:
    folder(tmp_path, count=2)
    for index in range(2, count):
        (tmp_path / f"again-{index}.jpg").write_bytes((tmp_path / "photo-0.jpg").read_bytes())
    with pytest.raises(UsageError, match=message):
        calibrate_models(config(tmp_path), 0.25, tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


def test_the_error_for_too_few_images_counts_the_usable_ones(tmp_path: Path) -> None:
    folder(tmp_path / "images", count=2)
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    with pytest.raises(UsageError, match="at least 3 different images; at most 2 of 3 can be used"):
        calibrate_models(config(tmp_path / "images"), 0.25, tmp_path / "c.json")
    (tmp_path / "images" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UsageError, match="at least 3 different images; only 2 of 4 can be used"):
        calibrate_models(config(tmp_path / "images"), 0.25, tmp_path / "c.json")


def test_images_that_all_score_the_same_give_no_threshold(tmp_path: Path) -> None:
    image = photo(224, 224).convert("L").convert("RGB")
    for suffix in ("PNG", "BMP", "TIFF", "GIF"):  # four files, the same pixels
        (tmp_path / f"image.{suffix}").write_bytes(encoded(image, suffix))
    with pytest.raises(UsageError, match="mini gives all 4 images the same score"):
        calibrate_models(config(tmp_path), 0.25, tmp_path / "c.json")


def test_no_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(NothingToScan, match="is empty"):
        calibrate_models(config(tmp_path), 0.25, tmp_path / "c.json")
    for index in range(5):
        (tmp_path / f"{index}.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(NothingToScan, match="no image could be scored"):
        calibrate_models(config(tmp_path), 0.25, tmp_path / "c.json")


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, float("nan")])
def test_rates_outside_0_and_1_are_refused(tmp_path: Path, fpr: float) -> None:
    with pytest.raises(UsageError, match="is not between 0 and 1"):
        calibrate_models(config(tmp_path), fpr)
