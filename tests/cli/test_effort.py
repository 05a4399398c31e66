"""`--effort` from end to end, with a checkpoint on a tiny encoder that states a cascade."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sample_images import encoded, photo
from tiny_networks import random_clip, random_head

import sidscan as package
from sidscan import ScanConfig, UsageError
from sidscan.images.crops import crop
from sidscan.images.decode import decode
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.cascade import Cascade
from sidscan.models.checkpoints import Checkpoint
from sidscan.models.detectors import load_detectors
from sidscan.runtimes.pytorch import PyTorchRuntime
from sidscan.scoring.evidence import logit_of, sigmoid

Run = Callable[..., Any]
CLIP = {"width": 64, "blocks": 2, "patch": 56, "side": 224, "embedding": 8}
SIZES = [(300, 260), (301, 300), (260, 400), (320, 240), (250, 250), (400, 300), (224, 224), (150, 120)]


@dataclass(frozen=True)
class Archive:
    """Images, a checkpoint whose cascade lets some of them go on, and the logits of all their crops."""

    images: Path
    model: Path
    plain: Path  # the same weights without a cascade
    encoder: Path
    cascade: Cascade
    threshold: float
    logits: dict[str, NDArray[np.float64]]  # (10,) by file name

    def views(self, name: str) -> int:
        """How many crops the cascade scores."""
        logits, bound = self.logits[name], logit_of(self.threshold)
        if logits[4] < bound - self.cascade.centre:
            return 1
        return 10 if abs(logits[:5].mean() - bound) <= self.cascade.mirrors else 5

    def arguments(self, *, plain: bool = False) -> tuple[str | Path, ...]:
        """Of a scan."""
        model = self.plain if plain else self.model
        return ("scan", self.images, "--model", model, "--encoder", self.encoder, "--device", "cpu")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    root = tmp_path_factory.mktemp("effort")
    images = root / "images"
    images.mkdir()
    for number, size in enumerate(SIZES):
        (images / f"{number}.png").write_bytes(encoded(photo(*size, seed=number), "PNG"))
    encoder = root / "clip.safetensors"
    save_file({f"visual.{name}": tensor for name, tensor in random_clip(**CLIP).items()}, encoder)
    head = dict(random_head(2, 64, 16, 2).state_dict())
    sha256 = hashlib.sha256(encoder.read_bytes()).hexdigest()

    def write(path: Path, threshold: float, cascade: Cascade | None) -> Path:
        checkpoint = Checkpoint(head, "rine", encoder.name, sha256, threshold, {}, cascade=cascade)
        path.write_bytes(checkpoint.to_bytes())
        return path

    runtime = PyTorchRuntime(
        load_detectors([str(write(root / "any.safetensors", 0.5, None))], encoder=encoder), "cpu", "fp32"
    )
    logits = {
        path.name: runtime.logits(crop(decode(path.read_bytes()), "ten"))[:, 0].astype(np.float64)
        for path in sorted(images.iterdir())
    }
    centres = np.sort([values[4] for values in logits.values()])
    threshold = sigmoid(centres[-1] + 0.3)
    bound = logit_of(threshold)
    first = bound - (centres[2] + centres[3]) / 2  # three of the eight end at their centre
    distances = np.sort(
        [abs(values[:5].mean() - bound) for values in logits.values() if values[4] >= bound - first]
    )
    cascade = Cascade(float(first), float((distances[1] + distances[2]) / 2))
    return Archive(
        images,
        write(root / "model.safetensors", threshold, cascade),
        write(root / "plain.safetensors", threshold, None),
        encoder,
        cascade,
        threshold,
        logits,
    )


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of crops in each pass of an encoder."""
    seen: list[int] = []
    plain = ClipEncoder.read

    def counting(self: ClipEncoder, crops: torch.Tensor, features: Any) -> Any:
        seen.append(len(crops))
        return plain(self, crops, features)

    monkeypatch.setattr(ClipEncoder, "read", counting)
    return seen


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).name: row for row in csv.DictReader(file)}


