"""Layouts of data sets with masks: which mask belongs to which image, and which way round it is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from masked_sets import dolos_like

from sidscan.errors import UsageError
from sidscan.training.datasets.layouts.dolos import BLACK_IS_SYNTHETIC
from sidscan.training.datasets.rows import SPLITS, split_images
from sidscan.training.localization.examples import choose_images, list_data_set, list_digest


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def dolos_files(data: Path, name: str, image: str = "7-0.png", mask: str = "7-0.png") -> None:
    folder = data / "fake" / name
    touch(folder / "images" / "test" / image, folder / "masks" / "test" / mask)


@pytest.mark.parametrize(
    ("name", "black_is_synthetic"),
    [
        *((name, True) for name in ("pluralistic", "lama", "repaint-p2-9k", "ldm", "ldm_clean", "ldm_real")),
        *((name, False) for name in ("cocosd", "repaint-p2", "p2", "LDM", "mine")),
    ],
)
def test_dolos_inverts_the_masks_of_its_listed_names_only(
    tmp_path: Path, name: str, black_is_synthetic: bool
) -> None:
    dolos_files(tmp_path, name)
    (image,) = list_data_set(tmp_path, "dolos")
    assert (image.set, image.black_is_synthetic) == (name, black_is_synthetic)
    assert (name in BLACK_IS_SYNTHETIC) is black_is_synthetic


def test_dolos_has_the_mask_of_the_same_name_in_png(tmp_path: Path) -> None:
    dolos_files(tmp_path, "lama", image="a/7-1.jpg", mask="a/7-1.png")
    touch(tmp_path / "real" / "test" / "9.jpg", tmp_path / "real" / "train" / "8.jpg")
    images, drawn = choose_images(list_data_set(tmp_path), "test", real=True)
    assert not drawn
    assert [(image.name, image.set, image.split, image.is_real) for image in images] == [
        ("fake/lama/images/test/a/7-1.jpg", "lama", "test", False),
        ("real/test/9.jpg", "", "test", True),
    ]
    assert images[0].mask == tmp_path / "fake/lama/masks/test/a/7-1.png"


def test_autosplice_names_the_mask_by_the_stem_up_to_the_last_underscore(tmp_path: Path) -> None:
    for quality in (75, 90, 100):
        touch(tmp_path / f"Forged_JPEG{quality}" / "12_34_1.jpg")
    touch(tmp_path / "Mask" / "12_34_mask.png", tmp_path / "Authentic" / "12.jpg")
    images, _ = choose_images(list_data_set(tmp_path), "test", real=False)
    assert [image.set for image in images] == ["JPEG100", "JPEG90", "JPEG75"]
    assert {image.mask for image in images} == {tmp_path / "Mask" / "12_34_mask.png"}
    assert not any(image.black_is_synthetic for image in images)


def test_white_masks_lie_beside_the_images(tmp_path: Path) -> None:
    data = tmp_path / "mine"
    touch(
        data / "images/train/a.jpg", data / "masks/train/a.png", data / "images/b.jpg", data / "masks/b.jpg"
    )
    touch(data / "real/c.jpg", data / "images/.hidden.png", data / "images/notes.txt")
    images = list_data_set(data)
    found = [
        (image.name, image.mask and image.mask.name, image.set, image.split)
        for image in sorted(images, key=lambda image: image.name)
    ]
    assert found == [
        ("images/b.jpg", "b.jpg", "mine", ""),
        ("images/train/a.jpg", "a.png", "mine", "train"),
        ("real/c.jpg", None, "", ""),
    ]


def test_a_manifest_lists_images_with_their_masks(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "m/a.png")
    (tmp_path / "list.csv").write_text(
        "\ufeffpath,mask,label,split,set,generator\na.jpg,m/a.png,synthetic,valid,one,SD 2\nb.jpg,,,,,\n",
        encoding="utf-8",
    )
    one, two = list_data_set(tmp_path / "list.csv")
    assert (one.mask, one.set, one.split, one.generator) == (tmp_path / "m/a.png", "one", "valid", "SD 2")
    assert (two.is_real, two.set, two.split) == (True, "", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "path,set\na.jpg,one\n", "has no column called label; it has path, set\n", id="no label"
        ),
        pytest.param(
            "path,model_digest,evidence\na.jpg,x,weak\n", "is a report of a scan, not a m", id="report"
        ),
        pytest.param(
            "path,lable\na.jpg,real\n",
            "it has path, lable\nDid you mean label by lable\\? Expected a CSV file with the columns path "
            "and label \\(or mask instead of label\\), and perhaps split, set,",
            id="misspelt",
        ),
        pytest.param("Path,label\na.jpg,real\n", "Did you mean path by Path", id="capitals"),
        pytest.param(
            "path;label\na.jpg;real\n", "Its cells are separated by ';': save it with commas", id="semicolons"
        ),
        pytest.param("path\tlabel\na.jpg\treal\n", "separated by tabs", id="tabs"),
        pytest.param("", "list.csv is empty", id="no line"),
        pytest.param("path,mask\n,m.png\n", "line 2: the path is empty", id="no path"),
        pytest.param("path,mask\nb.jpg,m.png\n", "line 2: no such image", id="no image"),
        pytest.param("path,mask,label\na.jpg,,synthetic\n", "a synthetic image needs a mask", id="no mask"),
        pytest.param("path,mask,label\na.jpg,m.png,real\n", "a real one has none", id="real with mask"),
        pytest.param("path,mask,label\na.jpg,m.png,ai\n", "or 0 or 1, not ai", id="label"),
        pytest.param("path,mask,split\na.jpg,m.png,val\n", "parts are train, valid, test", id="split"),
        pytest.param("path,mask\na.jpg,m.png\na.jpg,m.png\n", "line 3: a.jpg is listed twice", id="twice"),
        pytest.param("path,mask\n", "lists no image", id="empty"),
    ],
)
def test_a_manifest_with_a_fault_is_refused(tmp_path: Path, text: str, message: str) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "m.png")
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        list_data_set(tmp_path / "list.csv")


def test_missing_masks_are_counted_and_named(tmp_path: Path) -> None:
    dolos_files(tmp_path, "ldm")
    touch(tmp_path / "fake/ldm/images/test/8-0.png", tmp_path / "fake/ldm/images/test/9-0.png")
    with pytest.raises(UsageError, match=r"masks are missing: 2 of 3 images have none, .*8-0\.png, .*9-0"):
        choose_images(list_data_set(tmp_path), "test", real=True)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        pytest.param("auto", "looks like no layout; it holds stray", id="unknown"),
        pytest.param("dolos", "does not have the layout of Dolos", id="dolos"),
        pytest.param("autosplice", "does not have the layout of AutoSplice", id="autosplice"),
        pytest.param("white-masks", "has no folders images and masks", id="white masks"),
        pytest.param("manifest", "can't read the manifest", id="manifest"),
    ],
)
def test_a_folder_of_another_layout_is_refused(tmp_path: Path, layout: str, message: str) -> None:
    (tmp_path / "stray").mkdir()
    with pytest.raises(UsageError, match=message):
        list_data_set(tmp_path, layout)


def test_a_set_that_is_not_there_is_refused_and_others_are_left_out(tmp_path: Path) -> None:
    dolos_files(tmp_path, "ldm")
    dolos_files(tmp_path, "lama")
    assert {image.set for image in list_data_set(tmp_path, sets=["lama"])} == {"lama"}
    with pytest.raises(UsageError, match="has no set called p2") as caught:
        list_data_set(tmp_path, sets=["p2"])
    assert caught.value.remedy == "It has lama, ldm."


def test_a_part_without_images_is_refused(tmp_path: Path) -> None:
    dolos_files(tmp_path, "ldm")
    with pytest.raises(UsageError, match="no image with a mask for the part 'train'"):
        choose_images(list_data_set(tmp_path), "train", real=True)


def test_validation_is_held_out_only_where_the_data_set_has_none(tmp_path: Path) -> None:
    stated = list_data_set(dolos_like(tmp_path / "stated", {"train": 4, "valid": 2}))
    train, drawn = split_images(stated, "train", held_out=0.5)
    assert (len(train), drawn) == (8, False)
    loose = list_data_set(dolos_like(tmp_path / "loose", {"train": 4}, real=False))
    parts = {split: split_images(loose, split, held_out=0.3) for split in SPLITS[:2]}
    names = {split: {image.name for image in images} for split, (images, _) in parts.items()}
    assert all(drawn for _, drawn in parts.values())
    assert {split: len(found) for split, found in names.items()} == {"train": 2, "valid": 2}
    assert not names["train"] & names["valid"]
    again, _ = split_images(loose[::-1], "valid", held_out=0.3)
    assert {image.name for image in again} == names["valid"]


def test_the_digest_changes_with_polarity_and_size(tmp_path: Path) -> None:
    dolos_files(tmp_path, "ldm")
    before = list_data_set(tmp_path)
    inverted, _ = choose_images(before, "test", real=False, black_is_synthetic=False)
    digests = {list_digest(before), list_digest(inverted)}
    (tmp_path / "fake/ldm/masks/test/7-0.png").write_bytes(b"longer")
    assert len(digests | {list_digest(before)}) == 3
