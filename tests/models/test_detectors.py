"""RINE through the command line: small random CLIPs, two published heads and a bundled ensemble."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sample_images import folder
from tiny_networks import random_clip, random_head
from torchvision import transforms

from sidscan.models import detectors
from sidscan.models.backbones import Feature
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.catalog import CATALOG, CatalogEntry
from sidscan.models.heads.rine_ensemble import RineEnsemble
from sidscan.models.origins import Bundled, Pin, Published
from sidscan.models.refs import choose_models
from sidscan.models.shapes import EncoderShape, HeadShape
from sidscan.models.store import Store
from sidscan.runtimes import precision_check

ENCODERS = ("clip-vit-l14", "clip-vit-b16")
ENCODER = EncoderShape(2, 64, 56, 17, 8)
HEADS = {
    "rine-4class": HeadShape(2, 64, 16, 2),
    "rine-2class": HeadShape(2, 64, 8, 1),
}
Run = Callable[..., Any]


class Rine(NamedTuple):
    """The installed models and their files."""

    encoder: ClipEncoder
    heads: dict[str, torch.nn.Module]
    files: dict[str, Path]

    def digest(self, head: str, encoder: str = "clip-vit-l14") -> str:
        """The digest of a model as reports show it."""
        return "+".join(
            hashlib.sha256(self.files[name].read_bytes()).hexdigest()[:16] for name in (head, encoder)
        )


@pytest.fixture
def rine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rine:
    """A store with small CLIPs and two heads under the published names, and rine-b16 beside it."""
    source = tmp_path / "published"
    source.mkdir()
    states = [random_clip(width=64, blocks=2, patch=56, side=224, embedding=8, seed=seed) for seed in (0, 1)]
    for encoder, state in zip(ENCODERS, states, strict=True):
        save_file({f"visual.{name}": tensor for name, tensor in state.items()}, source / encoder)
    heads = {
        name: random_head(s.num_blocks, s.embed_dim, s.proj_dim, s.num_proj_layers)
        for name, s in HEADS.items()
    }
    for name, head in heads.items():
        torch.save(head.state_dict(), source / name)

    catalog = {"mini": CATALOG["mini"], "rine-b16": _bundled_ensemble(tmp_path / "bundle")}
    for name in (*ENCODERS, *HEADS):
        catalog[name] = _entry(name, source / name)
    monkeypatch.setattr("sidscan.models.store.CATALOG", catalog)
    store = Store()
    files = {path.name: store.import_file(path).path for path in sorted(source.iterdir())}
    files["rine-b16"] = tmp_path / "bundle" / "b16.safetensors"
    return Rine(ClipEncoder.from_state(states[0]), dict(heads), files)


def _bundled_ensemble(folder: Path) -> CatalogEntry:
    folder.mkdir()
    ensemble = RineEnsemble([random_head(2, 64, 8, 1)])
    save_file(ensemble.state_dict(), folder / "b16.safetensors")
    card = {
        "sha256": hashlib.sha256((folder / "b16.safetensors").read_bytes()).hexdigest(),
        "threshold": 0.5,
        "abstention": {"side": 1, "detail": 0.1, "quality": 0, "spread": 0.0},
        "metrics": {"accuracy": 0.5, "average_precision": 0.5, "about": "nothing"},
    }
    (folder / "b16.json").write_text(json.dumps(card))
    return replace(
        CATALOG["rine-b16"],
        origin=Bundled("b16.safetensors", "b16.json", folder),
        shape=HeadShape(2, 64, 8, 1),
    )


def _entry(name: str, path: Path) -> CatalogEntry:
    head = name in HEADS
    pin = Pin("sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    return CatalogEntry(
        name=name,
        kind="detector" if head else "encoder",
        family="rine" if head else "clip",
        summary="random",
        licence="none",
        provenance="this test",
        origin=Published(f"http://localhost/{name}", pin, 0.5 if head else None),
        size=path.stat().st_size,
        encoder="clip-vit-l14" if head else None,
        shape=HEADS[name] if head else ENCODER,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rine_b16_is_the_default_if_its_encoder_is_installed(
    sidscan: Run, rine: Rine, tmp_path: Path
) -> None:
    ended = sidscan("scan", folder(tmp_path / "images"), "--out", tmp_path / "r.csv")
    assert ended.code == 0
    assert ended.err.startswith("model: rine-b16 (default)\nruntime: ")
    for row in _rows(tmp_path / "r.csv"):
        assert (row["model"], row["model_choice"]) == ("rine-b16", "default")
        assert row["model_digest"] == rine.digest("rine-b16", "clip-vit-b16")
        assert row["model_provenance"] == "rine-b16: bundled; clip-vit-b16: published sha256"


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("rine-b16", "rine-b16 is not installed"),
        ("clip-vit-b16/record.json", "clip-vit-b16, which rine-b16 reads, is not installed"),
    ],
    ids=["head", "encoder"],
)
def test_without_head_or_encoder_mini_is_used(
    sidscan: Run, rine: Rine, tmp_path: Path, missing: str, reason: str
) -> None:
    name, _, record = missing.partition("/")
    (rine.files[name].with_name(record) if record else rine.files[name]).unlink()
    ended = sidscan("scan", folder(tmp_path / "images"), "--out", tmp_path / "r.csv")
    assert ended.code == 0
    assert ended.err.startswith(
        f"model: mini (fallback: {reason})\n`sidscan models pull rine-b16` installs it; rine-b16 finds more\n"
    )
    assert {row["model"] for row in _rows(tmp_path / "r.csv")} == {"mini"}


def test_a_quiet_scan_names_the_fallback_and_nothing_more(sidscan: Run, rine: Rine, tmp_path: Path) -> None:
    rine.files["clip-vit-b16"].with_name("record.json").unlink()
    ended = sidscan("scan", folder(tmp_path / "images"), "--quiet", "--out", tmp_path / "r.csv")
    assert ended.err == "model: mini (fallback: clip-vit-b16, which rine-b16 reads, is not installed)\n"


def test_published_heads_are_used_by_name_alone(rine: Rine) -> None:
    rine.files["clip-vit-b16"].with_name("record.json").unlink()
    assert choose_models(()).names == ("mini",)
    assert choose_models(("rine-4class",)).names == ("rine-4class",)


@pytest.mark.parametrize("crops", ["ten", "center"])
def test_scores_equal_those_of_the_published_procedure(
    sidscan: Run, rine: Rine, tmp_path: Path, crops: str
) -> None:
    """torchvision's crops, the encoder, the head; the mean of the logits, then the sigmoid."""
    images = folder(tmp_path / "images", side=300)
    arguments = ("--model", "rine-2class", "--crops", crops, "--out", tmp_path / "r.csv")
    assert sidscan("scan", images, *arguments).code == 0
    for row in _rows(tmp_path / "r.csv"):
        image = Image.open(row["path"]).convert("RGB")
        cropped = transforms.TenCrop(224)(image) if crops == "ten" else [transforms.CenterCrop(224)(image)]
        batch = torch.from_numpy(np.stack([np.asarray(crop) for crop in cropped])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            logits = rine.heads["rine-2class"](rine.encoder(batch))
        assert float(row["logit"]) == pytest.approx(logits.mean().item(), abs=1e-5)
        assert float(row["score"]) == pytest.approx(torch.sigmoid(logits.mean()).item(), abs=1e-5)
        assert float(row["crop_max"]) == pytest.approx(torch.sigmoid(logits).max().item(), abs=1e-5)


def test_several_heads_share_one_encoder_pass(
    sidscan: Run, rine: Rine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    read = ClipEncoder.read

    def counted(
        encoder: ClipEncoder, crops: torch.Tensor, features: Set[Feature]
    ) -> dict[Feature, torch.Tensor]:
        passes.append(len(crops))
        return read(encoder, crops, features)

    monkeypatch.setattr(ClipEncoder, "read", counted)
    images = folder(tmp_path / "images")
    single = sidscan("scan", images, "--model", "rine-4class", "--out", tmp_path / "one.csv")
    seen = sum(passes)
    both = sidscan(
        "scan", images, "--model", "rine-4class", "--model", "rine-2class", "--out", tmp_path / "two.csv"
    )
    assert (single.code, both.code) == (0, 0)
    assert sum(passes) - seen == seen > 0
    for single_row, both_row in zip(_rows(tmp_path / "one.csv"), _rows(tmp_path / "two.csv"), strict=True):
        assert single_row["score"] == both_row["score"]
        assert both_row["rine-2class.model_digest"] == rine.digest("rine-2class")
        assert both_row["rine-2class.score"] != both_row["score"]


def test_heads_of_different_encoders_score_side_by_side(sidscan: Run, rine: Rine, tmp_path: Path) -> None:
    arguments = ("--model", "mini", "--model", "rine-2class", "--out", tmp_path / "r.csv")
    assert sidscan("scan", folder(tmp_path / "images"), *arguments).code == 0
    for row in _rows(tmp_path / "r.csv"):
        assert (row["model"], row["rine-2class.model"]) == ("mini", "rine-2class")


@pytest.mark.parametrize("name", ["rine-b16", "clip-vit-b16"])
def test_altered_weights_give_no_score(sidscan: Run, rine: Rine, tmp_path: Path, name: str) -> None:
    data = bytearray(rine.files[name].read_bytes())
    data[-1] ^= 1
    rine.files[name].write_bytes(data)
    ended = sidscan("scan", folder(tmp_path / "images"), "--out", tmp_path / "r.csv")
    assert ended.code == 4
    assert "has changed since it was installed" in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "r.csv").exists()


def test_a_model_named_twice_is_used_once(rine: Rine) -> None:
    choice = choose_models(("rine-2class", "mini", "rine-2class"))
    assert (choice.names, str(choice)) == (("rine-2class", "mini"), "asked for")
    assert [loaded.info.name for loaded in detectors.load_detectors(choice.models)] == ["rine-2class", "mini"]


def test_fp16_is_not_offered_on_a_cpu(sidscan: Run, rine: Rine, tmp_path: Path) -> None:
    ended = sidscan("scan", folder(tmp_path / "images"), "--device", "cpu", "--precision", "fp16")
    assert ended.code == 6
    assert "fp16 is not offered on a CPU\nChoose --precision fp32 or bf16." in ended.err


def test_bf16_is_near_fp32(sidscan: Run, rine: Rine, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    for precision in ("fp32", "bf16"):
        out = tmp_path / f"{precision}.csv"
        assert sidscan("scan", images, "--device", "cpu", "--precision", precision, "--out", out).code == 0
    for full, half in zip(_rows(tmp_path / "fp32.csv"), _rows(tmp_path / "bf16.csv"), strict=True):
        assert (full["precision"], half["precision"]) == ("fp32", "bf16")
        assert full["logit"] != half["logit"]
        assert float(full["score"]) == pytest.approx(float(half["score"]), abs=0.1)


@pytest.mark.parametrize(
    ("bound", "precision", "said"),
    [
        (
            1.0,
            "rine-2class bf16, mini fp32",
            "precision bf16: logits of 4 trial crops differ from fp32's by up to ",
        ),
        (0.0, "fp32", "precision fp32: in bf16 logits of 4 trial crops differ from fp32's by up to "),
    ],
    ids=["within", "beyond"],
)
def test_a_cpu_computes_in_bf16_if_a_trial_shows_close_scores(
    sidscan: Run,
    rine: Rine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bound: float,
    precision: str,
    said: str,
) -> None:
    monkeypatch.setattr(precision_check, "has_fast_bf16", lambda: True)
    monkeypatch.setattr(precision_check, "BOUND", bound)
    images, asked = (
        folder(tmp_path / "images"),
        ("--model", "rine-2class", "--model", "mini", "--device", "cpu"),
    )
    auto = sidscan("scan", images, *asked, "--out", tmp_path / "auto.csv")
    assert auto.code == 0
    assert said in auto.err
    again = sidscan("scan", images, *asked, "--fresh", "--overwrite", "--out", tmp_path / "auto.csv")
    assert again.code == 0
    assert said in again.err
    assert "(tried on 20" in again.err, "the trial is not repeated"
    named = "fp32" if bound == 0 else "bf16"
    full = sidscan(
        "scan", images, *asked[:2], *asked[4:], "--precision", named, "--out", tmp_path / "named.csv"
    )
    assert full.code == 0
    assert "precision " not in full.err
    for auto_row, named_row in zip(_rows(tmp_path / "auto.csv"), _rows(tmp_path / "named.csv"), strict=True):
        assert auto_row["precision"] == precision
        assert auto_row["logit"] == named_row["logit"], "computed in the precision that the row states"


def test_fast_bf16_follows_the_processor_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for flags, fast in (("fpu avx512f", False), ("fpu avx512_bf16 sse", True), ("amx_bf16", True)):
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
        monkeypatch.setattr(precision_check, "CPU_FACTS", tmp_path / "cpuinfo")
        precision_check.has_fast_bf16.cache_clear()
        assert precision_check.has_fast_bf16() is fast
    monkeypatch.setattr(precision_check, "CPU_FACTS", tmp_path / "none")
    precision_check.has_fast_bf16.cache_clear()
    assert not precision_check.has_fast_bf16()
    precision_check.has_fast_bf16.cache_clear()


def test_a_nan_score_counts_as_an_infinite_difference() -> None:
    zeros, with_nan = np.zeros((2, 1), np.float32), np.array([[0], [np.nan]], np.float32)
    assert precision_check.largest_differences(zeros, zeros) == (0, 0)
    assert precision_check.largest_differences(zeros, with_nan) == (np.inf, np.inf)


def test_a_logit_tells_what_a_score_far_from_one_half_hides() -> None:
    near, far = np.array([[0.0]], np.float32), np.array([[6.0]], np.float32)
    for logits, score in ((near, 0.0987), (far, 0.0008)):
        found = precision_check.largest_differences(logits, logits + np.float32(0.4))
        assert found.logit == pytest.approx(0.4, abs=1e-6)
        assert found.score == pytest.approx(score, abs=1e-4)
