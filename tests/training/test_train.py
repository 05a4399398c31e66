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

from sidscan.models import checkpoints
from sidscan.training.fit import HeadStack

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
        "evaluate", "--real", held_out / "cat" / "0_real", "--synthetic", held_out / "cat" / "1_fake",
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
    assert (facts["data"]["real"], facts["data"]["synthetic"], facts["left_out"]) == (8, 8, [])
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
    assert f"stopped after {where}; kept in {out}.unfinished, the same command goes on\n" in stopped.err
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
    assert ended.code == 0, ended.err
    assert "going on after epoch 0" in ended.err
    assert checkpoints.read(out)[0].facts["left_out"] == ["train/cat/1_fake/002.bmp"]


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
    """No file can grow beyond 1,000 bytes: neither the checkpoint, nor what waits to be gone on with."""
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
    for ended, name in ((stopped, f"{out}.unfinished"), (full, out)):
        assert f"sidscan: can't write {name}: " in ended.err
        assert "Traceback" not in ended.err
    assert not out.exists()
    assert Path(f"{out}.unfinished").read_bytes() == kept
    assert train(out).code == 0


LAYOUT = "The layout is DATA/train/<class>/0_real and DATA/train/<class>/1_fake, one folder per class."


def test_a_wrong_layout(sidscan: Run, train: Run, made: Made, tmp_path: Path) -> None:
    folder = made.data / "train" / "horse" / "1_fake"
    for path in folder.iterdir():
        path.unlink()
    (folder / "notes.txt").write_text("no picture")
    ended = train(tmp_path / "out")
    assert (ended.code, ended.err) == (2, f"sidscan: {folder} holds no picture\n{LAYOUT}\n")
    ended = sidscan("train", made.data, "--encoder", made.encoder, "--out", tmp_path / "out")
    missing = made.data / "train" / "car" / "0_real"
    assert (ended.code, ended.err) == (2, f"sidscan: {missing} is not there\n{LAYOUT}\n")
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
    assert "4 of 4 heads are there already (--fresh starts over)\n" in again.err


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


@pytest.mark.parametrize("preset", ["ufd-4class", "fpn-4class"])
def test_other_heads_train_and_scan(sidscan: Run, made: Made, tmp_path: Path, preset: str) -> None:
    head = tmp_path / "head.safetensors"
    arguments = ("--preset", preset, "--classes", "cat", "--encoder", made.encoder, "--projected", "4")
    ended = sidscan("train", made.data, *arguments, "--batch-size", "4", "--out", head)
    assert ended.code == 0, ended.err
    ended = sidscan(
        "scan", made.data / "val", "--model", head, "--encoder", made.encoder, "--out", tmp_path / "r.csv"
    )
    assert ended.code == 0, ended.err
