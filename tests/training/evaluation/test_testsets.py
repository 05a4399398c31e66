"""The published layouts, as small folders of generated files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sidscan.errors import UsageError
from sidscan.training.datasets.layouts import find_layout
from sidscan.training.evaluation import testsets


def fill(*folders: Path, names: tuple[str, ...] = ("b.png", "a.png")) -> None:
    """Empty files; these tests do not open them."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name).touch()


def names(test_set: testsets.TestSet, synthetic: bool) -> list[str]:
    return [image.name for image in test_set.images if image.synthetic is synthetic]


def test_the_twenty_sets_are_in_the_papers_order() -> None:
    titles = [known.title for known in find_layout("cnndetection").known_sets]
    assert titles[:8] == [
        *("ProGAN", "StyleGAN", "StyleGAN2", "BigGAN", "CycleGAN", "StarGAN", "GauGAN", "Deepfake"),
    ]
    assert titles[8:13] == ["SITD", "SAN", "CRN", "IMLE", "Guided"]
    assert titles[13:] == [
        *("LDM 200 steps", "LDM 200 w/ CFG", "LDM 100 steps"),
        *("Glide 100-27", "Glide 50-27", "Glide 100-10", "DALL-E"),
    ]


def test_sets_with_classes_without_and_with_shared_reals(tmp_path: Path) -> None:
    fill(tmp_path / "biggan/0_real", tmp_path / "biggan/1_fake")
    for group in ("dog", "cat"):
        fill(tmp_path / f"progan/{group}/0_real", tmp_path / f"progan/{group}/1_fake", names=("x.png",))
    diffusion = tmp_path / "diffusion_datasets"
    fill(diffusion / "laion/0_real", diffusion / "imagenet/0_real")
    fill(diffusion / "dalle/1_fake", diffusion / "guided/1_fake", names=("z.jpg",))
    collection = testsets.find_test_sets(tmp_path)

    assert collection.layout == "cnndetection"
    assert [test_set.key for test_set in collection.sets] == ["progan", "biggan", "guided", "dalle"]
    assert len(collection.missing) == 16
    assert collection.missing[0] == "stylegan"
    progan, biggan, guided, dalle = collection.sets
    assert names(progan, False) == ["progan/cat/0_real/x.png", "progan/dog/0_real/x.png"]
    assert [image.group for image in progan.images] == ["cat", "dog", "cat", "dog"]
    assert names(biggan, True) == ["biggan/1_fake/a.png", "biggan/1_fake/b.png"]
    assert names(guided, False)[0] == "diffusion_datasets/imagenet/0_real/a.png"
    assert names(dalle, False)[0] == "diffusion_datasets/laion/0_real/a.png"
    assert names(dalle, True) == ["diffusion_datasets/dalle/1_fake/z.jpg"]


@pytest.mark.parametrize("nested", ["synthbuster/", ""], ids=["nested", "flat"])
def test_synthbuster_is_paired_with_raise(tmp_path: Path, nested: str) -> None:
    fill(tmp_path / "RAISEpng", tmp_path / f"{nested}dalle2", tmp_path / f"{nested}midjourney-v5")
    collection = testsets.find_test_sets(tmp_path)
    assert (collection.layout, [test_set.key for test_set in collection.sets]) == (
        "synthbuster",
        ["dalle2", "midjourney-v5"],
    )
    assert names(collection.sets[0], False) == ["RAISEpng/a.png", "RAISEpng/b.png"]
    assert names(collection.sets[0], True) == [f"{nested}dalle2/a.png", f"{nested}dalle2/b.png"]


def test_files_that_are_not_images_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path / "san/0_real", tmp_path / "san/1_fake")
    fill(tmp_path / "san/1_fake", names=("prompts.txt", "make.py", ".DS_Store"))
    fill(tmp_path / "san/1_fake/__MACOSX", names=("x.png",))
    assert len(testsets.find_test_sets(tmp_path).sets[0].images) == 4


def test_a_pair_includes_everything_below_its_folders(tmp_path: Path) -> None:
    fill(tmp_path / "photos/2020", tmp_path / "made")
    collection = testsets.pair_of_folders(tmp_path / "photos", tmp_path / "made")
    assert names(collection.sets[0], False) == ["real/2020/a.png", "real/2020/b.png"]
    assert names(collection.sets[0], True) == ["synthetic/a.png", "synthetic/b.png"]
    with pytest.raises(UsageError, match="overlap"):
        testsets.pair_of_folders(tmp_path / "photos", tmp_path / "photos/2020")


def test_a_choice_of_sets(tmp_path: Path) -> None:
    fill(*(tmp_path / f"{key}/{side}" for key in ("san", "crn") for side in ("0_real", "1_fake")))
    fill(tmp_path / "diffusion_datasets/dalle/1_fake", tmp_path / "diffusion_datasets/laion/0_real")
    keys = testsets.parse_set_keys(["crn, diffusion_datasets/dalle", "crn"])
    collection = testsets.find_test_sets(tmp_path, "auto", keys)
    assert ([test_set.key for test_set in collection.sets], collection.missing) == (["crn", "dalle"], ())


def no_class(root: Path) -> None:
    fill(root / "progan/cat/0_real")


def flat_instead_of_classes(root: Path) -> None:
    fill(root / "progan/0_real", root / "progan/1_fake")


def empty_class(root: Path) -> None:
    fill(root / "san/0_real", root / "san/1_fake")
    fill(root / "crn/0_real")
    fill(root / "crn/1_fake", names=("notes.txt",))


def no_shared_reals(root: Path) -> None:
    fill(root / "diffusion_datasets/dalle/1_fake")


def nothing_known(root: Path) -> None:
    fill(root / "holiday")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_class, ["the synthetic images of progan", "progan/cat/1_fake", "holds 0_real"]),
        (flat_instead_of_classes, ["the real images of progan", "progan/0_real/0_real", "a.png, b.png"]),
        (empty_class, ["no image in", "crn/1_fake", "It holds notes.txt", "--sets"]),
        (no_shared_reals, ["the real images of dalle", "laion/0_real", "holds dalle"]),
        (nothing_known, ["looks like no layout", "holds holiday", "biggan/0_real", "RAISEpng", "--layout"]),
    ],
)
def test_a_wrong_layout_is_named(tmp_path: Path, make: Callable[[Path], None], words: list[str]) -> None:
    make(tmp_path)
    with pytest.raises(UsageError) as caught:
        testsets.find_test_sets(tmp_path)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "words"),
    [(["gone"], "has no set called gone"), (["crn"], "has no set called crn")],
)
def test_requested_sets_must_exist(tmp_path: Path, keys: list[str], words: str) -> None:
    fill(tmp_path / "san/0_real", tmp_path / "san/1_fake")
    with pytest.raises(UsageError, match=words):
        testsets.find_test_sets(tmp_path, "auto", keys)
