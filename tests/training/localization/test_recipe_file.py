"""Recipes of localizers: `sidscan recipe show`, and `train-localizer --recipe` to the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import click
import pytest
from masked_sets import dolos_like
from sample_localizers import write_localizer

from sidscan.cli.train_localizer import command
from sidscan.errors import UsageError
from sidscan.models.families import localizer_family
from sidscan.models.localizer_checkpoints import LocalizerCheckpoint, read_localizer_checkpoint
from sidscan.training.localization.recipe import BOUNDS, LocalizerRecipe
from sidscan.training.localization.recipe_file import read_recipe_file, recipe_of_checkpoint, to_toml
from sidscan.training.rine.recipe_file import recipe_of_preset
from sidscan.training.rine.recipe_file import to_toml as toml_of_head

if TYPE_CHECKING:
    from conftest import Ended

Run: TypeAlias = "Callable[..., Ended]"
OTHER = LocalizerRecipe(
    decoder="linear", layer=0, init="published", init_std=0.05, epochs=3, batch=4, lr=0.02, lr_divisor=4.0,
    min_lr=1e-5, patience=1, min_rise=99.0, min_rise_after_drop=98.0, validation_threshold=0.4,
    adam_betas=(0.8, 0.99), adam_eps=1e-6, weight_decay=0.1, seed=3, augment="all", blur_kernel=7,
    blur_sigma_range=(0.5, 1.5), jitter_strengths=(0.1, 0.2, 0.25, 0.05), jpeg_quality_range=(50, 90),
)  # fmt: skip
"""A recipe of which every number is not the default; it ends by a plateau."""
DATA_OPTIONS = ("--sets", "ldm", "--synthetic-is", "black", "--resize-masks")


class Files(NamedTuple):
    """The paths of a data set and an encoder."""

    data: Path
    encoder: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Six images with masks, and a small encoder."""
    folder = tmp_path_factory.mktemp("recipe")
    data = dolos_like(folder / "celebahq", {"train": 4, "valid": 2}, real=False)
    return Files(data, write_localizer(folder).encoder)


def options(recipe: LocalizerRecipe) -> Iterator[str]:
    """The recipe on the command line."""
    flags = {str(option.name): option.opts[-1] for option in command.params}
    for name, value in asdict(recipe).items():
        yield flags[name]
        yield ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def test_a_recipe_makes_the_same_bytes_again(sidscan: Run, files: Files, tmp_path: Path) -> None:
    first, again, other = (tmp_path / f"{name}.safetensors" for name in ("first", "again", "other"))
    recipe = tmp_path / "my.toml"
    common = ("train-localizer", files.data, "--encoder", files.encoder)
    ended = sidscan(*common, *DATA_OPTIONS, "--out", first, *options(OTHER))
    assert ended.code == 0, ended.err
    checkpoint, _ = read_localizer_checkpoint(first)
    assert LocalizerRecipe.from_dict(checkpoint.facts["recipe"]) == OTHER
    assert [epoch["lr"] for epoch in checkpoint.facts["epochs"]] == [0.02, 0.02, 0.005]

    shown = sidscan("recipe", "show", first)
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert lines[0] == "# The recipe of first.safetensors."
    assert lines[1].startswith("# The same bytes need the same images (4 with masks, 0 real, 2 to validate; ")
    assert {
        'command = "train-localizer"', 'layout = "dolos"', 'sets = ["ldm"]', 'synthetic_is = "black"',
        "resize_masks = true", 'encoders = ["clip.safetensors"]', 'precision = "fp32"',
        "mixed_precision = false", "cached_features = false",
        "jpeg_quality_range = [50, 90]  # default: [30, 100]",
    } <= set(lines)  # fmt: skip

    recipe.write_text(shown.out, encoding="utf-8")
    ended = sidscan(*common, "--recipe", recipe, "--out", again)
    assert ended.code == 0, ended.err
    assert again.read_bytes() == first.read_bytes()
    departures = [line for line in ended.err.splitlines() if line.startswith("recipe: ")]
    assert departures == [f"recipe: --encoder {files.encoder} instead of clip.safetensors in {recipe}"]

    departing = ("--augment", "jpeg", "--epochs", "1", "--mixed-precision")
    ended = sidscan(*common, "--recipe", recipe, *departing, "--out", other)
    assert ended.code == 0, ended.err
    assert f"recipe: --mixed-precision true instead of false in {recipe}\n" in ended.err
    assert f"recipe: --augment jpeg instead of all in {recipe}\n" in ended.err
    changed = replace(OTHER, augment="jpeg", epochs=1).without_unused()
    assert LocalizerRecipe(**read_recipe_file_of(sidscan, other, tmp_path)) == changed


def read_recipe_file_of(sidscan: Run, checkpoint: Path, folder: Path) -> dict[str, Any]:
    """The numbers of a recipe that is shown and read again."""
    path = folder / "shown.toml"
    path.write_text(sidscan("recipe", "show", checkpoint).out, encoding="utf-8")
    return dict(read_recipe_file(path).recipe)


