"""Recipe files: `sidscan recipe show`, and `--recipe`, which makes the same bytes again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import click
import pytest
from training_sets import progan_like, small_clip

from sidscan.cli.study import command as study_command
from sidscan.cli.train import command as train_command
from sidscan.errors import UsageError
from sidscan.models import checkpoints
from sidscan.training.rine.recipe import BOUNDS, PRESETS, UNUSED_BY_HEAD, Recipe
from sidscan.training.rine.recipe_file import (
    RecipeFile,
    read_recipe_file,
    recipe_of_facts,
    recipe_of_preset,
    to_toml,
)

if TYPE_CHECKING:
    from conftest import Ended

Run: TypeAlias = "Callable[..., Ended]"
OTHER = Recipe(
    ablate="tie", num_proj_layers=1, proj_dim=16, dropout=0.25, xi=0.5, temperature=0.2, base_temperature=0.1,
    epochs=2, batch=4, lr=0.003, lr_milestones=(2,), lr_divisor=5.0, adam_betas=(0.8, 0.99), adam_eps=1e-6,
    data_fraction=0.75, seed=3, blur_probability=0.25, blur_max_sigma=1.5, jpeg_probability=0.75,
    jpeg_qualities=(50, 70, 90), mirror_probability=0.1,
)  # fmt: skip
"""A recipe of which every number is not the default."""


class Files(NamedTuple):
    """The paths of a training set and an encoder."""

    data: Path
    encoder: Path


def _options(recipe: Recipe) -> Iterator[str]:
    """The recipe on the command line."""
    flags = {str(option.name): option.opts[-1] for option in train_command.params}
    for name, value in asdict(recipe).items():
        yield flags[name]
        yield ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Four images, and a small encoder."""
    data = progan_like(tmp_path / "data", ("cat",), count=2)
    return Files(data, small_clip(tmp_path / "clip.safetensors"))


def test_a_recipe_makes_the_same_bytes_again(sidscan: Run, files: Files, tmp_path: Path) -> None:
    first, again, other = (tmp_path / f"{name}.safetensors" for name in ("first", "again", "other"))
    common = ("train", files.data, "--encoder", files.encoder)
    ended = sidscan(*common, "--classes", "cat", "--out", first, *_options(OTHER))
    assert ended.code == 0, ended.err
    checkpoint, _ = checkpoints.read_checkpoint(first)
    assert Recipe.from_dict(checkpoint.facts["recipe"]) == OTHER

    shown = sidscan("recipe", "show", first)
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert lines[0] == "# The recipe of first.safetensors."
    assert lines[1].startswith("# The same bytes need the same images (2 real, 2 synthetic; list ")
    stated = {
        'command = "train"',
        'encoder = "clip.safetensors"',
        'classes = ["cat"]',
        'precision = "fp32"',
        "cached_passes = 0",
    }
    assert stated <= set(lines)
    assert "jpeg_qualities = [50, 70, 90]  # progan-4class: [30, 100]" in lines

    recipe = tmp_path / "my.toml"
    recipe.write_text(shown.out, encoding="utf-8")
    ended = sidscan(*common, "--recipe", recipe, "--out", again)
    assert ended.code == 0, ended.err
    assert again.read_bytes() == first.read_bytes()
    departures = [line for line in ended.err.splitlines() if line.startswith("recipe: ")]
    assert departures == [f"recipe: --encoder {files.encoder} instead of clip.safetensors in {recipe}"]

    ended = sidscan(*common, "--recipe", recipe, "--temperature", "0.3", "--out", other)
    assert ended.code == 0, ended.err
    assert f"recipe: --temperature 0.3 instead of 0.2 in {recipe}\n" in ended.err
    tensors = checkpoints.read_checkpoint(other)[0].tensors
    assert any((tensors[name] != tensor).any() for name, tensor in checkpoint.tensors.items())
    changed = sidscan("recipe", "show", other).out.splitlines()
    assert [line for line in changed[1:] if line not in lines] == ["temperature = 0.3  # progan-4class: 0.07"]


def test_an_encoder_of_other_bytes_is_refused(sidscan: Run, files: Files, tmp_path: Path) -> None:
    recipe = tmp_path / "my.toml"
    recipe.write_text(f'encoder_sha256 = "{"0" * 64}"\nclasses = ["cat"]\n')
    ended = sidscan(
        "train", files.data, "--recipe", recipe, "--encoder", files.encoder, "--out", tmp_path / "out"
    )
    assert ended.code == 2
    assert "sidscan: clip.safetensors is not the encoder of the recipe: its sha256 is " in ended.err


