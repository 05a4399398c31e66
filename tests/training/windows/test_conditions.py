"""Copies of a corpus under a condition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image
from sample_images import encoded, photo

from sidscan.training.windows import conditions
from sidscan.training.windows.corpus import fold_of_repo, read_manifest


def test_every_fold_is_written_under_the_condition(tmp_path: Path) -> None:
    rows = ["file,label,generator,kind,repo,license"]
    for number in range(6):
        name = f"real/lossless/o__r{number}-0123456789-{number}.webp"
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encoded(photo(240, 230, number), "WEBP", lossless=True))
        rows.append(f"{name},real,,lossless,o/r{number},CC0")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    folds = fold_of_repo(read_manifest(tmp_path))
    expected = sorted((f"fold-{fold}", f"o__{repo[2:]}") for repo, fold in folds.items())

    result = CliRunner().invoke(conditions.conditions_command, [str(tmp_path), "half", str(tmp_path / "out")])

    assert result.exit_code == 0, result.output
    written = sorted((tmp_path / "out").rglob("*.png"))
    names = [path.relative_to(tmp_path / "out") for path in written]
    assert [(name.parts[0], name.name.split("-")[0]) for name in names] == expected
    assert {name.parts[1:3] for name in names} == {("real", "lossless")}
    assert Image.open(written[0]).size == (120, 115)


def test_jpeg_75_changes_pixels_a_little() -> None:
    pixels = np.asarray(photo(64, 48))
    changed = conditions.CONDITIONS["jpeg75"](pixels)
    assert changed.shape == pixels.shape
    assert 0 < np.abs(changed.astype(int) - pixels).mean() < 12


def test_the_centre_is_cropped_and_small_windows_stay() -> None:
    pixels = np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3)
    assert np.array_equal(conditions.centre_square(pixels, 3), pixels[2:5, 1:4])
    assert np.array_equal(conditions.centre_square(pixels, 6), pixels[0:6])


def test_altered_images_have_the_size_that_their_name_says() -> None:
    wide = np.asarray(photo(2160, 400))
    sizes = {name: change(wide).shape for name, change in conditions.ALTERED_CONDITIONS.items()}
    assert sizes["JPEG 60"] == sizes["WebP 80"] == wide.shape
    assert sizes["resized to 0.5"] == (200, 1080, 3)
    assert sizes["resized to 2"] == (800, 4320, 3)
    assert sizes["social media"] == (200, 1080, 3)
    assert sizes["screenshot"] == (267, 1440, 3)


def test_small_images_are_not_fitted_but_still_saved() -> None:
    small = np.asarray(photo(300, 200))
    assert conditions.screenshot(small) is small
    posted = conditions.social_media(small)
    assert posted.shape == small.shape
    assert not np.array_equal(posted, small)