def test_a_cascade_scores_the_crops_that_decide(
    sidscan: Run, tmp_path: Path, archive: Archive, computed: list[int]
) -> None:
    outs = ("--out", tmp_path / "r.csv", "--out", tmp_path / "r.json", "--out", tmp_path / "r.jsonl")
    ended = sidscan(*archive.arguments(), *outs)
    assert ended.code == 0, ended.err
    by_name = rows(tmp_path / "r.csv")
    expected = {name: archive.views(name) for name in archive.logits}
    counts = Counter(expected.values())
    assert {name: int(row["views"]) for name, row in by_name.items()} == expected
    assert min(counts[1], counts[5], counts[10]) > 0, "the archive has images of all kinds"
    assert f"\ncrops: {counts[1]} images by 1, {counts[5]} by 5, {counts[10]} by 10\n" in ended.err
    for name, row in by_name.items():
        logits = archive.logits[name]
        mean = logits[4] if expected[name] == 1 else logits[: expected[name]].mean()
        assert float(row["logit"]) == pytest.approx(mean, abs=1e-5)
        assert row["effort"] == "normal"
    run = json.loads((tmp_path / "r.json").read_text())["run"]
    assert (run["effort"], run["crops"]) == ("normal", "ten")
    assert run["models"][0]["cascade"] == {
        "centre": archive.cascade.centre,
        "mirrors": archive.cascade.mirrors,
    }
    line = json.loads((tmp_path / "r.jsonl").read_text().splitlines()[0])
    assert line["run"]["effort"] == "normal"
    # Images of one window have two different crops, whatever their number of views.
    different = {1: 1, 5: 5, 10: 10}
    small = {1: 1, 5: 1, 10: 2}
    assert sum(computed) == sum(
        (small if name in ("6.png", "7.png") else different)[views] for name, views in expected.items()
    )


@pytest.mark.parametrize("plain", [False, True], ids=["with a cascade", "without one"])
def test_full_effort_scores_all_crops(sidscan: Run, tmp_path: Path, archive: Archive, plain: bool) -> None:
    ended = sidscan(*archive.arguments(plain=plain), "--effort", "full", "--out", tmp_path / "r.csv")
    assert ended.code == 0, ended.err
    assert "crops:" not in ended.err
    for name, row in rows(tmp_path / "r.csv").items():
        assert (row["views"], row["effort"]) == ("10", "full")
        assert float(row["logit"]) == pytest.approx(archive.logits[name].mean(), abs=1e-5)


def test_a_detector_without_a_cascade_gets_all_crops(sidscan: Run, tmp_path: Path, archive: Archive) -> None:
    ended = sidscan(*archive.arguments(plain=True), "--out", tmp_path / "r.csv")
    assert {(row["views"], row["effort"]) for row in rows(tmp_path / "r.csv").values()} == {("10", "full")}
    assert "effort:" not in ended.err
    beside = sidscan(*archive.arguments(), "--model", "mini", "--out", tmp_path / "both.csv")
    assert {row["views"] for row in rows(tmp_path / "both.csv").values()} == {"10"}
    assert "effort: all crops of every image, since mini states no cascade\n" in beside.err
    assert "crops:" not in beside.err