@pytest.mark.parametrize("field", [field.name for field in fields(Recipe)])
def test_every_field_is_an_option_with_the_same_bounds(field: str) -> None:
    for command in (train_command, study_command):
        (option,) = (option for option in command.params if option.name == field)
        kind = getattr(option.type, "each", option.type)
        if bounds := BOUNDS.get(field):
            assert isinstance(kind, (click.IntRange, click.FloatRange))
            maximum = float("inf") if kind.max is None else kind.max
            assert (kind.min, maximum, kind.min_open, kind.max_open) == bounds
        else:
            assert isinstance(kind, click.Choice)


def test_every_field_of_the_other_recipe_differs() -> None:
    """So the round trip above shows that no number is lost; the head has a test of its own."""
    same = [name for name, value in asdict(OTHER).items() if value == getattr(Recipe(), name)]
    assert same == ["head"]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_survive_the_round_trip(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(to_toml(recipe_of_preset(preset)), encoding="utf-8")
    file = read_recipe_file(path)
    assert file.whole == PRESETS[preset].recipe
    assert file.classes == (PRESETS[preset].classes or None)
    assert not set(UNUSED_BY_HEAD.get(file.whole.head, ())) & file.recipe.keys()


def test_a_short_file_departs_from_its_preset(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('preset = "progan-2class"\nxi = 1\njpeg_qualities = [75]\nlr_milestones = []\n')
    assert read_recipe_file(path).whole == replace(
        PRESETS["progan-2class"].recipe, xi=1.0, jpeg_qualities=(75,), lr_milestones=()
    )


def test_a_checkpoint_of_an_earlier_version_has_the_constants_of_then() -> None:
    stored = {"head": "rine", "xi": 0.4, "num_proj_layers": 4, "proj_dim": 8, "lr_milestones": [6, 11]}
    facts = {"recipe": stored, "preset": "progan-4class", "views": "2 passes, cached in fp16"}
    file = recipe_of_facts(facts, "clip-vit-l14", "")
    assert file.whole == Recipe(xi=0.4, num_proj_layers=4, proj_dim=8)
    assert (file.recipe["temperature"], file.recipe["jpeg_qualities"]) == (0.07, (30, 100))
    assert file.cached_passes == 2


@pytest.mark.parametrize(
    ("facts", "layout"),
    [
        pytest.param({"layout": "genimage", "classes": [], "sets": ["sd14"]}, "genimage", id="other layout"),
        pytest.param({"layout": "cnndetection", "classes": []}, "auto", id="all classes, not the preset's"),
        pytest.param({"layout": "cnndetection", "classes": ["cat"]}, "cnndetection", id="named classes"),
    ],
)
def test_the_data_that_a_checkpoint_states(facts: dict[str, list[str]], layout: str) -> None:
    file = recipe_of_facts({"recipe": {}, "preset": "progan-4class", **facts}, "clip-vit-l14", "")
    assert file.layout == layout
    assert (file.classes or ()) == tuple(facts["classes"])
    assert file.parameters.get("sets") == (tuple(facts["sets"]) if "sets" in facts else None)


REFUSED = [
    pytest.param(
        'command = "train-localizer"',
        "line 2: command is train-localizer: this recipe is for `sidscan train-localizer`, not for `",
        id="other command",
    ),
    pytest.param("command = 1", "line 2: command must be text in quotes, not 1", id="no command"),
    pytest.param("temprature = 0.1", "line 2: temprature is unknown in a recipe", id="misspelt"),
    pytest.param("[fit]\nlr = 0.1", "line 2: fit is unknown in a recipe", id="table"),
    pytest.param('lr = "0.1"', "line 2: lr must be a number, not '0.1'", id="text for a number"),
    pytest.param("lr = true", "line 2: lr must be a number, not true", id="true for a number"),
    pytest.param("epochs = 1.5", "line 2: epochs must be a whole number, not 1.5", id="fraction"),
    pytest.param(
        "jpeg_qualities = 30",
        "line 2: jpeg_qualities must be whole numbers in brackets, not 30",
        id="not a list",
    ),
    pytest.param("jpeg_qualities = []", "line 2: jpeg_qualities must be at least one", id="no quality"),
    pytest.param(
        "jpeg_qualities = [30, 101]",
        "line 2: jpeg_qualities must be at least 1 and at most 100, not 101",
        id="quality too high",
    ),
    pytest.param("adam_betas = [0.9]", "line 2: adam_betas must be two numbers", id="one beta"),
    pytest.param("temperature = 0", "line 2: temperature must be above 0, not 0", id="cold"),
    pytest.param("temperature = nan", "line 2: temperature must be above 0, not nan", id="not a number"),
    pytest.param("dropout = 1", "line 2: dropout must be at least 0 and below 1, not 1", id="drops all"),
    pytest.param('preset = "mine"', "line 2: preset 'mine' is unknown", id="unknown preset"),
    pytest.param('head = "cnn"', "line 2: head 'cnn' is unknown", id="unknown head"),
    pytest.param('precision = "fp8"', "line 2: precision 'fp8' is unknown", id="unknown precision"),
    pytest.param('classes = "cat"', "line 2: classes must be names in brackets, not 'cat'", id="classes"),
    pytest.param('sets = ["a,b"]', "line 2: sets must be names without commas, not 'a,b'", id="commas"),
    pytest.param('encoder_sha256 = "12"', "line 2: encoder_sha256 must be 64 hexa", id="sha256"),
    pytest.param("cached_passes = -1", "line 2: cached_passes must be at least 0, not -1", id="passes"),
    pytest.param('head = "linear"\nxi = 0.1', "line 3: xi has no effect on the head linear", id="unused"),
    pytest.param(
        'head = "fpn"\nablate = "tie"', "line 3: ablate 'tie' needs the head rine, not fpn", id="ablation"
    ),
    pytest.param("lr = ", " is not TOML: ", id="not TOML"),
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


def test_a_file_that_is_not_there(sidscan: Run, tmp_path: Path) -> None:
    ended = sidscan("train", tmp_path, "--recipe", tmp_path / "no.toml", "--out", tmp_path / "out")
    message = f"can't read the recipe in {tmp_path / 'no.toml'}: No such file or directory"
    assert (ended.code, ended.err) == (2, f"sidscan: {message}\nCheck --recipe.\n")


def test_an_empty_file_is_no_recipe(sidscan: Run, tmp_path: Path) -> None:
    """As the shell leaves it where `recipe show` failed; without a word, the preset would be trained."""
    (tmp_path / "my.toml").write_text("# nothing\n")
    for command in ("train", "train-localizer"):
        ended = sidscan(command, tmp_path, "--recipe", tmp_path / "my.toml", "--out", tmp_path / "out")
        assert ended.code == 2
        assert ended.err.startswith(f"sidscan: the recipe in {tmp_path / 'my.toml'} is empty\n`sidscan ")


def test_two_recipes_are_refused(sidscan: Run, files: Files, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('classes = ["cat"]\n')
    arguments = ("train", files.data, "--recipe", tmp_path / "my.toml", "--out", tmp_path / "out")
    ended = sidscan(*arguments, "--preset", "ldm")
    assert ended.code == 2
    assert ended.err.startswith("sidscan: --preset and --recipe both name a recipe\nLeave one out, or state ")


def test_a_manifest_wins_over_the_layout(sidscan: Run, tmp_path: Path) -> None:
    manifest, recipe = tmp_path / "images.csv", tmp_path / "my.toml"
    manifest.write_text("path,label,split\na.png,real,train\n")
    recipe.write_text('layout = "cnndetection"\n')
    ended = sidscan("train", "--manifest", manifest, "--recipe", recipe, "--out", tmp_path / "out")
    assert ended.code == 2, "the manifest lacks synthetic images"
    assert ended.err.startswith(
        f"recipe: --manifest, instead of the layout cnndetection in {recipe}\nsidscan: {manifest}"
    )


def test_features_that_were_cached_need_a_cache(sidscan: Run, files: Files, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('classes = ["cat"]\ncached_passes = 1\n')
    ended = sidscan("train", files.data, "--recipe", tmp_path / "my.toml", "--out", tmp_path / "out")
    assert ended.code == 2
    assert (
        "states cached_passes, and no cache is named\nName a folder for the features with --cache."
        in ended.err
    )


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        pytest.param("mine", 2, "mine is neither a checkpoint nor a preset\nPresets are ", id="none"),
        pytest.param("clip.safetensors", 4, "clip.safetensors is not a checkpoint: ", id="encoder"),
        pytest.param("bare.safetensors", 2, "bare.safetensors: it states no recipe\n", id="no recipe"),
    ],
)  # fmt: skip
def test_what_has_no_recipe(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    small_clip(Path("clip.safetensors"))
    bare = checkpoints.Checkpoint({}, "rine", "clip-vit-l14", "0" * 64, 0.5, {})
    Path("bare.safetensors").write_bytes(bare.to_bytes())
    ended = sidscan("recipe", "show", name)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"sidscan: {message}")


def test_text_is_written_as_toml(tmp_path: Path) -> None:
    names = ('a"b', "c\\d", "\x7f\t\n", "é")
    path = tmp_path / "my.toml"
    path.write_text(to_toml(RecipeFile(recipe={}, classes=names)), encoding="utf-8")
    assert read_recipe_file(path).classes == names
