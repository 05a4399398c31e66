"""Cautions from end to end: a checkpoint with a probe, on a tiny encoder, by PyTorch and as a graph."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sample_graphs import ExportedGraphs
from sample_images import encoded, photo
from tiny_networks import random_clip, random_head

from sidscan.config import ReadLimits
from sidscan.images.items import decode_item, info_from_bytes
from sidscan.models.cascade import Cascade
from sidscan.models.cautions import Caution
from sidscan.models.checkpoints import Checkpoint, read_checkpoint
from sidscan.models.detectors import load_detectors
from sidscan.models.heads.rine_ensemble import CautionProbe, RineEnsemble
from sidscan.records import DecodedImage, Item
from sidscan.runtimes.pytorch import PyTorchRuntime

Run = Callable[..., Any]
CLIP = {"width": 64, "blocks": 2, "patch": 56, "side": 224, "embedding": 8}
LOSSLESS = Caution("lossless", "file", 0.07, 185)


class Archive(NamedTuple):
    """Images, half of which the probe tells, and checkpoints of the same head with and without cautions."""

    images: Path
    cautious: Path
    plain: Path
    without_probe: Path
    encoder: Path
    drawn: dict[str, bool]

    def scan(self, model: Path) -> tuple[object, ...]:
        return ("scan", self.images, "--model", model, "--encoder", self.encoder, "--device", "cpu")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    root = tmp_path_factory.mktemp("cautions")
    images = root / "images"
    images.mkdir()
    for number in range(6):
        image_format = ("PNG", "JPEG", "JPEG")[number % 3]
        data = encoded(photo(300, 260, seed=number), image_format)
        (images / f"{number}.{image_format.lower()}").write_bytes(data)
    encoder = root / "clip.safetensors"
    save_file({f"visual.{name}": tensor for name, tensor in random_clip(**CLIP).items()}, encoder)
    ensemble = RineEnsemble([random_head(2, 64, 16, 2)])
    plain = write(root / "plain.safetensors", ensemble, encoder, ())
    probe = CautionProbe((2, 64))
    torch.nn.init.normal_(probe.weight, generator=torch.Generator().manual_seed(3))
    ensemble.cautions["drawn"] = probe
    means = probe_means(write(root / "any.safetensors", ensemble, encoder, (drawn(0.0),)), encoder, images)
    threshold = float(np.sort(list(means.values()))[2:4].mean())
    return Archive(
        images,
        write(root / "cautious.safetensors", ensemble, encoder, (drawn(threshold), LOSSLESS)),
        plain,
        write(root / "without.safetensors", RineEnsemble([random_head(2, 64, 16, 2)]), encoder, (drawn(0),)),
        encoder,
        {name: mean >= threshold for name, mean in means.items()},
    )


def drawn(threshold: float) -> Caution:
    return Caution("drawn", "probe", 0.094, 180, float(threshold))


def write(path: Path, head: RineEnsemble, encoder: Path, cautions: tuple[Caution, ...]) -> Path:
    sha256 = hashlib.sha256(encoder.read_bytes()).hexdigest()
    state = dict(head.state_dict())
    checkpoint = Checkpoint(state, "rine_ensemble", encoder.name, sha256, 0.4, {}, cautions=cautions)
    path.write_bytes(checkpoint.to_bytes())
    return path


def probe_means(model: Path, encoder: Path, images: Path) -> dict[str, float]:
    """The probe's mean logit over ten crops of each image."""
    runtime = PyTorchRuntime(load_detectors([str(model)], encoder=encoder), "cpu", "fp32")
    means = {}
    for path in sorted(images.iterdir()):
        data = path.read_bytes()
        _, decoded = decode_item(Item("a"), data, info_from_bytes(data), ReadLimits())
        assert isinstance(decoded, DecodedImage)
        means[path.name] = float(runtime.logits(decoded.crop_set)[:, 1].astype(np.float64).mean())
    return means


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cautions_of(rows: Sequence[dict[str, str]]) -> dict[str, str]:
    return {Path(row["path"]).name: row["cautions"] for row in rows}


@pytest.fixture
def reports(sidscan: Run, archive: Archive, tmp_path: Path) -> Callable[[Path], list[dict[str, str]]]:
    def scan(model: Path) -> list[dict[str, str]]:
        out = tmp_path / f"{model.stem}.csv"
        ended = sidscan(*archive.scan(model), "--out", out)
        assert ended.code == 0, ended.err
        return rows_of(out)

    return scan


