"""Layouts turn folders and files into rows: which image has which label, set, part, generator and mask."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from sidscan.cli import data_options
from sidscan.errors import UsageError
from sidscan.training.datasets.content import content_size, has_content, read_content
from sidscan.training.datasets.layouts import all_layouts
from sidscan.training.datasets.layouts.manifest import manifest_text
from sidscan.training.datasets.leaks import find_leaks
from sidscan.training.datasets.reading import choose_layout, read_data_set
from sidscan.training.datasets.rows import LabelledImage, Wanted

Row = tuple[str, str, str, str, str]


def touch(root: Path, *names: str) -> None:
    """Files of a byte each; layouts read no pixels."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name[-5:].encode())


def row(image: LabelledImage) -> Row:
    return image.name, image.label, image.split, image.set, image.generator


def genimage(root: Path) -> None:
    folder = "SD/imagenet_ai_0419_sdv4"
    touch(root, *(f"{folder}/{name}/a.png" for name in ("train/ai", "train/nature", "val/ai", "val/nature")))
    touch(root, "imagenet_midjourney/val/ai/b.png", "imagenet_midjourney/val/nature/c.JPEG")


def chameleon(root: Path) -> None:
    touch(root, "test/0_real/a.jpg", "test/1_fake/b.jpg", "train/web/REAL/c.jpg", "train/web/FAKE/d.jpg")


def aigcdetectbenchmark(root: Path) -> None:
    touch(root, "test/Midjourney/1_fake/a.png", "test/Midjourney/0_real/b.png")
    touch(root, "test/progan/cat/0_real/c.png", "test/progan/cat/1_fake/d.png")


def wildfake(root: Path) -> None:
    touch(root, "Images/Real/coco/a.jpg", "Images/Diffusion_based/ADM/test/b.png")
    touch(root, "Images/GAN_based/StyleGAN3/c.png")


def cnndetection(root: Path) -> None:
    touch(root, "train/cat/0_real/a.png", "train/cat/1_fake/b.png")
    touch(root, "val/cat/0_real/c.png", "val/cat/1_fake/d.png")
    touch(root, "test/san/0_real/e.png", "test/san/1_fake/f.png")
    touch(root, *(f"test/diffusion_datasets/{name}" for name in ("laion/0_real/g.png", "dalle/1_fake/h.png")))
    touch(root, "test/diffusion_datasets/ldm_100/1_fake/i.png")


def synthbuster(root: Path) -> None:
    touch(root, "RAISEpng/a.png", "synthbuster/firefly/b.png", "synthbuster/dalle3/c.png")


def ldm(root: Path) -> None:
    part = "latent_diffusion_trainingset/train"
    touch(root, "train/cat/0_real/00001.png", "coco/train2014/COCO_train2014_7.jpg", f"{part}/ldm/a.png")
    (root / part / "real_lsun.txt").write_text("cat_00001.png\n")
    (root / part / "real_coco.txt").write_text("7.jpg\n")