def test_fast_cuts_the_centre_alone(
    sidscan: Run, tmp_path: Path, archive: Archive, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sidscan.images import crops as cutting

    cut = []

    def noting(source: Any, crops: str) -> Any:
        cut.append(crops)
        return crop(source, crops)  # type: ignore[arg-type]

    monkeypatch.setattr(cutting, "crop", noting)
    fast = (*archive.arguments(), "--effort", "fast", "--no-isolation")
    assert sidscan(*fast, "--out", tmp_path / "r.csv").code == 0
    assert cut == ["center"] * len(SIZES)
    assert sum(computed) == len(SIZES)
    by_name = rows(tmp_path / "r.csv")
    assert {(row["views"], row["effort"]) for row in by_name.values()} == {("1", "fast")}
    assert sidscan(*archive.arguments(), "--crops", "center", "--out", tmp_path / "c.csv").code == 0
    for name, row in rows(tmp_path / "c.csv").items():
        assert float(row["logit"]) == pytest.approx(float(by_name[name]["logit"]), abs=1e-6)
        assert row["effort"] == "fast"


def test_another_effort_scores_again(sidscan: Run, tmp_path: Path, archive: Archive) -> None:
    scan = (*archive.arguments(), "--out", tmp_path / "r.csv")
    assert sidscan(*scan).code == 0
    assert "8 results kept from an earlier run" in sidscan(*scan).err
    for before, effort in (("normal", "full"), ("full", "fast"), ("fast", "normal")):
        ended = sidscan(*scan, "--effort", effort)
        assert f"8 earlier results not used:\n  8 made with effort {before} (now {effort})" in ended.err
        assert {row["effort"] for row in rows(tmp_path / "r.csv").values()} == {effort}


@pytest.mark.parametrize("batch", ["1", "3", "40"])
def test_batches_do_not_decide(sidscan: Run, tmp_path: Path, archive: Archive, batch: str) -> None:
    assert sidscan(*archive.arguments(), "--batch", batch, "--out", tmp_path / "r.csv").code == 0
    views = {name: int(row["views"]) for name, row in rows(tmp_path / "r.csv").items()}
    assert views == {name: archive.views(name) for name in archive.logits}


def test_an_exported_graph_carries_its_cascade(sidscan: Run, tmp_path: Path, archive: Archive) -> None:
    from sidscan.exporters.onnx import export

    graph = tmp_path / "model.onnx"
    export([str(archive.model)], graph, "fp32", archive.encoder)
    ended = sidscan("scan", archive.images, "--model", graph, "--device", "cpu", "--out", tmp_path / "r.csv")
    assert ended.code == 0, ended.err
    views = {name: int(row["views"]) for name, row in rows(tmp_path / "r.csv").items()}
    assert views == {name: archive.views(name) for name in archive.logits}
    assert (
        sidscan(
            "scan", archive.images, "--model", graph, "--effort", "full", "--out", tmp_path / "f.csv"
        ).code
        == 0
    )
    for name, row in rows(tmp_path / "f.csv").items():
        assert float(row["logit"]) == pytest.approx(archive.logits[name].mean(), abs=1e-3)


def test_a_calibration_records_its_effort(sidscan: Run, tmp_path: Path, archive: Archive) -> None:
    saved = tmp_path / "c.json"
    model = ("--model", archive.model, "--encoder", archive.encoder)
    ended = sidscan("calibrate", archive.images, *model, "--effort", "full", "--fpr", "0.2", "--out", saved)
    assert ended.code == 0, ended.err
    assert json.loads(saved.read_text())["effort"] == "full"
    assert f"--effort full --calibration {saved} --out report.csv" in ended.out
    assert "model.safetensors, ten crops, for a false-positive rate of at most 20 %" in ended.out
    normal = sidscan("calibrate", archive.images, *model, "--fpr", "0.2", "--out", tmp_path / "normal.json")
    assert "model.safetensors, one to ten crops (effort normal), for a false-positive rate" in normal.out
    scan = (*archive.arguments(), "--calibration", saved, "--out", tmp_path / "r.json")
    assert "  it differs from this scan: effort full then, normal now;" in sidscan(*scan).err
    (record,) = json.loads((tmp_path / "r.json").read_text())["run"]["calibrations"].values()
    assert (record["effort"], record["differences"]) == ("full", ["effort full then, normal now"])
    assert "it differs" not in sidscan(*scan, "--effort", "full").err
    fast = sidscan(*scan, "--effort", "fast")
    assert (fast.code, fast.err.splitlines()[-1]) == (
        4,
        "Calibrate with --effort fast, or scan with another effort.",
    )
    old = {key: value for key, value in json.loads(saved.read_text()).items() if key != "effort"}
    saved.write_text(json.dumps(old, indent=1) + "\n")
    assert "it differs" not in sidscan(*scan, "--effort", "full").err, "a file of 0.2.0 had all crops scored"
    (record,) = json.loads((tmp_path / "r.json").read_text())["run"]["calibrations"].values()
    assert record["sha256"] == hashlib.sha256(saved.read_bytes()).hexdigest()


def test_contradicting_options_are_refused(sidscan: Run, archive: Archive) -> None:
    ended = sidscan(*archive.arguments(), "--effort", "full", "--crops", "center")
    assert (ended.code, ended.err) == (
        2,
        "sidscan: --effort full scores all ten crops, --crops center one\nLeave one of the two out.\n",
    )
    for command in ("scan", "calibrate"):
        ended = sidscan(command, archive.images, "--model", "mini", "--effort", "fast", "--crops", "ten")
        assert (ended.code, ended.err) == (
            2,
            "sidscan: --effort fast scores the centre crop, --crops ten all ten\nLeave one of the two out.\n",
        )
    with pytest.raises(UsageError, match="effort can't be 'most'"):
        ScanConfig(inputs=("a",), effort="most")  # type: ignore[arg-type]


def test_the_python_api_takes_an_effort(archive: Archive) -> None:
    path = archive.images / "0.png"
    for effort, views in (("normal", 10), ("full", 10), ("fast", 1)):
        assert package.load("mini", device="cpu", effort=effort).score(path).views == views  # type: ignore[arg-type]
        (result,) = package.scan(path, models="mini", effort=effort)  # type: ignore[arg-type]
        assert result.views == views
    config = ScanConfig(inputs=(str(path),), models=("mini",), effort="fast")
    assert [result.views for result in package.scan(config)] == [1]
    with pytest.raises(UsageError, match="effort was given twice"):
        package.scan(config, effort="full")
    from sidscan.scoring.model import open_model

    model = ScanConfig(inputs=("-",), models=(str(archive.model),), encoder=archive.encoder, device="cpu")
    loaded = open_model(model)
    assert {name: loaded.score(archive.images / name).views for name in archive.logits} == {
        name: archive.views(name) for name in archive.logits
    }
