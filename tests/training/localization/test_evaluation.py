"""`sidscan evaluate localization`: rows, figures and tables of small trained decoders."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from masked_sets import dolos_like, save_mask
from PIL import Image
from sample_localizers import SampleLocalizer, write_localizer

from sidscan.cli import cli
from sidscan.errors import ExitCode, OutputError, RuntimeUnavailable, UsageError
from sidscan.localize.image_map import make_map, plan_of
from sidscan.localize.run import MOST_TILES
from sidscan.localize.tile_reader import TileReader
from sidscan.models.localizers import load_localizer
from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer
from sidscan.training.localization.evaluation.published import AUTHORS_SETS, PUBLISHED_IOU
from sidscan.training.localization.evaluation.results import figures
from sidscan.training.localization.evaluation.rows import MapRow
from sidscan.training.localization.evaluation.run import MapEvaluation
from sidscan.training.localization.evaluation.tables import results_markdown


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dolos_like(tmp_path_factory.mktemp("data") / "celebahq", {"test": 2}, ("ldm", "lama"))


@pytest.fixture(scope="module")
def localizer(tmp_path_factory: pytest.TempPathFactory) -> SampleLocalizer:
    return write_localizer(tmp_path_factory.mktemp("localizer"))


def invoke(data: Path, localizer: SampleLocalizer, out: Path, *options: str) -> Result:
    named = ("--model", str(localizer.model), "--encoder", str(localizer.encoder), "--out", str(out))
    arguments = ["evaluate", "localization", str(data), *named, "--device", "cpu", *options]
    return CliRunner().invoke(cli, arguments, standalone_mode=False)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_gets_a_row_and_every_set_its_figures(
    data: Path, localizer: SampleLocalizer, tmp_path: Path
) -> None:
    result = invoke(data, localizer, tmp_path / "out", "--perturb", "jpeg-75,resize-0.5")
    assert result.return_value == ExitCode.DONE
    rows = read(tmp_path / "out/scores.csv")
    assert len(rows) == 3 * (4 + 2)
    assert {row["perturbation"] for row in rows} == {"none", "jpeg-75", "resize-0.5"}
    real = [row for row in rows if row["label"] == "real"]
    assert {(row["set"], row["iou"]) for row in real} == {("", "")}
    table = read(tmp_path / "out/results.csv")
    assert [(row["perturbation"], row["set"]) for row in table[:4]] == [
        ("none", "lama"),
        ("none", "ldm"),
        ("none", "mean"),
        ("jpeg-75", "lama"),
    ]
    ldm = [float(row["iou"]) for row in rows if (row["set"], row["perturbation"]) == ("ldm", "none")]
    assert float(table[1]["iou"]) == pytest.approx(np.mean(ldm), abs=1e-5)
    assert (table[2]["synthetic"], table[2]["real"]) == ("4", "2")
    stored = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert [each["set"] for each in stored] == [row["set"] for row in table]
    text = (tmp_path / "out/results.md").read_text(encoding="utf-8")
    assert text in result.output
    assert "| ldm | 51.1 | 27.4 | 21.6 | 4.9 |" in text  # the published table stands beside it
    assert "| jpeg-75 |" in text


def test_tiles_cover_images_that_hold_one_and_read_smaller_ones_whole(
    localizer: SampleLocalizer, tmp_path: Path
) -> None:
    data, rng = tmp_path / "mine", np.random.default_rng(0)
    for name, side in (("small", 200), ("large", 300)):
        region = np.zeros((side, side), bool)
        region[:80, :80] = True
        save_mask(region, data / "masks" / f"{name}.png")
        (data / "images").mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(data / "images" / f"{name}.png")
    found, read_by = {}, {}
    for protocol in ("global", "tiles"):
        result = invoke(data, localizer, tmp_path / protocol, "--protocol", protocol, "--max-tiles", "9")
        assert result.return_value == ExitCode.DONE
        rows = read(tmp_path / protocol / "scores.csv")
        read_by[protocol] = {row["path"]: (row["protocol"], row["scale"]) for row in rows}
        found[protocol] = {row["path"]: float(row["mean"]) for row in rows}
    small, large = "images/small.png", "images/large.png"
    assert read_by["global"] == {small: ("global", ""), large: ("global", "")}
    assert read_by["tiles"] == {small: ("global", ""), large: ("tiles", "1.0")}
    assert found["global"][small] == pytest.approx(found["tiles"][small], abs=1e-4)
    assert found["global"][large] != pytest.approx(found["tiles"][large], abs=1e-4)
    settings = json.loads((tmp_path / "tiles/evaluation.json").read_text(encoding="utf-8"))
    assert settings["protocol"] == "tiles, 9 tiles at most"
    table = read(tmp_path / "tiles/results.csv")
    assert {row["protocol"] for row in table} == {"global and tiles"}


def test_images_are_read_as_localize_reads_them_unless_the_published_way_is_asked_for(
    localizer: SampleLocalizer, tmp_path: Path
) -> None:
    """`auto` of both commands, on what DeCLIP reads as a whole and on what is larger."""
    data, rng = tmp_path / "mine", np.random.default_rng(0)
    (data / "images").mkdir(parents=True)
    sides = {"small": 300, "large": 520, "tile": 256}
    for name, side in sides.items():
        save_mask(np.eye(side, dtype=bool), data / "masks" / f"{name}.png")
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(data / "images" / f"{name}.png")
    assert invoke(data, localizer, tmp_path / "out").return_value == ExitCode.DONE
    rows = {Path(row["path"]).stem: row for row in read(tmp_path / "out/scores.csv")}
    settings = json.loads((tmp_path / "out/evaluation.json").read_text(encoding="utf-8"))
    assert settings["protocol"] == "auto, 120 tiles at most"
    loaded = load_localizer(str(localizer.model), encoders=[localizer.encoder])
    network = PyTorchLocalizer(loaded, "cpu")
    for name, side in sides.items():
        pixels = np.asarray(Image.open(data / "images" / f"{name}.png"))
        plan = plan_of(side, side, network.info.tile, "auto", MOST_TILES["cpu"])
        facts, _ = make_map(pixels, TileReader(network, network.batch), plan, lambda _: None)
        assert rows[name]["protocol"] == {"small": "global", "large": "tiles", "tile": "global"}[name]
        assert facts.protocol == {"small": "global", "large": "tiles", "tile": "tiles"}[name]
        assert float(rows[name]["max"]) == pytest.approx(facts.maximum, abs=1e-3)
        assert float(rows[name]["area"]) == pytest.approx(facts.area, abs=0.01)


def test_figures_beside_the_published_ones_say_which_protocol_those_are_of(
    localizer: SampleLocalizer, tmp_path: Path
) -> None:
    data, said = dolos_like(tmp_path / "celebahq", {"test": 1}, real=False), {}
    for protocol in ("global", "auto"):
        assert invoke(data, localizer, tmp_path / protocol, "--protocol", protocol).exit_code == 0
        text = (tmp_path / protocol / "results.md").read_text(encoding="utf-8")
        said[protocol] = "compare them with an evaluation with --protocol global" in text
    assert said == {"global": False, "auto": False}  # images of 240 px are read as a whole by both
    rows = [row(set="ldm", path="1", iou=20.0, protocol="tiles")]
    assert "compare them with an evaluation with --protocol global" in results_markdown(figures(rows))


def test_an_interrupted_evaluation_goes_on(
    data: Path, localizer: SampleLocalizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(data, localizer, tmp_path / "whole", "--quiet")
    measured, measure = 0, MapEvaluation._measure

    def counted(self: MapEvaluation, *arguments: Any) -> None:
        nonlocal measured
        measured += 1
        if measured == 2:
            raise KeyboardInterrupt
        self.localizers[0].batch = 2
        measure(self, *arguments)

    monkeypatch.setattr(MapEvaluation, "_measure", counted)
    result = invoke(data, localizer, tmp_path / "out")
    assert "kept in" in result.output
    before = (tmp_path / "out/scores.csv").read_bytes()
    assert before.count(b"\n") > 1
    result = invoke(data, localizer, tmp_path / "out")
    assert "from an earlier run" in result.output
    assert (tmp_path / "out/scores.csv").read_bytes().startswith(before)
    results = [(tmp_path / name / "results.csv").read_bytes() for name in ("whole", "out")]
    assert results[0] == results[1]


def test_other_settings_are_not_mixed(data: Path, localizer: SampleLocalizer, tmp_path: Path) -> None:
    invoke(data, localizer, tmp_path / "out", "--sets", "ldm")
    result = invoke(data, localizer, tmp_path / "out")
    assert isinstance(result.exception, OutputError)
    assert "holds an evaluation with other settings (images" in result.exception.message
    assert invoke(data, localizer, tmp_path / "out", "--fresh").return_value == ExitCode.DONE


def test_tables_that_somebody_edited_stay(data: Path, localizer: SampleLocalizer, tmp_path: Path) -> None:
    options = ("--sets", "ldm")
    invoke(data, localizer, tmp_path / "out", *options)
    (tmp_path / "out/results.md").write_text("mine", encoding="utf-8")
    result = invoke(data, localizer, tmp_path / "out", *options)
    assert "was changed after sidscan wrote it" in str(result.exception)
    assert (tmp_path / "out/results.md").read_text(encoding="utf-8") == "mine"
    assert invoke(data, localizer, tmp_path / "out", *options, "--overwrite").return_value == ExitCode.DONE


def test_what_can_not_be_used_stops_the_run_or_is_counted(
    data: Path, localizer: SampleLocalizer, tmp_path: Path
) -> None:
    copy = shutil.copytree(data, tmp_path / "copy")
    (copy / "fake/ldm/images/test/000-0.png").write_bytes(b"no image")
    save_mask(np.eye(60, dtype=bool), copy / "fake/ldm/masks/test/001-0.png", black_is_synthetic=True)
    result = invoke(copy, localizer, tmp_path / "out")
    assert "000-0.png can't be read" in str(result.exception)
    result = invoke(copy, localizer, tmp_path / "out", "--skip-unreadable")
    assert result.return_value == ExitCode.DONE_WITH_FAILURES
    assert "images left out because they can't be used: 2" in result.output
    errors = [row["error"] for row in read(tmp_path / "out/scores.csv") if row["set"] == "ldm"]
    assert "can't be read" in errors[0]
    assert "has another size than its image" in errors[1]


@pytest.mark.parametrize("fits", [1, 0])
def test_short_memory_costs_time_or_ends_in_words(
    data: Path, localizer: SampleLocalizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    invoke(data, localizer, tmp_path / "all")
    compute = PyTorchLocalizer._maps

    def small(self: PyTorchLocalizer, tiles: Any) -> Any:
        if len(tiles) > fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return compute(self, tiles)

    monkeypatch.setattr(PyTorchLocalizer, "_maps", small)
    result = invoke(data, localizer, tmp_path / "out")
    if fits:
        assert result.return_value == ExitCode.DONE
        assert (tmp_path / "out/results.csv").read_text() == (tmp_path / "all/results.csv").read_text()
    else:
        assert isinstance(result.exception, RuntimeUnavailable)
        assert "even a tile at a time" in result.exception.message
        assert "--max-tiles" in result.exception.remedy


def test_inverted_masks_are_refused_before_any_work(localizer: SampleLocalizer, tmp_path: Path) -> None:
    data = tmp_path / "mine"
    for number in range(3):
        save_mask(np.ones((30, 30), bool), data / "images" / f"{number}.png")
        save_mask(np.ones((30, 30), bool), data / "masks" / f"{number}.png")
    result = invoke(data, localizer, tmp_path / "out")
    assert isinstance(result.exception, UsageError)
    assert "probably read the wrong way round: white counts as synthetic" in result.exception.message
    result = invoke(data, localizer, tmp_path / "out", "--synthetic-is", "white")
    assert result.return_value == ExitCode.DONE
    assert read(tmp_path / "out/results.csv")[0]["constant_iou"] == "100.000000"


def row(**values: Any) -> MapRow:
    texts = dict.fromkeys(("set", "path", "generator", "digest", "trained_on"), "")
    given = {"label": "synthetic", "model": "m", "protocol": "global", "perturbation": "none"}
    return MapRow(**{**texts, **given, **values})


def test_figures_are_means_over_images_and_then_over_sets() -> None:
    rows = [
        row(set="a", path="1", iou=20.0, ap=0.5, f1_fixed=None, f1_best=None, region=0.1, area=0.2, mean=0.3),
        row(set="a", path="2", iou=40.0, ap=None, f1_fixed=0.4, f1_best=0.6, region=0.3, area=0.4, mean=0.1),
        row(set="b", path="3", iou=90.0, ap=1.0, f1_fixed=1.0, f1_best=1.0, region=0.5, area=0.5, mean=0.5),
        row(set="b", path="4", error="gone"),
        row(path="5", label="real", area=0.3, mean=0.2),
    ]
    a, b, mean = figures(rows)
    assert (a.iou, a.ap, a.f1_fixed, a.f1_best, a.without_f1) == (30, 0.5, 0.4, 0.6, 1)
    assert a.constant_iou == pytest.approx(20)
    assert (a.auroc_area, a.auroc_mean) == (0.5, 0.5)
    assert (b.synthetic, b.real, b.unreadable, b.auroc_area) == (1, 1, 1, 1.0)
    assert (mean.set, mean.iou, mean.synthetic, mean.real, mean.unreadable) == ("mean", 60, 3, 1, 1)
    text = results_markdown([a, b, mean])
    assert "**m: images left out because they can't be used: 1.**" in text
    assert "m: regions too small for F1, left out there: 1." in text
    assert "Published" not in text  # none of the authors' sets is there


def test_the_published_table_has_the_published_means() -> None:
    own = [PUBLISHED_IOU[name, name] for name in AUTHORS_SETS]
    others = [value for (test, train), value in PUBLISHED_IOU.items() if test != train]
    assert np.mean(own) == pytest.approx(73.85, abs=0.05)
    assert np.mean(others) == pytest.approx(34.72, abs=0.05)


def test_two_localizers_of_one_name_are_refused(
    data: Path, localizer: SampleLocalizer, tmp_path: Path
) -> None:
    """Rows go by name: the second would be shown with the figures of the first."""
    other = tmp_path / localizer.model.name
    shutil.copy(localizer.model, other)
    result = invoke(data, localizer, tmp_path / "out", "--model", str(other))
    assert f"several localizers are called {localizer.model.name}" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_data_set_without_parts_is_measured_with_a_warning(
    data: Path, localizer: SampleLocalizer, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "images").mkdir(parents=True)
    image = next((data / "fake/ldm/images/test").iterdir())
    shutil.copy(image, mine / "images")
    (mine / "masks").mkdir()
    save_mask(np.eye(240, dtype=bool), mine / "masks" / image.name, black_is_synthetic=False)
    result = invoke(mine, localizer, tmp_path / "out")
    assert "warning: the data set has no part for tests, so all of its images are measured" in result.output