LAYOUTS: dict[str, tuple[Callable[[Path], None], list[Row]]] = {
    "genimage": (
        genimage,
        [
            ("imagenet_midjourney/val/nature/c.JPEG", "real", "test", "genimage-midjourney", ""),
            ("imagenet_midjourney/val/ai/b.png", "synthetic", "test", "genimage-midjourney", "Midjourney"),
            ("SD/imagenet_ai_0419_sdv4/train/nature/a.png", "real", "train", "genimage-sd14", ""),
            ("SD/imagenet_ai_0419_sdv4/train/ai/a.png", "synthetic", "train", "genimage-sd14", "SD 1.4"),
            ("SD/imagenet_ai_0419_sdv4/val/nature/a.png", "real", "test", "genimage-sd14", ""),
            ("SD/imagenet_ai_0419_sdv4/val/ai/a.png", "synthetic", "test", "genimage-sd14", "SD 1.4"),
        ],
    ),
    "chameleon": (
        chameleon,
        [
            ("test/0_real/a.jpg", "real", "test", "data", ""),
            ("test/1_fake/b.jpg", "synthetic", "test", "data", ""),
            ("train/web/REAL/c.jpg", "real", "train", "web", ""),
            ("train/web/FAKE/d.jpg", "synthetic", "train", "web", ""),
        ],
    ),
    "aigcdetectbenchmark": (
        aigcdetectbenchmark,
        [
            ("test/progan/cat/0_real/c.png", "real", "test", "progan", ""),
            ("test/progan/cat/1_fake/d.png", "synthetic", "test", "progan", "ProGAN"),
            ("test/Midjourney/0_real/b.png", "real", "test", "midjourney", ""),
            ("test/Midjourney/1_fake/a.png", "synthetic", "test", "midjourney", "Midjourney"),
        ],
    ),
    "wildfake": (
        wildfake,
        [
            ("Images/Real/coco/a.jpg", "real", "", "", ""),
            ("Images/Diffusion_based/ADM/test/b.png", "synthetic", "test", "Diffusion_based", "ADM"),
            ("Images/GAN_based/StyleGAN3/c.png", "synthetic", "", "GAN_based", "StyleGAN3"),
        ],
    ),
    "cnndetection": (
        cnndetection,
        [
            ("train/cat/0_real/a.png", "real", "train", "data", ""),
            ("train/cat/1_fake/b.png", "synthetic", "train", "data", ""),
            ("val/cat/0_real/c.png", "real", "valid", "data", ""),
            ("val/cat/1_fake/d.png", "synthetic", "valid", "data", ""),
            ("test/san/0_real/e.png", "real", "test", "san", ""),
            ("test/san/1_fake/f.png", "synthetic", "test", "san", "SAN"),
            ("test/diffusion_datasets/laion/0_real/g.png", "real", "test", "ldm_100;dalle", ""),
            ("test/diffusion_datasets/ldm_100/1_fake/i.png", "synthetic", "test", "ldm_100", "LDM 100 steps"),
            ("test/diffusion_datasets/dalle/1_fake/h.png", "synthetic", "test", "dalle", "DALL-E"),
        ],
    ),
    "synthbuster": (
        synthbuster,
        [
            ("RAISEpng/a.png", "real", "test", "dalle3;firefly", ""),
            ("synthbuster/dalle3/c.png", "synthetic", "test", "dalle3", "DALL-E 3"),
            ("synthbuster/firefly/b.png", "synthetic", "test", "firefly", "Firefly"),
        ],
    ),
    "ldm": (
        ldm,
        [
            ("train/cat/0_real/00001.png", "real", "train", "ldm", ""),
            ("coco/train2014/COCO_train2014_7.jpg", "real", "train", "ldm", ""),
            ("latent_diffusion_trainingset/train/ldm/a.png", "synthetic", "train", "ldm", "latent diffusion"),
        ],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_gives_rows_and_the_manifest_of_them_gives_the_same(tmp_path: Path, name: str) -> None:
    make, expected = LAYOUTS[name]
    data = tmp_path / "data"
    make(data)
    images = read_data_set(data, name)
    assert [row(image) for image in images] == expected
    (data / "data.csv").write_text(manifest_text(images, data), encoding="utf-8")
    listed = read_data_set(data / "data.csv")
    assert [(row(image), image.group) for image in listed] == [(row(image), image.group) for image in images]
    assert [image.path for image in listed] == [image.path for image in images]


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name not in ("chameleon", "ldm")])
def test_a_layout_is_recognised(tmp_path: Path, name: str) -> None:
    LAYOUTS[name][0](tmp_path)
    if name == "aigcdetectbenchmark":  # it has sets of CNNDetection's names, laid out as those
        with pytest.raises(UsageError, match="looks like aigcdetectbenchmark, cnndetection"):
            choose_layout(tmp_path)
    else:
        assert choose_layout(tmp_path).name == name


