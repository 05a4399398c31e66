"""Three sets by several generators: trained, evaluated and calibrated by a manifest, and by two layouts."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from training_sets import noise_image, progan_like, small_clip

Run = Callable[..., Any]
SETS = {"biggan": "BigGAN", "san": "SAN", "stargan": "StarGAN"}
FAST = ("--no-plots", "--bootstrap", "0", "--device", "cpu", "--project", "0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes to train on and to validate with, and three test sets, in CNNDetection's layout."""
    root = progan_like(tmp_path_factory.mktemp("round") / "data", count=2)
    progan_like(root, count=2, part="val", seed=1)
    rng = np.random.default_rng(2)
    for name in SETS:
        for label, synthetic in (("0_real", False), ("1_fake", True)):
            folder = root / "test" / name / label
            folder.mkdir(parents=True)
            for number in range(2):
                Image.fromarray(noise_image(rng, synthetic)).save(folder / f"{number}.bmp")
    small_clip(root.with_name("clip.safetensors"))
    return root


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_manifest_and_two_layouts_give_equal_results(sidscan: Run, data: Path, tmp_path: Path) -> None:
    clip = ("--encoder", data.with_name("clip.safetensors"))
    manifest = data / "data.csv"
    assert sidscan("dataset", data, "--layout", "cnndetection", "--out", manifest).code == 0
    ways = {
        "manifest": ("--manifest", manifest),
        "cnndetection": (data, "--layout", "cnndetection"),
        "chameleon": (data, "--layout", "chameleon"),
    }
    weights, scores, thresholds = [], [], []
    for name, way in ways.items():
        model = tmp_path / f"{name}.safetensors"
        classes = ("--classes", "all") if name == "cnndetection" else ()
        small = ("--batch-size", "4", "--proj-dim", "8", "--device", "cpu", "--out", model)
        ended = sidscan("train", *way, *classes, *clip, *small)
        assert ended.code == 0, ended.err
        assert "data: 4 real and 4 synthetic images" in ended.err
        assert "validation: loss" in ended.err
        with safe_open(model, "np") as file:
            weights.append({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118  (it is no dict)
        ended = sidscan("evaluate", "run", *way, "--model", model, *clip, *FAST, "--out", tmp_path / name)
        assert ended.code == 0, ended.err
        found = rows(tmp_path / name / "scores.csv")
        scores.append(sorted((row["set"], row["path"], row["label"], row["logit"]) for row in found))
        ended = sidscan(
            *("calibrate", *way, "--model", model, *clip, "--crops", "center", "--device", "cpu"),
            *("--fpr", "0.4", "--out", tmp_path / f"{name}.json"),
        )
        assert ended.code == 0, ended.err
        assert "data: 4 real images of" in ended.err
        thresholds.append(next(line for line in ended.out.splitlines() if "threshold" in line))
    for other in weights[1:]:
        assert weights[0].keys() == other.keys()
        assert all(np.array_equal(weights[0][key], other[key]) for key in other)
    assert len(scores[0]) == 12
    assert scores[0] == scores[1] == scores[2]
    assert len(set(thresholds)) == 1
    generators = rows(tmp_path / "manifest" / "generators.csv")
    assert {row["set"]: row["generator"] for row in generators} == SETS
    others = rows(tmp_path / "cnndetection" / "generators.csv")
    named = {"model": "", "digest": ""}  # by the file, which states its layout
    assert [row | named for row in generators] == [row | named for row in others]
    assert not (tmp_path / "chameleon" / "generators.csv").exists()  # its folders name no generator


@pytest.fixture(scope="module")
def three_generators(data: Path) -> Path:
    """A manifest: two generators in one set and one in another, real images for both."""
    lines = ["path,label,set,generator"]
    lines += [f"test/{name}/0_real/{number}.bmp,0,," for name in SETS for number in range(2)]
    for name, of_set in zip(SETS, ("web", "web", "art"), strict=True):
        lines += [f"test/{name}/1_fake/{number}.bmp,1,{of_set},{name}" for number in range(2)]
    (data / "three.csv").write_text("\n".join(lines), encoding="utf-8")
    return data / "three.csv"


def test_generators_of_a_set_are_told_apart(sidscan: Run, three_generators: Path, tmp_path: Path) -> None:
    run = ("evaluate", "run", "--manifest", three_generators, "--model", "mini", *FAST)
    ended = sidscan(*run, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    table = ended.out.partition("## By generator\n\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split(" | ")[:3] for line in table] == [
        ["| set", "generator", "images"],
        ["| ---", "---", "---:"],
        ["| art", "stargan", "2"],
        ["| web", "biggan", "2"],
        ["| web", "san", "2"],
    ]
    found = {row["set"]: (row["n_real"], row["n_synthetic"]) for row in rows(tmp_path / "out/results.csv")}
    assert found == {"art": ("6", "2"), "web": ("6", "4"), "mean": ("12", "6")}

    images = three_generators.with_name("test")
    scan = ("scan", images, "--model", "mini", "--crops", "center", "--device", "cpu")
    assert sidscan(*scan, "--out", tmp_path / "report.csv").code == 0
    report = ("evaluate", "report", tmp_path / "report.csv", "--no-plots", "--bootstrap", "0")
    ended = sidscan(*report, "--manifest", three_generators, "--out", tmp_path / "again")
    assert ended.code == 0, ended.err
    first, second = (rows(tmp_path / name / "generators.csv") for name in ("out", "again"))
    assert [{**row, "digest": ""} for row in first] == [{**row, "digest": ""} for row in second]


def test_a_report_lacks_images_or_has_others(sidscan: Run, three_generators: Path, tmp_path: Path) -> None:
    moved, manifest = tmp_path / "moved", tmp_path / "san.csv"
    shutil.copytree(three_generators.parent / "test/san", moved)  # found by their bytes
    Image.new("RGB", (300, 300), "teal").save(moved / "other.png")
    (moved / "1_fake/1.bmp").unlink()
    scan = ("scan", moved, "--model", "mini", "--device", "cpu")
    assert sidscan(*scan, "--out", tmp_path / "r.json").code == 0
    head, *lines = three_generators.read_text(encoding="utf-8").splitlines()
    chosen = [f"{three_generators.parent}/{line}" for line in lines if "/san/" in line]
    manifest.write_text("\n".join([head, *chosen]), encoding="utf-8")
    report = ("evaluate", "report", tmp_path / "r.json", "--no-plots", "--bootstrap", "0", "--out", tmp_path)
    ended = sidscan(*report, "--manifest", manifest)
    assert ended.code == 3, ended.err
    assert f"1 image of {manifest} not in" in ended.err
    assert "1 row of" in ended.err
    assert rows(tmp_path / "results.csv")[0]["unreadable"] == "1"
    ended = sidscan(*report, "--sets", "web")
    assert (ended.code, "--sets has no effect without --manifest" in ended.err) == (2, True)
    assert sidscan(*report).code == 2  # it is no scores file


def test_a_set_of_one_label_is_refused_before_any_work(sidscan: Run, data: Path, tmp_path: Path) -> None:
    lines = ["path,label,set", *(f"{data}/test/san/1_fake/{number}.bmp,1,san" for number in range(2))]
    (tmp_path / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    ended = sidscan("evaluate", "run", "--manifest", tmp_path / "list.csv", "--out", tmp_path / "out", *FAST)
    assert ended.code == 2
    assert "the set san of" in ended.err
    assert "has no real image" in ended.err
    ended = sidscan("train", "--manifest", tmp_path / "list.csv", "--out", tmp_path / "m.safetensors")
    assert ended.code == 2
    assert "has no real image for the part train" in ended.err
