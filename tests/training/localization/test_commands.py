"""Each layout through training and evaluation from the command line, and what is said of wrong data."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from masked_sets import SIDE, dolos_like, masked_image, save_mask
from numpy.typing import NDArray
from PIL import Image
from sample_localizers import SampleLocalizer, write_localizer
from training_sets import noise_image

from sidscan.cli import cli
from sidscan.errors import SidscanError
from sidscan.models.localizer_checkpoints import read_localizer_checkpoint

QUICK = ("--decoder", "linear", "--epochs", "1", "--batch-size", "4", "--lr", "0.01", "--quiet")
RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def localizer(tmp_path_factory: pytest.TempPathFactory) -> SampleLocalizer:
    return write_localizer(tmp_path_factory.mktemp("localizer"))


def train(data: Path, localizer: SampleLocalizer, out: Path, *options: str) -> Result:
    named = ("--encoder", str(localizer.encoder), "--out", str(out), "--device", "cpu")
    arguments = ["train-localizer", str(data), *named, *QUICK, *options]
    return CliRunner().invoke(cli, arguments, standalone_mode=False)


def evaluate(data: Path, model: Path, localizer: SampleLocalizer, out: Path, *options: str) -> Result:
    named = ("--model", str(model), "--encoder", str(localizer.encoder), "--out", str(out))
    arguments = ["evaluate", "localization", str(data), *named, "--device", "cpu", *options]
    return CliRunner().invoke(cli, arguments, standalone_mode=False)


def save(pixels: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def white_masks(data: Path) -> Path:
    for part, count in {"train": 4, "valid": 2, "test": 2}.items():
        for number in range(count):
            pixels, region = masked_image(RNG)
            save(pixels, data / "images" / part / f"{number}.png")
            save_mask(region, data / "masks" / part / f"{number}.png")
        save(noise_image(RNG, synthetic=False), data / "real" / part / "0.png")
    return data


def manifest(folder: Path) -> Path:
    white_masks(folder)
    rows = [
        (path.relative_to(folder).as_posix(), f"masks/{path.parent.name}/{path.name}", path.parent.name)
        for path in sorted((folder / "images").rglob("*.png"))
    ]
    rows += [(p.relative_to(folder).as_posix(), "", p.parent.name) for p in (folder / "real").rglob("*.png")]
    lines = ["path,mask,split", *(",".join(row) for row in rows)]
    (folder / "listed.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "listed.csv"


def dolos(data: Path) -> Path:
    return dolos_like(data, {"train": 4, "valid": 2, "test": 2})


@pytest.mark.parametrize(
    ("make", "name_of_set"),
    [(dolos, "ldm"), (white_masks, "mine"), (manifest, "listed")],
    ids=["dolos", "white-masks", "manifest"],
)
def test_a_layout_is_trained_on_and_measured(
    localizer: SampleLocalizer, tmp_path: Path, make: Callable[[Path], Path], name_of_set: str
) -> None:
    data, model = make(tmp_path / "mine"), tmp_path / "mine.safetensors"
    result = train(data, localizer, model)
    assert result.exit_code == 0, repr(result.exception)
    stated = read_localizer_checkpoint(model)[0].facts["data"]
    assert (stated["sets"], stated["train"]["synthetic"], stated["valid"]["synthetic"]) == (
        [name_of_set],
        4,
        2,
    )
    result = evaluate(data, model, localizer, tmp_path / "out", "--perturb", "jpeg-75")
    assert result.exit_code == 0, repr(result.exception)
    figures = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert [(each["set"], each["perturbation"]) for each in figures] == [
        (name, change) for change in ("none", "jpeg-75") for name in (name_of_set, "mean")
    ]
    assert {(each["synthetic"], each["trained_on"]) for each in figures} == {(2, name_of_set)}
    assert all(0 <= each["auroc_area"] <= 1 for each in figures)
    assert f"| {name_of_set} |" in result.output


def test_autosplice_is_measured_and_can_not_be_trained_on(localizer: SampleLocalizer, tmp_path: Path) -> None:
    data = tmp_path / "AutoSplice"
    for number in range(2):
        pixels, region = masked_image(RNG)
        for quality in (75, 90, 100):
            path = data / f"Forged_JPEG{quality}" / f"{number}_7_0.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path, quality=quality)
        save_mask(region, data / "Mask" / f"{number}_7_mask.png")
        save(noise_image(RNG, synthetic=False), data / "Authentic" / f"{number}.png")
    result = evaluate(data, localizer.model, localizer, tmp_path / "out")
    assert result.exit_code == 0, repr(result.exception)
    with (tmp_path / "out/results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["set"], row["synthetic"], row["real"]) for row in rows] == [
        *((name, "2", "2") for name in ("JPEG100", "JPEG75", "JPEG90")),
        ("mean", "6", "2"),
    ]
    refused = train(data, localizer, tmp_path / "a.safetensors").exception
    assert isinstance(refused, SidscanError)
    assert refused.message == "the data set has no image with a mask for the part 'train'"


def test_localizers_and_test_sets_make_a_table_beside_the_published_one(
    localizer: SampleLocalizer, tmp_path: Path
) -> None:
    data = dolos_like(tmp_path / "celebahq", {"train": 4, "valid": 2, "test": 1}, ("ldm", "lama"))
    models = [tmp_path / f"{name}.safetensors" for name in ("ldm", "lama")]
    for model in models:
        assert train(data, localizer, model, "--sets", model.stem).exit_code == 0
    result = evaluate(data, models[0], localizer, tmp_path / "out", "--model", str(models[1]))
    lines = result.output.splitlines()
    start = lines.index(
        "| test set | ldm.safetensors (trained on ldm) | lama.safetensors (trained on lama) | everything |"
    )
    assert [line.split(" | ")[0] for line in lines[start + 2 : start + 5]] == ["| lama", "| ldm", "| mean"]
    assert "| test set | ldm | repaint-p2-9k | lama | pluralistic |" in lines[start:]


def remove_a_mask(data: Path) -> None:
    (data / "masks/test/0.png").unlink()
    (data / "masks/train/0.png").unlink()


def shrink_a_mask(data: Path) -> None:
    for part in ("test", "train"):
        save_mask(np.eye(SIDE // 2, dtype=bool), data / "masks" / part / "0.png")


def remove_all_images(data: Path) -> None:
    shutil.rmtree(data / "images")
    (data / "images").mkdir()


def copy_under_another_suffix(data: Path) -> None:
    for part in ("test", "train"):
        Image.open(data / "images" / part / "0.png").save(data / "images" / part / "0.jpg")


def blacken_all_masks(data: Path) -> None:
    for path in (data / "masks").rglob("*.png"):
        save_mask(np.zeros((SIDE, SIDE), bool), path)


def cut_an_image(data: Path) -> None:
    for part in ("test", "train"):
        path = data / "images" / part / "0.png"
        path.write_bytes(path.read_bytes()[:300])


def colour_a_mask(data: Path) -> None:
    for part in ("test", "train"):
        save(
            np.dstack([np.eye(SIDE, dtype=np.uint8) * 255] * 2 + [np.zeros((SIDE, SIDE), np.uint8)]),
            data / "masks" / part / "0.png",
        )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove_a_mask, "masks are missing: 1 of "),
        (shrink_a_mask, "its image"),
        (remove_all_images, "the data set has no image with a mask for the part"),
        (copy_under_another_suffix, "have one mask: "),
        (
            blacken_all_masks,
            "the masks of mine mark nothing: white counts as synthetic, and all of them are black",
        ),
        (cut_an_image, "0.png can't be read: "),
        (colour_a_mask, "is in colour"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_wrong_data_ends_both_commands_with_a_sentence(
    localizer: SampleLocalizer, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    data = white_masks(tmp_path / "mine")
    spoil(data)
    for result in (
        train(data, localizer, tmp_path / "a.safetensors"),
        evaluate(data, localizer.model, localizer, tmp_path / "out"),
    ):
        error = result.exception
        assert isinstance(error, SidscanError), repr(error)
        assert message in error.message
        assert error.remedy
        assert error.exit_code == 2
    assert not (tmp_path / "a.safetensors").exists()