def test_the_command_line_knows_all_layouts() -> None:
    layouts = all_layouts()
    assert tuple(layouts) == data_options.LAYOUTS
    assert tuple(name for name, each in layouts.items() if each.has_masks) == data_options.MASKED_LAYOUTS
    assert all(layout.expected for layout in layouts.values())


def test_a_choice_of_sets_keeps_real_images_of_all_sets(tmp_path: Path) -> None:
    wildfake(tmp_path)
    images = read_data_set(tmp_path, "wildfake", Wanted(sets=("GAN_based",)))
    assert [image.name for image in images] == ["Images/Real/coco/a.jpg", "Images/GAN_based/StyleGAN3/c.png"]
    with pytest.raises(UsageError, match="has no set called Others") as caught:
        read_data_set(tmp_path, "wildfake", Wanted(sets=("Others",)))
    assert caught.value.remedy == "It has Diffusion_based, GAN_based."


@pytest.mark.parametrize("name", ["genimage", "chameleon", "wildfake", "parquet", "synthbuster"])
def test_another_folder_is_refused_with_what_was_expected(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "holiday/a.jpg")
    with pytest.raises(UsageError) as caught:
        read_data_set(tmp_path, name)
    assert "Expected" in str(caught.value.remedy)
    assert "holiday" in str(caught.value.remedy)


MANIFESTS = {
    "label": ("path,label\na.png,real\nb.png,\n", "line 3: the label is empty: write real or synthetic"),
    "set": ("path,label,set\na.png,1,one;two\n", "only real images may belong to several sets"),
    "polarity": (
        "path,label,synthetic_is\na.png,1,grey\n",
        "is white, black or empty, not grey",
    ),
    "two parts": (
        "path,label,split\na.png,0,train\n./a.png,0,test\n",
        r"line 3: ./a.png is listed twice, first in line 2, in train and in test",
    ),
    "many": (
        "path,label\nc.png,0\nd.png,0\ne.png,0\nf.png,2\na.png,1\n",
        r"4 lines can't be used: line 2: no such image: .*c.png; line 3: .*; line 4: .*; and 1 more",
    ),
}


@pytest.mark.parametrize(("text", "message"), MANIFESTS.values(), ids=MANIFESTS)
def test_wrong_rows_of_a_manifest_are_named(tmp_path: Path, text: str, message: str) -> None:
    touch(tmp_path, "a.png", "b.png")
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_data_set(tmp_path / "list.csv")


@pytest.fixture
def restored_limit() -> Iterator[int]:
    """Python's own limit of a cell, which readers of reports raise for the whole process."""
    raised = csv.field_size_limit()
    yield 131_072
    csv.field_size_limit(raised)


def test_a_quotation_mark_that_is_never_closed_is_named(tmp_path: Path, restored_limit: int) -> None:
    csv.field_size_limit(restored_limit)
    rows = "".join(f"{number}.png,real\n" for number in range(20_000))
    (tmp_path / "list.csv").write_text(f'path,label\n"a.png,real\n{rows}', encoding="utf-8")
    with pytest.raises(UsageError, match=r"can't read the manifest .*list.csv, line \d+: field larger than"):
        read_data_set(tmp_path / "list.csv")


