"""`sidscan train`, `study` and `scan` from the command line, on a generated set and a small random CLIP."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pytest
import torch
from torch import Tensor
from training_sets import progan_like, small_clip

from sidscan.errors import OutputError
from sidscan.models import checkpoints
from sidscan.models.heads.base import with_weights
from sidscan.models.heads.rine import RineHead
from sidscan.training.rine.examples import CLASS_SETS
from sidscan.training.rine.fit import HeadStack

if TYPE_CHECKING:
    from conftest import Ended

Run: TypeAlias = "Callable[..., Ended]"
KNOBS = ("--num-proj-layers", "1", "--proj-dim", "16", "--batch-size", "4", "--lr", "0.003")


class TrainingFiles(NamedTuple):
    """The paths of a training set and an encoder."""

    data: Path
    encoder: Path


@pytest.fixture
def files(tmp_path: Path) -> TrainingFiles:
    """Two classes of eight images each, with a validation part."""
    data = progan_like(tmp_path / "data", count=4)
    return TrainingFiles(
        progan_like(data, count=2, part="val", seed=1), small_clip(tmp_path / "clip.safetensors")
    )


@pytest.fixture
def train(sidscan: Run, files: TrainingFiles) -> Run:
    """Run ``sidscan train`` on the set with small hyperparameters."""

    def run(out: Path, *arguments: str | Path) -> Ended:
        common = ("--classes", "cat,horse", "--encoder", files.encoder, "--out", out, *KNOBS)
        return sidscan("train", files.data, *common, *arguments)

    return run


def test_from_folders_to_a_report(sidscan: Run, tmp_path: Path) -> None:
    """After one epoch on the command line, the head separates images that it has never seen."""
    data = progan_like(tmp_path / "data", count=100)
    held_out = progan_like(tmp_path / "held-out", ("cat",), count=20, part="test", seed=7) / "test"
    clip, head = small_clip(tmp_path / "clip.safetensors"), tmp_path / "head.safetensors"
    arguments = ("--classes", "all", "--encoder", clip, "--num-proj-layers", "1", "--proj-dim", "256")
    ended = sidscan("train", data, *arguments, "--batch-size", "2", "--lr", "0.002", "--out", head)
    assert ended.code == 0, ended.err
    assert ended.err.startswith(
        f"data: 200 real and 200 synthetic images in {data}\nencoder: clip.safetensors, cpu, fp32\n"
        "validation: none, the set has no validation part\nepoch 1 of 1: loss "
    )
    ended = sidscan(
        "evaluate", "run", "--real", held_out / "cat" / "0_real", "--synthetic", held_out / "cat" / "1_fake",
        "--model", head, "--encoder", clip, "--out", tmp_path / "results", "--bootstrap", "50", "--no-plots",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    with (tmp_path / "results" / "results.csv").open(encoding="utf-8", newline="") as file:
        metrics = next(csv.DictReader(file))
    assert float(metrics["acc"]) >= 0.8
    assert float(metrics["auroc"]) >= 0.9
    report = tmp_path / "r.csv"
    ended = sidscan(
        "scan", held_out, "--model", head, "--encoder", clip, "--crops", "center", "--out", report
    )
    assert ended.code == 0, ended.err
    with report.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    right = [("1_fake" in row["path"]) == (float(row["score"]) > 0.5) for row in rows]
    assert len(right) == 40
    assert np.mean(right) >= 0.8
    assert {row["model"] for row in rows} == {"head.safetensors"}


def test_the_same_seed_gives_the_same_file(train: Run, tmp_path: Path) -> None:
    for name in ("first", "same"):
        assert train(tmp_path / name).code == 0
    assert train(tmp_path / "other", "--seed", "1").code == 0
    first, same, other = ((tmp_path / name).read_bytes() for name in ("first", "same", "other"))
    assert first == same
    assert first != other


def test_a_checkpoint_states_how_it_was_made(train: Run, files: TrainingFiles, tmp_path: Path) -> None:
    ended = train(tmp_path / "h.safetensors", "--epochs", "2")
    assert ended.code == 0, ended.err
    checkpoint, _ = checkpoints.read_checkpoint(tmp_path / "h.safetensors")
    facts = checkpoint.facts
    assert facts["recipe"] == {
        "head": "rine", "ablate": "none", "xi": 0.2, "num_proj_layers": 1, "proj_dim": 16, "epochs": 2,
        "batch": 4, "lr": 0.003, "lr_milestones": [6, 11], "data_fraction": 1.0, "seed": 0,
        "dropout": 0.5, "temperature": 0.07, "base_temperature": 0.07, "lr_divisor": 10.0,
        "adam_betas": [0.9, 0.999], "adam_eps": 1e-8, "blur_probability": 0.5, "blur_max_sigma": 3.0,
        "jpeg_probability": 0.5, "jpeg_qualities": [30, 100], "mirror_probability": 0.5,
    }  # fmt: skip
    assert (facts["preset"], facts["classes"]) == ("progan-4class", ["cat", "horse"])
    assert facts["data"].keys() == {"digest", "real", "synthetic"}
    assert (facts["data"]["real"], facts["data"]["synthetic"]) == (8, 8)
    assert facts["left_out"] == {"train": [], "val": []}
    assert (facts["views"], facts["device"], facts["precision"]) == ("fresh in every epoch", "cpu", "fp32")
    assert [metrics["epoch"] for metrics in facts["epochs"]] == [1, 2]
    assert facts["epochs"][0]["validation"].keys() == {"loss", "accuracy", "average_precision"}
    assert checkpoint.encoder == "clip.safetensors"
    assert checkpoint.threshold == 0.5
    assert str(tmp_path) not in str(facts), "paths may be confidential"


def _interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send a real signal during the given step."""
    steps: list[int] = []
    original = HeadStack.step

    def stepping(self: HeadStack, features: Tensor, labels: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        steps.append(1)
        if len(steps) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, features, labels, lr)

    monkeypatch.setattr(HeadStack, "step", stepping)