def test_rows_say_what_an_image_looks_like(sidscan: Run, archive: Archive, tmp_path: Path) -> None:
    ended = sidscan(*archive.scan(archive.cautious), "-o", tmp_path / "r.csv", "-o", tmp_path / "r.json")
    assert ended.code == 0, ended.err
    expected = {
        name: " ".join(["drawn"] * is_drawn + ["lossless"] * name.endswith(".png"))
        for name, is_drawn in archive.drawn.items()
    }
    assert sorted(archive.drawn.values()) == [False] * 3 + [True] * 3
    rows = rows_of(tmp_path / "r.csv")
    assert cautions_of(rows) == expected
    assert {row["lossless"] for row in rows if row["path"].endswith("png")} == {"yes"}
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert {Path(finding["path"]).name: " ".join(finding["scores"][0]["cautions"])
            for finding in report["findings"]} == expected  # fmt: skip
    stated = {caution["kind"]: caution for caution in report["run"]["models"][0]["cautions"]}
    assert (stated["drawn"]["told_by"], stated["lossless"]["false_positive_rate"]) == ("probe", 0.07)
    above = sum(row["evidence"] != "weak" and row["cautions"] != "" for row in rows)
    assert f"cautions: 3 drawn, 2 lossless; {above} of these above the threshold\n" in ended.err
    assert (
        "  by the card of cautious.safetensors, 9.4 % of real drawn images and 7.0 % of real lossless images "
        "are above it\n" in ended.err
    )


def test_scores_are_the_same_to_the_last_bit(
    archive: Archive, reports: Callable[[Path], list[dict[str, str]]]
) -> None:
    with_cautions, without = reports(archive.cautious), reports(archive.plain)
    of_the_file = {"cautions", "model", "model_digest", "model_provenance", "scanned_at"}
    assert {row["cautions"] for row in without} == {""}
    for row, plain_row in zip(with_cautions, without, strict=True):
        for name in row.keys() - of_the_file:
            assert row[name] == plain_row[name], name


def test_a_detector_without_cautions_says_nothing(sidscan: Run, archive: Archive) -> None:
    lines = sidscan(*archive.scan(archive.plain)).err.splitlines()
    assert [line for line in lines if "cautions:" in line or "by the card of" in line] == []


def test_an_exported_graph_says_the_same(
    sidscan: Run, archive: Archive, tmp_path: Path, reports: Callable[[Path], list[dict[str, str]]]
) -> None:
    graph = tmp_path / "graph.onnx"
    ended = sidscan("export-onnx", "--model", archive.cautious, "--encoder", archive.encoder, "--out", graph)
    assert ended.code == 0, ended.err
    assert "cautious.safetensors:drawn" in ended.err, "the probe passes the parity check, too"
    ended = sidscan("scan", archive.images, "--model", graph, "--device", "cpu", "--out", tmp_path / "g.csv")
    assert ended.code == 0, ended.err
    assert cautions_of(rows_of(tmp_path / "g.csv")) == cautions_of(reports(archive.cautious))


def test_a_graph_without_a_probe_runs_and_says_nothing_of_drawings(
    sidscan: Run, archive: Archive, graphs: ExportedGraphs, tmp_path: Path
) -> None:
    graph = ("--model", graphs.fp32, "--device", "cpu")
    ended = sidscan("scan", archive.images, *graph, "--out", tmp_path / "g.csv")
    assert ended.code == 0, ended.err
    assert set(cautions_of(rows_of(tmp_path / "g.csv")).values()) == {""}


def test_two_detectors_keep_their_columns(sidscan: Run, archive: Archive, tmp_path: Path) -> None:
    """`mini` reads mirror images once, so the two are computed in separate groups."""
    out, alone = tmp_path / "both.csv", tmp_path / "mini.csv"
    ended = sidscan(*archive.scan(archive.cautious), "--model", "mini", "--out", out)
    assert ended.code == 0, ended.err
    by_pytorch = ("--device", "cpu", "--runtime", "pytorch")  # as a checkpoint is
    ended = sidscan("scan", archive.images, "--model", "mini", *by_pytorch, "--out", alone)
    assert ended.code == 0, ended.err
    told = cautions_of(rows_of(out))
    assert {name: "drawn" in words.split() for name, words in told.items()} == archive.drawn
    for row, of_mini in zip(rows_of(out), rows_of(alone), strict=True):
        assert (row["mini.logit"], row["mini.cautions"]) == (of_mini["logit"], "")


def test_a_card_that_needs_a_probe_which_is_not_there_is_refused(sidscan: Run, archive: Archive) -> None:
    ended = sidscan(*archive.scan(archive.without_probe))
    assert ended.code == 4
    assert "without.safetensors: its card cautions against drawn, and its head has no probe" in ended.err


def test_a_cascade_is_decided_by_scores_alone(
    sidscan: Run, archive: Archive, tmp_path: Path, reports: Callable[[Path], list[dict[str, str]]]
) -> None:
    """A probe whose logits reach any threshold makes no further crops be read."""
    middle = float(np.median([float(row["score"]) for row in reports(archive.plain)]))
    for model in (archive.cautious, archive.plain):
        checkpoint = replace(read_checkpoint(model)[0], threshold=middle, cascade=Cascade(0.0, 0.01))
        (tmp_path / model.name).write_bytes(checkpoint.to_bytes())
    with_probe, without = reports(tmp_path / "cautious.safetensors"), reports(tmp_path / "plain.safetensors")
    assert [row["effort"] for row in with_probe] == ["normal"] * 6
    assert [(row["views"], row["logit"]) for row in with_probe] == [
        (row["views"], row["logit"]) for row in without
    ]
    assert len({row["views"] for row in with_probe}) > 1
