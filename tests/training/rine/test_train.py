"""`sidscan train`, `study` and `scan` from the command line, on a generated set and a small random CLIP."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from training_sets import progan_like, small_clip

from sidscan.errors import OutputError
from sidscan.models import checkpoints
from sidscan.training.rine.fit import HeadStack

Run = Callable[..., Any]
KNOBS = ("--layers", "1", "--projected", "16", "--batch-size", "4", "--lr", "0.003")


class Made(NamedTuple):
    """A training set and an encoder."""

    data: Path
    encoder: Path


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Two classes of eight pictures each, with a validation part."""
    data = progan_like(tmp_path / "data", count=4)
    return Made(progan_like(data, count=2, part="val", seed=1), small_clip(tmp_path / "clip.safetensors"))


@pytest.fixture
def train(sidscan: Run, made: Made) -> Run:
    """Runs ``sidscan train`` on the set with small knobs."""

    def run(out: Path, *arguments: str | Path) -> Any:
        common = ("--classes", "cat,horse", "--encoder", made.encoder, "--out", out, *KNOBS)
        return sidscan("train", made.data, *common, *arguments)

    return run


def test_from_folders_to_a_report(sidscan: Run, tmp_path: Path) -> None:
    """Must-show: one epoch from the command line, and the head tells pictures apart that it never saw."""
    data = progan_like(tmp_path / "data", count=100)
    held_out = progan_like(tmp_path / "held-out", ("cat",), count=20, part="test", seed=7) / "test"
    clip, head = small_clip(tmp_path / "clip.safetensors"), tmp_path / "head.safetensors"
    arguments = ("--classes", "all", "--encoder", clip, "--layers", "1", "--projected", "256")
    ended = sidscan("train", data, *arguments, "--batch-size", "2", "--lr", "0.002", "--out", head)
    assert ended.code == 0, ended.err
    assert ended.err.startswith(
        f"data: 200 real and 200 synthetic pictures in {data}\nencoder: clip.safetensors, cpu, fp32\n"
        "validation: none, as the set has no such part\nepoch 1 of 1: loss "
    )
    ended = sidscan(
        "evaluate", "run", "--real", held_out / "cat" / "0_real", "--synthetic", held_out / "cat" / "1_fake",
        "--model", head, "--encoder", clip, "--out", tmp_path / "results", "--bootstrap", "50", "--no-plots",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    with (tmp_path / "results" / "results.csv").open(encoding="utf-8", newline="") as file:
        figures = next(csv.DictReader(file))
    assert float(figures["acc"]) >= 0.8
    assert float(figures["auroc"]) >= 0.9
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
    for name in ("one", "same"):
        assert train(tmp_path / name).code == 0
    assert train(tmp_path / "other", "--seed", "1").code == 0
    one, same, other = ((tmp_path / name).read_bytes() for name in ("one", "same", "other"))
    assert one == same
    assert one != other


def test_a_checkpoint_states_how_it_was_made(train: Run, made: Made, tmp_path: Path) -> None:
    ended = train(tmp_path / "h.safetensors", "--epochs", "2")
    assert ended.code == 0, ended.err
    checkpoint, _ = checkpoints.read(tmp_path / "h.safetensors")
    facts = checkpoint.facts
    assert facts["recipe"] == {
        "head": "rine", "without": "none", "xi": 0.2, "layers": 1, "projected": 16, "epochs": 2, "batch": 4,
        "lr": 0.003, "reduce_at": [6, 11], "share": 1.0, "seed": 0,
    }  # fmt: skip
    assert (facts["preset"], facts["classes"]) == ("progan-4class", ["cat", "horse"])
    assert facts["data"].keys() == {"digest", "real", "synthetic"}
    assert (facts["data"]["real"], facts["data"]["synthetic"]) == (8, 8)
    assert facts["left_out"] == {"train": [], "val": []}
    assert (facts["views"], facts["device"], facts["precision"]) == ("fresh in every epoch", "cpu", "fp32")
    assert [figures["epoch"] for figures in facts["epochs"]] == [1, 2]
    assert facts["epochs"][0]["validation"].keys() == {"loss", "accuracy", "average_precision"}
    assert checkpoint.encoder == "clip.safetensors"
    assert checkpoint.threshold == 0.5
    assert str(tmp_path) not in str(facts), "paths may be confidential"


def _interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real signal during the given step."""
    taken: list[int] = []
    original = HeadStack.step

    def stepping(self: HeadStack, *arguments: Any) -> Any:
        taken.append(1)
        if len(taken) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments)

    monkeypatch.setattr(HeadStack, "step", stepping)


@pytest.mark.parametrize("step", [3, 6, 8])
def test_an_interrupted_run_goes_on_to_the_same_file(
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
        f"stopped after {where}; kept in {out}.unfinished, the same command (without --fresh) goes on\n"
        in stopped.err
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
            f"sidscan: {out}.unfinished is of a run with other data, encoder or settings",
            "Choose another --out, or start over with --fresh.",
        ],
    )
    assert train(out, "--xi", "0.8", "--fresh").code == 0


def test_a_damaged_unfinished_run(train: Run, tmp_path: Path) -> None:
    (tmp_path / "out.unfinished").write_bytes(b"PK\x03\x04 not whole")
    ended = train(tmp_path / "out")
    assert ended.code == 2
    assert ended.err.endswith("\nStart over with --fresh.\n")
    assert "Traceback" not in ended.err


def test_a_corrupt_picture_stops_the_run_and_can_be_left_out(train: Run, made: Made, tmp_path: Path) -> None:
    path = made.data / "train" / "cat" / "1_fake" / "002.bmp"
    path.write_bytes(path.read_bytes()[:500])
    out = tmp_path / "out"
    ended = train(out)
    assert ended.code == 2
    assert f"sidscan: {path} can't be read: " in ended.err
    assert "leave out what can't be read, and say so in the checkpoint, with --skip-unreadable" in ended.err
    assert f"kept in {out}.unfinished" in ended.err
    ended = train(out, "--skip-unreadable")
    assert ended.code == 3, ended.err
    assert "going on after epoch 0" in ended.err
    assert "1 pictures could not be read and were left out; checkpoints name them\n" in ended.err
    assert checkpoints.read(out)[0].facts["left_out"] == {"train": ["train/cat/1_fake/002.bmp"], "val": []}


def test_what_is_there_is_not_replaced_in_silence(train: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"mine")
    ended = train(out)
    assert (ended.code, ended.err) == (
        2, f"sidscan: {out} exists\nChoose another --out, or replace it with --fresh.\n"
    )  # fmt: skip
    assert out.read_bytes() == b"mine"
    ended = train(tmp_path / "nowhere" / "out")
    assert (ended.code, ended.err.splitlines()[0]) == (
        7, f"sidscan: the folder {tmp_path / 'nowhere'} does not exist or is not writable"
    )  # fmt: skip


def test_a_full_disk_loses_nothing(train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can grow beyond 1,000 bytes; what was saved before is still there."""
    resource = pytest.importorskip("resource")  # not on Windows
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        _interrupt_at(2, patch)
        assert train(out).code == 130
    kept = Path(f"{out}.unfinished").read_bytes()
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
    assert Path(f"{out}.unfinished").read_bytes() == kept
    assert train(out).code == 0


def test_a_checkpoint_that_cannot_be_written_is_fitted_once(
    train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("sidscan.training.rine.train.write_checkpoint", _full_disk)
        assert train(out).code == 7
    with monkeypatch.context() as patch:
        patch.setattr(HeadStack, "step", None)  # no step is taken again
        assert train(out).code == 0
    assert train(tmp_path / "whole").code == 0
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()


def _full_disk(out: Path, checkpoint: object) -> None:
    raise OutputError(f"can't write {out}: No space left on device")


def test_a_batch_of_unreadable_pictures_is_a_step_like_any_other(
    train: Run, made: Made, tmp_path: Path
) -> None:
    """Nine pictures in batches of four: whichever is alone in the last batch may be the unreadable one."""
    for path in sorted((made.data / "train" / "horse").rglob("*.bmp"))[1:]:
        path.write_bytes(b"BM")
    for name, cache in (("fresh", ()), ("cached", ("--cache", tmp_path / "cache"))):
        ended = train(tmp_path / name, "--skip-unreadable", "--epochs", "2", "--batch-size", "1", *cache)
        assert ended.code == 3, ended.err
        facts = checkpoints.read(tmp_path / name)[0].facts
        assert [figures["epoch"] for figures in facts["epochs"]] == [1, 2]
        assert len(facts["left_out"]["train"]) == 7
    ended = train(tmp_path / "other", "--batch-size", "1", "--cache", tmp_path / "cache")
    assert ended.code == 2, "a cache with gaps is not taken in silence"
    assert "so it was when the cache was made" in ended.err


def test_what_was_left_out_before_an_interruption_is_not_forgotten(
    train: Run, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (made.data / "train" / "cat" / "1_fake").iterdir():
        path.write_bytes(b"BM")
    assert train(tmp_path / "whole", "--skip-unreadable").code == 3
    with monkeypatch.context() as patch:
        _interrupt_at(3, patch)
        assert train(tmp_path / "out", "--skip-unreadable").code == 130
    assert train(tmp_path / "out", "--skip-unreadable").code == 3
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_loss_that_is_no_number_leaves_no_checkpoint(train: Run, tmp_path: Path) -> None:
    ended = train(tmp_path / "out", "--lr", "1e30", "--epochs", "3")
    assert ended.code == 2
    assert "sidscan: the loss is no finite number any more, after epoch " in ended.err
    assert "Choose a lower --lr, or --precision fp32." in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--passes", "2"), "--passes is of a cache", id="passes without a cache"),
        pytest.param(("--head", "linear"), "--layers has no meaning for this head", id="layers of a probe"),
        pytest.param(("--share", "0.01"), "0.01 of 16 pictures are none", id="no picture left"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    train: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    ended = train(tmp_path / "out", *arguments)
    assert ended.code == 2
    assert message in ended.err


def test_every_preset_is_offered() -> None:
    """The command line knows them by name, so that its help need not load training."""
    from sidscan.cli import training_options
    from sidscan.training.rine.recipe import PRESETS

    assert tuple(PRESETS) == training_options._PRESETS


def test_no_picture_is_left_out_for_its_suffix(train: Run, made: Made, tmp_path: Path) -> None:
    folder = made.data / "train" / "cat" / "0_real"
    (folder / "000.bmp").rename(folder / "000.jfif")
    (folder / "notes.txt").write_text("no picture")
    assert train(tmp_path / "out").code == 0
    assert checkpoints.read(tmp_path / "out")[0].facts["data"]["real"] == 8


LAYOUT = "The layout is DATA/train/<class>/0_real and DATA/train/<class>/1_fake, one folder per class."
CLASSES = " --classes chooses other classes than the preset's; 'all' takes those there are."


def test_a_wrong_layout(sidscan: Run, train: Run, made: Made, tmp_path: Path) -> None:
    folder = made.data / "train" / "horse" / "1_fake"
    for path in folder.iterdir():
        path.unlink()
    (folder / "notes.txt").write_text("no picture")
    ended = train(tmp_path / "out")
    assert (ended.code, ended.err) == (2, f"sidscan: {folder} holds no picture\n{LAYOUT}{CLASSES}\n")
    ended = sidscan("train", made.data, "--encoder", made.encoder, "--out", tmp_path / "out")
    missing = made.data / "train" / "car" / "0_real"
    assert (ended.code, ended.err) == (2, f"sidscan: {missing} is not there\n{LAYOUT}{CLASSES}\n")
    ended = sidscan("train", tmp_path, "--classes", "all", "--out", tmp_path / "out")
    assert (ended.code, ended.err) == (2, f"sidscan: {tmp_path / 'train'} holds no class folder\n{LAYOUT}\n")


def test_without_the_encoder(sidscan: Run, made: Made, tmp_path: Path) -> None:
    ended = sidscan("train", made.data, "--classes", "cat", "--out", tmp_path / "out")
    assert ended.code == 4
    assert "clip-vit-l14 is not installed\n`sidscan models pull clip-vit-l14` fetches it" in ended.err


def test_cached_readings_give_the_published_result(train: Run, tmp_path: Path) -> None:
    """One epoch from one pass sees the very same views; only the readings are rounded to fp16."""
    fresh, cached = tmp_path / "fresh", tmp_path / "cached"
    assert train(fresh).code == 0
    assert train(cached, "--cache", tmp_path / "cache").code == 0
    one, other = (checkpoints.read(path)[0].tensors for path in (fresh, cached))
    for name, tensor in one.items():
        assert torch.allclose(tensor, other[name], atol=2e-2), name
        assert (tensor - other[name]).abs().mean() < 2e-3, name


def test_ablations(sidscan: Run, made: Made, tmp_path: Path) -> None:
    out = tmp_path / "ablations"
    arguments = ("study", "ablations", made.data, "--classes", "cat", "--encoder", made.encoder, "--out", out)
    ended = sidscan(*arguments, *KNOBS)
    assert ended.code == 0, ended.err
    with (out / "heads.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["without"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["none", "contrastive", "tie", "intermediate"]
    assert len({row["loss"] for row in rows.values()}) == 4
    for row in rows.values():
        assert 0 <= float(row["validation_accuracy"]) <= 1
        head = checkpoints.read(out / row["file"])[0].build_head()
        assert head(torch.zeros(1, 3, 64)).isfinite().all()
    again = sidscan(*arguments, *KNOBS)
    assert again.code == 0
    assert "4 heads are there already (--fresh starts over)\n" in again.err
    other = sidscan(*arguments, *KNOBS, "--xi", "0.7")
    assert other.code == 0, "other recipes have other names"
    other = sidscan(*arguments, *KNOBS, "--precision", "bf16", "--cache", tmp_path / "bf16")
    assert other.code == 2
    assert " is of other data, encoder, versions or settings\n" in other.err


def test_set_sizes_and_seeds(sidscan: Run, made: Made, tmp_path: Path) -> None:
    out = tmp_path / "sizes"
    arguments = ("study", "set-sizes", made.data, "--classes", "cat,horse", "--encoder", made.encoder)
    ended = sidscan(*arguments, "--seeds", "2", "--out", out, *KNOBS)
    assert ended.code == 0, ended.err
    with (out / "heads.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["share"], row["seed"]) for row in csv.DictReader(file)]
    assert rows == [(share, seed) for share in ("0.2", "0.5", "0.8", "1.0") for seed in ("0", "1")]


def test_an_interrupted_study_goes_on(
    sidscan: Run, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("study", "seeds", made.data, "--classes", "cat", "--encoder", made.encoder, "--seeds", "2")
    assert sidscan(*arguments, "--out", tmp_path / "whole", *KNOBS).code == 0
    with monkeypatch.context() as patch:
        _interrupt_at(3, patch)
        assert sidscan(*arguments, "--out", tmp_path / "out", *KNOBS).code == 130
    assert sidscan(*arguments, "--out", tmp_path / "out", *KNOBS).code == 0
    whole, out = (sorted((tmp_path / name).glob("*.safetensors")) for name in ("whole", "out"))
    assert [path.name for path in whole] == [path.name for path in out]
    assert len(whole) == 2
    for one, other in zip(whole, out, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_long_run_gives_the_shorter_ones_on_its_way(sidscan: Run, made: Made, tmp_path: Path) -> None:
    out = tmp_path / "epochs"
    arguments = ("--classes", "cat", "--encoder", made.encoder, "--passes", "2", *KNOBS)
    ended = sidscan("study", "epochs", made.data, *arguments, "--out", out)
    assert ended.code == 0, ended.err
    with (out / "heads.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["file"], row["epochs"]) for row in csv.DictReader(file)]
    assert [epochs for _, epochs in rows] == ["1", "3", "5", "10", "15"]
    alone = sidscan(
        "train", made.data, *arguments, "--epochs", "3", "--cache", out / "readings", "--out", tmp_path / "3"
    )
    assert alone.code == 0, alone.err
    one, other = (checkpoints.read(path)[0] for path in (out / rows[1][0], tmp_path / "3"))
    assert one.facts["epochs"] == other.facts["epochs"]
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name])


@pytest.mark.parametrize(
    ("preset", "knobs"), [("ufd-4class", ()), ("fpn-4class", ("--projected", "4"))], ids=["ufd", "fpn"]
)
def test_other_heads_train_and_scan(
    sidscan: Run, made: Made, tmp_path: Path, preset: str, knobs: tuple[str, ...]
) -> None:
    head = tmp_path / "head.safetensors"
    arguments = ("--preset", preset, "--classes", "cat", "--encoder", made.encoder, *knobs)
    ended = sidscan("train", made.data, *arguments, "--batch-size", "4", "--out", head)
    assert ended.code == 0, ended.err
    ended = sidscan(
        "scan", made.data / "val", "--model", head, "--encoder", made.encoder, "--out", tmp_path / "r.csv"
    )
    assert ended.code == 0, ended.err