def test_every_field_of_the_other_recipe_differs() -> None:
    """So the round trip above shows that no number is lost; ``target`` would leave one without effect."""
    default = asdict(LocalizerRecipe())
    assert [name for name, value in asdict(OTHER).items() if value == default[name]] == ["target"]
    assert not list(OTHER.unused())


@pytest.mark.parametrize("field", [field.name for field in fields(LocalizerRecipe)])
def test_every_field_is_an_option_with_the_same_bounds_and_default(field: str) -> None:
    (option,) = (option for option in command.params if option.name == field)
    if field != "layer":  # chosen by the encoder's depth
        default = option.type_cast_value(click.Context(command), option.default)
        assert default == getattr(LocalizerRecipe(), field)
    kind = getattr(option.type, "each", option.type)
    if bounds := BOUNDS.get(field):
        assert isinstance(kind, (click.IntRange, click.FloatRange))
        maximum = float("inf") if kind.max is None else kind.max
        assert (kind.min, maximum, kind.min_open, kind.max_open) == bounds
    else:
        assert isinstance(kind, click.Choice)


def test_a_checkpoint_of_an_earlier_version_has_the_constants_of_then() -> None:
    stored = {"decoder": "linear", "layer": 1, "init": "published", "augment": "blur", "target": "pixels"}
    facts = {
        "recipe": {**stored, "lr": 0.001, "batch": 4, "epochs": 2, "seed": 0},
        "data": {"sets": ["ldm"], "validation_held_out": 0.25},
        "features": "cached in fp16",
    }
    file = recipe_of_checkpoint(checkpoint_of(facts))
    assert (file.recipe["blur_sigma_range"], file.recipe["init_std"]) == ((0.4, 2.0), 0.02)
    assert "jpeg_quality_range" not in file.recipe  # without effect
    assert file.run == {
        "sets": ("ldm",), "validation_fraction": 0.25, "encoders": ("clip-vit-l14",),
        "encoders_sha256": ("0" * 64,), "cached_features": True,
    }  # fmt: skip
    assert file.parameters["held_out"] == 0.25


def checkpoint_of(facts: dict[str, Any]) -> LocalizerCheckpoint:
    """A checkpoint that states them, without weights."""
    family = localizer_family("declip")
    encoders = {"clip-vit-l14": "0" * 64}
    return LocalizerCheckpoint(
        tensors={}, family="declip", config={}, encoders=encoders, tile=family.tile, facts=facts
    )


REFUSED = [
    pytest.param("batchsize = 4", "line 2: batchsize is unknown in a recipe for `sidscan t", id="misspelt"),
    pytest.param('lr = "0.1"', "line 2: lr must be a number, not '0.1'", id="text for a number"),
    pytest.param("patience = 1.5", "line 2: patience must be a whole number, not 1.5", id="fraction"),
    pytest.param("resize_masks = 1", "line 2: resize_masks must be true or false, not 1", id="number"),
    pytest.param(f"seed = {2**64}", "line 2: seed must be at least 0 and at most 1.84467e+19", id="seed"),
    pytest.param("seed = true", "line 2: seed must be a whole number, not true", id="true for a number"),
    pytest.param('encoders = "a"', "line 2: encoders must be names in brackets, not 'a'", id="not a list"),
    pytest.param("encoders = []", "line 2: encoders must name one or two", id="no encoder"),
    pytest.param("lr_divisor = 1", "line 2: lr_divisor must be above 1, not 1", id="never falls"),
    pytest.param('decoder = "conv-5"', "line 2: decoder 'conv-5' is unknown", id="unknown decoder"),
    pytest.param('synthetic_is = "grey"', "line 2: synthetic_is 'grey' is unknown", id="unknown polarity"),
    pytest.param("validation_fraction = 1.0", "line 2: validation_fraction must be above 0", id="all"),
    pytest.param('augment = "blur"\nblur_kernel = 4', "line 3: blur_kernel must be odd, not 4", id="even"),
    pytest.param(
        'augment = "jpeg"\njpeg_quality_range = [90, 50]',
        "line 3: jpeg_quality_range must be two numbers, the smaller first", id="range",
    ),
    pytest.param(
        'augment = "color_jitter"\njitter_strengths = [0.1, 0.1, 0.1, 0.6]',
        "line 3: jitter_strengths must be four numbers, the last at most 0.5", id="hue",
    ),
    pytest.param("init_std = 0.1", "line 2: init_std has no effect with init = 'default'", id="no effect"),
    pytest.param('encoders_sha256 = ["12"]', "line 2: encoders_sha256 must have 64 hexa", id="sha256"),
    pytest.param(
        f'encoders = ["a", "b"]\nencoders_sha256 = ["{"0" * 64}"]',
        "line 3: encoders_sha256 must have one digest for each encoder", id="digests",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_no_training_can_follow_is_refused_with_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "my.toml"
    path.write_text(f"# mine\n{text}\n")
    with pytest.raises(UsageError) as refused:
        read_recipe_file(path)
    assert refused.value.message.startswith(str(path))
    assert message in refused.value.message
    assert refused.value.remedy


LOCALIZER = to_toml(recipe_of_checkpoint(checkpoint_of({"recipe": {}})))
HEAD = toml_of_head(recipe_of_preset("progan-4class"))


@pytest.mark.parametrize(
    ("given_to", "text", "message"),
    [
        pytest.param(
            "train", LOCALIZER,
            "line 1: command is train-localizer: this recipe is for `sidscan train-localizer`, "
            "not for `sidscan train`",
            id="a localizer's",
        ),
        pytest.param(
            "train-localizer", HEAD,
            "line 1: command is train: this recipe is for `sidscan train`, not for `sidscan train-localizer`",
            id="a head's",
        ),
        pytest.param(
            "train", 'decoder = "linear"\n',
            "line 1: decoder stands in recipes for `sidscan train-localizer`, not for `sidscan train`",
            id="a localizer's without command",
        ),
        pytest.param(
            "train-localizer", "xi = 0.1\n",
            "line 1: xi stands in recipes for `sidscan train`, not for `sidscan train-localizer`",
            id="a head's without command",
        ),
    ],
)  # fmt: skip
def test_a_recipe_of_the_other_command_is_refused(
    sidscan: Run, tmp_path: Path, given_to: str, text: str, message: str
) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text)
    ended = sidscan(given_to, tmp_path, "--recipe", path, "--out", tmp_path / "out")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"sidscan: {path}, {message}\nRun the other command, or ")