@pytest.mark.parametrize("step", [3, 6, 8])
def test_an_interrupted_run_continues_to_the_same_file(
    train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    assert train(tmp_path / "whole", "--epochs", "2").code == 0
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        _interrupt_at(step, patch)
        stopped = train(out, "--epochs", "2")
    assert stopped.code == 130
    where = f"epoch {step // 4}, batch {step % 4}"
    assert (
        f"stopped after {where}; saved in {out}.unfinished. "
        "The same command (without --fresh) goes on from there\n" in stopped.err
    )
    assert not out.exists()
    ended = train(out, "--epochs", "2")
    assert ended.code == 0
    assert f"going on after {where} of an unfinished run\n" in ended.err
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()
    assert not Path(f"{out}.unfinished").exists()


def test_an_unfinished_run_with_other_settings(
    train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        _interrupt_at(1, patch)
        assert train(out).code == 130
    ended = train(out, "--xi", "0.8")
    assert (ended.code, ended.err.splitlines()[-2:]) == (
        2,
        [
            f"sidscan: {out}.unfinished belongs to a run with other data, encoder or settings",
            "Choose another --out, or start over with --fresh.",
        ],
    )
    assert train(out, "--xi", "0.8", "--fresh").code == 0


def test_an_unfinished_run_of_sidscan_0_1_is_refused(
    train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file has no format number."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        _interrupt_at(1, patch)
        assert train(out).code == 130
    unfinished = Path(f"{out}.unfinished")
    state = torch.load(unfinished, weights_only=True)
    assert state.pop("format") == 2
    torch.save(state, unfinished)
    ended = train(out)
    assert (ended.code, ended.err.splitlines()[-2:]) == (
        2,
        [
            f"sidscan: {unfinished} was saved by another version of sidscan",
            "Finish the run with that version, or start over with --fresh.",
        ],
    )
    assert train(out, "--fresh").code == 0


def test_a_damaged_unfinished_run(train: Run, tmp_path: Path) -> None:
    (tmp_path / "out.unfinished").write_bytes(b"PK\x03\x04 not whole")
    ended = train(tmp_path / "out")
    assert ended.code == 2
    assert ended.err.endswith("\nStart over with --fresh.\n")
    assert "Traceback" not in ended.err


def test_a_corrupt_image_stops_the_run_and_can_be_skipped(
    train: Run, files: TrainingFiles, tmp_path: Path
) -> None:
    path = files.data / "train" / "cat" / "1_fake" / "002.bmp"
    path.write_bytes(path.read_bytes()[:500])
    out = tmp_path / "out"
    ended = train(out)
    assert ended.code == 2
    assert f"sidscan: {path} can't be read: " in ended.err
    assert "Or pass --skip-unreadable: the run then leaves such images out" in ended.err
    assert f"saved in {out}.unfinished" in ended.err
    ended = train(out, "--skip-unreadable")
    assert ended.code == 3, ended.err
    assert "going on after epoch 0" in ended.err
    assert "1 image was left out as unreadable; checkpoints list the names\n" in ended.err
    assert checkpoints.read_checkpoint(out)[0].facts["left_out"] == {
        "train": ["train/cat/1_fake/002.bmp"],
        "val": [],
    }


def test_existing_files_are_not_replaced_silently(train: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"mine")
    ended = train(out)
    assert (ended.code, ended.err) == (
        2, f"sidscan: {out} exists\nChoose another --out, or replace it with --overwrite.\n"
    )  # fmt: skip
    ended = train(out, "--fresh")
    assert (ended.code, ended.err) == (
        7,
        (
            f"sidscan: {out} does not say that sidscan wrote it; it is left alone\n"
            "Choose another --out, or replace it with --overwrite.\n"
        ),
    )
    assert out.read_bytes() == b"mine"
    assert train(out, "--overwrite").code == 0
    assert train(out, "--fresh").code == 0
    ended = train(tmp_path / "nowhere" / "out")
    assert (ended.code, ended.err.splitlines()[0]) == (
        7, f"sidscan: the folder {tmp_path / 'nowhere'} does not exist"
    )  # fmt: skip


def test_a_full_disk_loses_nothing(train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can grow beyond 1,000 bytes; earlier state is kept."""
    resource = pytest.importorskip("resource")  # not on Windows
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        _interrupt_at(2, patch)
        assert train(out).code == 130
    saved = Path(f"{out}.unfinished").read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with monkeypatch.context() as patch:
            _interrupt_at(1, patch)
            stopped = train(out)
        full = train(out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (stopped.code, full.code) == (7, 7)
    for ended in (stopped, full):
        assert f"sidscan: can't write {out}.unfinished: " in ended.err
        assert "Traceback" not in ended.err
    assert not out.exists()
    assert Path(f"{out}.unfinished").read_bytes() == saved
    assert train(out).code == 0


def test_a_checkpoint_that_cannot_be_written_is_not_fitted_again(
    train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("sidscan.training.rine.train.write_checkpoint", _full_disk)
        assert train(out).code == 7
    with monkeypatch.context() as patch:
        patch.setattr(HeadStack, "step", None)  # training another step would fail
        assert train(out).code == 0
    assert train(tmp_path / "whole").code == 0
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()


def _full_disk(out: Path, checkpoint: object) -> None:
    raise OutputError(f"can't write {out}: No space left on device")


def test_a_batch_of_unreadable_images_counts_as_a_step(
    train: Run, files: TrainingFiles, tmp_path: Path
) -> None:
    """Seven of sixteen images are unreadable, in batches of one."""
    for path in sorted((files.data / "train" / "horse").rglob("*.bmp"))[1:]:
        path.write_bytes(b"BM")
    for name, cache in (("fresh", ()), ("cached", ("--cache", tmp_path / "cache"))):
        ended = train(tmp_path / name, "--skip-unreadable", "--epochs", "2", "--batch-size", "1", *cache)
        assert ended.code == 3, ended.err
        facts = checkpoints.read_checkpoint(tmp_path / name)[0].facts
        assert [metrics["epoch"] for metrics in facts["epochs"]] == [1, 2]
        assert len(facts["left_out"]["train"]) == 7
    ended = train(tmp_path / "other", "--batch-size", "1", "--cache", tmp_path / "cache")
    assert ended.code == 2, "a cache with gaps is not used silently"
    assert "it could not be read when the cache was made" in ended.err


def test_images_skipped_before_an_interruption_are_remembered(
    train: Run, files: TrainingFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (files.data / "train" / "cat" / "1_fake").iterdir():
        path.write_bytes(b"BM")
    assert train(tmp_path / "whole", "--skip-unreadable").code == 3
    with monkeypatch.context() as patch:
        _interrupt_at(3, patch)
        assert train(tmp_path / "out", "--skip-unreadable").code == 130
    assert train(tmp_path / "out", "--skip-unreadable").code == 3
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_nan_loss_leaves_no_checkpoint(train: Run, tmp_path: Path) -> None:
    ended = train(tmp_path / "out", "--lr", "1e30", "--epochs", "3")
    assert ended.code == 2
    assert "sidscan: the loss became infinite or NaN after epoch " in ended.err
    assert "Choose a lower --lr, or --precision fp32." in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--passes", "2"), "--passes needs a cache", id="passes without a cache"),
        pytest.param(
            ("--head", "linear"),
            "--num-proj-layers has no effect on the head linear",
            id="layers of a linear probe",
        ),
        pytest.param(("--data-fraction", "0.01"), "0.01 of 16 images leaves none", id="no image left"),
    ],
)
def test_options_without_effect_are_refused(
    train: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    ended = train(tmp_path / "out", *arguments)
    assert ended.code == 2
    assert message in ended.err


def test_every_preset_is_offered() -> None:
    """The command line lists the names itself, so that its help need not load training."""
    from sidscan.cli import training_options
    from sidscan.training.rine.recipe import PRESETS

    assert tuple(PRESETS) == training_options._PRESETS


def test_no_image_is_skipped_for_its_suffix(train: Run, files: TrainingFiles, tmp_path: Path) -> None:
    folder = files.data / "train" / "cat" / "0_real"
    (folder / "000.bmp").rename(folder / "000.jfif")
    (folder / "notes.txt").write_text("no image")
    assert train(tmp_path / "out").code == 0
    assert checkpoints.read_checkpoint(tmp_path / "out")[0].facts["data"]["real"] == 8


LAYOUT = "Expected are DATA/train/<class>/0_real and DATA/train/<class>/1_fake, one folder per class."
CLASSES = " --classes replaces the preset's classes; '--classes all' takes every class in DATA/train."


def test_a_wrong_layout(sidscan: Run, train: Run, files: TrainingFiles, tmp_path: Path) -> None:
    folder = files.data / "train" / "horse" / "1_fake"
    for path in folder.iterdir():
        path.unlink()
    (folder / "notes.txt").write_text("no image")
    ended = train(tmp_path / "out")
    assert (ended.code, ended.err) == (2, f"sidscan: {folder} contains no images\n{LAYOUT}{CLASSES}\n")
    ended = sidscan("train", files.data, "--encoder", files.encoder, "--out", tmp_path / "out")
    missing = files.data / "train" / "car" / "0_real"
    assert (ended.code, ended.err) == (2, f"sidscan: {missing} does not exist\n{LAYOUT}{CLASSES}\n")
    ended = sidscan("train", tmp_path, "--classes", "all", "--out", tmp_path / "out")
    assert (ended.code, ended.err) == (
        2,
        f"sidscan: {tmp_path / 'train'} contains no class folder\n{LAYOUT}\n",
    )


def test_training_without_an_encoder_file(sidscan: Run, files: TrainingFiles, tmp_path: Path) -> None:
    ended = sidscan("train", files.data, "--classes", "cat", "--out", tmp_path / "out")
    assert ended.code == 4
    assert "clip-vit-l14 is not installed\n`sidscan models pull clip-vit-l14` fetches it" in ended.err


def test_cached_features_give_nearly_the_same_weights(train: Run, tmp_path: Path) -> None:
    """One epoch from one cached pass uses the same crops; only the features are rounded to fp16."""
    fresh, cached = tmp_path / "fresh", tmp_path / "cached"
    assert train(fresh).code == 0
    assert train(cached, "--cache", tmp_path / "cache").code == 0
    from_fresh, from_cache = (checkpoints.read_checkpoint(path)[0].tensors for path in (fresh, cached))
    for name, tensor in from_fresh.items():
        assert torch.allclose(tensor, from_cache[name], atol=2e-2), name
        assert (tensor - from_cache[name]).abs().mean() < 2e-3, name


def test_ablations(sidscan: Run, files: TrainingFiles, tmp_path: Path) -> None:
    out = tmp_path / "ablations"
    arguments = (
        "study",
        "ablations",
        files.data,
        "--classes",
        "cat",
        "--encoder",
        files.encoder,
        "--out",
        out,
    )
    ended = sidscan(*arguments, *KNOBS)
    assert ended.code == 0, ended.err
    with (out / "heads.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["ablate"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["none", "contrastive", "tie", "intermediate"]
    assert len({row["loss"] for row in rows.values()}) == 4
    for row in rows.values():
        assert 0 <= float(row["validation_accuracy"]) <= 1
        head = with_weights(RineHead, checkpoints.read_checkpoint(out / row["file"])[0].tensors)
        assert head(torch.zeros(1, 3, 64)).isfinite().all()
    again = sidscan(*arguments, *KNOBS)
    assert again.code == 0
    assert "4 heads exist already (--fresh starts over)\n" in again.err
    other = sidscan(*arguments, *KNOBS, "--xi", "0.7")
    assert other.code == 0, "other recipes have other names"
    other = sidscan(*arguments, *KNOBS, "--precision", "bf16", "--cache", tmp_path / "bf16")
    assert other.code == 2
    assert " belongs to a run with other data, encoder, versions or settings\n" in other.err
    for name in ("heads.csv", rows["tie"]["file"]):
        before = (out / name).read_bytes()
        (out / name).write_bytes(b"mine")
        refused = sidscan(*arguments, *KNOBS, "--fresh")
        assert refused.code == 7, refused.err
        assert f"{out / name} " in refused.err
        assert (out / name).read_bytes() == b"mine"
        (out / name).write_bytes(before)


def test_set_sizes_and_seeds(sidscan: Run, files: TrainingFiles, tmp_path: Path) -> None:
    out = tmp_path / "sizes"
    arguments = ("study", "set-sizes", files.data, "--classes", "cat,horse", "--encoder", files.encoder)
    ended = sidscan(*arguments, "--seeds", "2", "--out", out, *KNOBS)
    assert ended.code == 0, ended.err
    with (out / "heads.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["data_fraction"], row["seed"]) for row in csv.DictReader(file)]
    assert rows == [(fraction, seed) for fraction in ("0.2", "0.5", "0.8", "1.0") for seed in ("0", "1")]


def test_an_interrupted_study_continues(
    sidscan: Run, files: TrainingFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("study", "seeds", files.data, "--classes", "cat", "--encoder", files.encoder, "--seeds", "2")
    assert sidscan(*arguments, "--out", tmp_path / "whole", *KNOBS).code == 0
    with monkeypatch.context() as patch:
        _interrupt_at(3, patch)
        assert sidscan(*arguments, "--out", tmp_path / "out", *KNOBS).code == 130
    assert sidscan(*arguments, "--out", tmp_path / "out", *KNOBS).code == 0
    whole, out = (sorted((tmp_path / name).glob("*.safetensors")) for name in ("whole", "out"))
    assert [path.name for path in whole] == [path.name for path in out]
    assert len(whole) == 2
    for expected, resumed in zip(whole, out, strict=True):
        assert expected.read_bytes() == resumed.read_bytes()


def test_a_long_run_also_yields_the_shorter_ones(sidscan: Run, files: TrainingFiles, tmp_path: Path) -> None:
    out = tmp_path / "epochs"
    arguments = ("--classes", "cat", "--encoder", files.encoder, "--passes", "2", *KNOBS)
    ended = sidscan("study", "epochs", files.data, *arguments, "--out", out)
    assert ended.code == 0, ended.err
    with (out / "heads.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["file"], row["epochs"]) for row in csv.DictReader(file)]
    assert [epochs for _, epochs in rows] == ["1", "3", "5", "10", "15"]
    alone = sidscan(
        "train", files.data, *arguments, "--epochs", "3", "--cache", out / "features", "--out", tmp_path / "3"
    )
    assert alone.code == 0, alone.err
    on_the_way, direct = (checkpoints.read_checkpoint(path)[0] for path in (out / rows[1][0], tmp_path / "3"))
    assert on_the_way.facts["epochs"] == direct.facts["epochs"]
    for name, tensor in on_the_way.tensors.items():
        assert torch.equal(tensor, direct.tensors[name])


@pytest.mark.parametrize(
    ("preset", "knobs"), [("ufd-4class", ()), ("fpn-4class", ("--proj-dim", "4"))], ids=["ufd", "fpn"]
)
def test_other_heads_train_and_scan(
    sidscan: Run, files: TrainingFiles, tmp_path: Path, preset: str, knobs: tuple[str, ...]
) -> None:
    head = tmp_path / "head.safetensors"
    arguments = ("--preset", preset, "--classes", "cat", "--encoder", files.encoder, *knobs)
    ended = sidscan("train", files.data, *arguments, "--batch-size", "4", "--out", head)
    assert ended.code == 0, ended.err
    ended = sidscan(
        "scan", files.data / "val", "--model", head, "--encoder", files.encoder, "--out", tmp_path / "r.csv"
    )
    assert ended.code == 0, ended.err


def test_twenty_classes(sidscan: Run, files: TrainingFiles, tmp_path: Path) -> None:
    """The preset of the appendix takes all of ProGAN's classes, and says which one is missing."""
    data, out = progan_like(tmp_path / "all", CLASS_SETS["20"], count=1), tmp_path / "head.safetensors"
    arguments = ("--preset", "progan-20class", "--encoder", files.encoder, *KNOBS[:4])
    ended = sidscan("train", data, *arguments, "--out", out)
    assert ended.code == 0, ended.err
    facts = checkpoints.read_checkpoint(out)[0].facts
    assert (len(facts["classes"]), facts["data"]["real"], facts["data"]["synthetic"]) == (20, 20, 20)
    (data / "train" / "sofa").rename(data / "sofa")
    ended = sidscan("train", data, *arguments, "--out", tmp_path / "other")
    assert ended.code == 2
    assert "sofa" in ended.err