def test_labels_may_be_numbers_and_cells_may_hold_line_breaks(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png")
    text = 'path,label,generator,class\na.png,0,,cat\nb.png,1,"two\nlines",cat\nc.png,Synthetic,,dog\n'
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
    images = read_data_set(tmp_path / "mine.csv")
    assert [row(image)[1:] for image in images] == [
        ("real", "", "", ""),
        ("synthetic", "", "mine", "two\nlines"),
        ("synthetic", "", "mine", ""),
    ]
    dogs = read_data_set(tmp_path / "mine.csv", wanted=Wanted(classes=("dog",)))
    assert [image.name for image in dogs] == ["c.png"]


def test_a_manifest_may_be_parquet(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    touch(tmp_path, "a.png", "b.png")
    parquet.write_table(
        pyarrow.table({"path": ["a.png", "b.png"], "label": [0, 1], "split": ["test", None]}),
        tmp_path / "list.parquet",
    )
    images = read_data_set(tmp_path / "list.parquet")
    assert [row(image) for image in images] == [
        ("a.png", "real", "test", "", ""),
        ("b.png", "synthetic", "", "list", ""),
    ]


def write_cells(path: Path, rows: Sequence[tuple[bytes, int, bytes | None]]) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    images, labels, masks = zip(*rows, strict=True)
    structs = [{"bytes": image, "path": "x.png"} for image in images]
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {"image": structs, "label": list(labels), "mask": pyarrow.array(masks, pyarrow.binary())}
    parquet.write_table(pyarrow.table(table), path)


def test_labels_of_parquet_cells_are_what_the_file_calls_them(tmp_path: Path) -> None:
    """Of the library `datasets`, the numbers of a ClassLabel; 0 is the first of its names."""
    path = tmp_path / "data/x-00000-of-00001.parquet"
    write_cells(path, [(b"one", 0, None), (b"three", 1, None)])
    parquet = pytest.importorskip("pyarrow.parquet")
    for names, labels in (
        (["fake", "real"], ["synthetic", "real"]),
        (["real", "fake"], ["real", "synthetic"]),
    ):
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        noted = {"huggingface": json.dumps({"info": {"features": features}})}
        parquet.write_table(parquet.read_table(path).replace_schema_metadata(noted), path)
        assert [row(image)[1] for image in read_data_set(tmp_path)] == labels
    noted = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["ai", "nature"]}}}})}
    parquet.write_table(parquet.read_table(path).replace_schema_metadata(noted), path)
    with pytest.raises(UsageError, match="fake or tampered, not ai"):
        read_data_set(tmp_path)


def test_parquet_cells_are_images_with_masks(tmp_path: Path) -> None:
    cells = [(b"one", 0, None), (b"three", 1, None), (b"seven77", 2, b"m")]
    write_cells(tmp_path / "data/sd15-00000-of-00002.parquet", cells)
    images = read_data_set(tmp_path)
    name = "data/sd15-00000-of-00002.parquet!/image"
    assert [row(image) for image in images] == [
        (f"{name}/0", "real", "", "sd15", ""),
        (f"{name}/1", "synthetic", "", "sd15", "sd15"),
        (f"{name}/2", "synthetic", "", "sd15", "sd15"),
    ]
    assert [read_content(image.path) for image in images] == [b"one", b"three", b"seven77"]
    assert [content_size(image.path) for image in images] == [3, 5, 7]
    assert images[2].mask is not None
    assert read_content(images[2].mask) == b"m"
    assert not has_content(tmp_path / f"{name}/3")
    masked = read_data_set(tmp_path, wanted=Wanted(masks=True))
    assert [image.name for image in masked] == [f"{name}/0", f"{name}/2"]
    (tmp_path / "list.csv").write_text(manifest_text(images, tmp_path), encoding="utf-8")
    with (tmp_path / "list.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["path"] == f"{name}/0"
    assert [image.path for image in read_data_set(tmp_path / "list.csv")] == [image.path for image in images]


def test_equal_images_in_two_parts_are_found(tmp_path: Path) -> None:
    chameleon(tmp_path)
    (tmp_path / "test/0_real/a.jpg").write_bytes(b"twice")
    (tmp_path / "train/web/REAL/c.jpg").write_bytes(b"twice")
    (leak,) = find_leaks(read_data_set(tmp_path, "chameleon"))
    assert (leak.first.name, leak.second.name) == ("test/0_real/a.jpg", "train/web/REAL/c.jpg")