@pytest.mark.parametrize("command", ["train", "train-localizer"])
def test_what_is_read_is_not_written_over(sidscan: Run, tmp_path: Path, command: str) -> None:
    recipe, manifest, encoder = (tmp_path / name for name in ("my.toml", "m.csv", "clip.safetensors"))
    recipe.write_text("lr = 0.1\n")
    manifest.write_text("path,label,split\n")
    encoder.write_bytes(b"")
    named = ("--recipe", recipe, "--manifest", manifest, "--encoder", encoder, "--overwrite")
    for path in (recipe, manifest, encoder):
        before = path.read_bytes()
        ended = sidscan(command, *named, "--out", path)
        assert (ended.code, path.read_bytes()) == (2, before)
        assert f"sidscan: {path} is both read and written\n" in ended.err


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        pytest.param(
            f'encoders_sha256 = ["{"0" * 64}"]', (),
            "sidscan: clip.safetensors is not the encoder of the recipe: its sha256 is ", id="other encoder",
        ),
        pytest.param(
            f'encoders_sha256 = ["{"0" * 64}", "{"1" * 64}"]', (),
            "sidscan: the recipe has 2 in encoders_sha256, and --encoder names 1\n", id="number of encoders",
        ),
        pytest.param(
            "cached_features = true", (),
            "my.toml states cached_features, and no cache is named\nName a folder ", id="cache",
        ),
        pytest.param(
            'augment = "blur"', ("--init-std", "0.1"),
            "sidscan: --init-std has no effect with --init default\n", id="no effect",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_recipe_is_refused(
    sidscan: Run, files: Files, tmp_path: Path, text: str, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "my.toml").write_text(text)
    named = ("--encoder", files.encoder, "--out", tmp_path / "out", *arguments)
    ended = sidscan("train-localizer", files.data, "--recipe", tmp_path / "my.toml", *named)
    assert ended.code == 2
    assert message in ended.err


def test_encoders_of_one_name_are_refused(sidscan: Run, files: Files, tmp_path: Path) -> None:
    other = tmp_path / files.encoder.name
    other.write_bytes(files.encoder.read_bytes())
    named = ("--encoder", files.encoder, "--encoder", other, "--out", tmp_path / "out")
    ended = sidscan("train-localizer", files.data, *named)
    assert (ended.code, ended.err.splitlines()[-2:]) == (
        2,
        ["sidscan: both encoders are called clip.safetensors", "Rename one of the files."],
    )


def test_a_file_that_is_too_large_is_no_recipe(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("lr = 0.1\n" + "#" * (1 << 20))
    ended = sidscan("train-localizer", tmp_path, "--recipe", tmp_path / "my.toml", "--out", tmp_path / "out")
    assert (ended.code, "has more than 1,048,576 bytes" in ended.err) == (2, True)


def test_augmentation_wins_over_a_cache(sidscan: Run, files: Files, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("cached_features = true\n")
    named = ("--encoder", files.encoder, "--layer", "99", "--augment", "blur", "--out", tmp_path / "out")
    ended = sidscan("train-localizer", files.data, "--recipe", tmp_path / "my.toml", *named)
    assert ended.code == 2
    assert ended.err.startswith(
        "recipe: fresh features in every epoch, for --augment, instead of a cache in "
    )
    assert ended.err.endswith("sidscan: an encoder has no layer 99\nChoose one from 0 to 1.\n")


def test_a_localizer_without_a_recipe(sidscan: Run, tmp_path: Path) -> None:
    model = write_localizer(tmp_path).model
    ended = sidscan("recipe", "show", model)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"sidscan: {model}: it states no recipe\nOnly `sidscan train-localizer` ")
