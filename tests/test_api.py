"""The Python API: load and score one image; scan many; write reports."""

from __future__ import annotations

import csv
import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sample_images import encoded, folder, photo

import sidscan
from sidscan import ImageError, OutputError, ScanConfig, SidscanError, Status, UnknownModel, UsageError
from sidscan.pipeline import open_scan
from sidscan.records import Item
from sidscan.scoring.model import ImageInput, Model


@pytest.fixture(scope="module")
def model() -> Model:
    return sidscan.load("mini", device="cpu")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "photo.png"
    path.write_bytes(encoded(photo(300, 260), "PNG"))
    return path


def test_a_single_image_scores_as_in_a_scan(model: Model, path: Path) -> None:
    (scanned,) = sidscan.scan(path, models=["mini"])
    result = model.score(path)
    assert result.scores == scanned.scores
    assert (result.name, result.facts, result.views) == (scanned.name, scanned.facts, scanned.views)
    assert model.names == ("mini",)


@pytest.mark.parametrize("kind", ["str", "bytes", "pillow", "array"])
def test_every_kind_of_input_has_the_same_score(model: Model, path: Path, kind: str) -> None:
    opened = Image.open(path)
    inputs: dict[str, ImageInput] = {
        "str": str(path),
        "bytes": path.read_bytes(),
        "pillow": opened,
        "array": np.asarray(opened),
    }
    result = model.score(inputs[kind], name="mine")
    assert result.name == "mine"
    assert result.scores == model.score(path).scores


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        pytest.param(b"text", ImageError, "not an image of a supported format", id="bytes"),
        pytest.param("nowhere.jpg", ImageError, "No such file or directory", id="missing"),
        pytest.param("https://example.org/a.jpg", UsageError, "one image is never fetched", id="url"),
        pytest.param(np.zeros((4, 4), np.uint8), UsageError, "pixels of shape (4, 4)", id="grey array"),
        pytest.param(np.zeros((4, 4, 3)), UsageError, "type float64", id="float array"),
        pytest.param(Image.new("I;16", (9, 9)), UsageError, "mode I;16", id="16 bit"),
    ],
)
def test_inputs_that_cannot_be_scored_are_errors(
    model: Model, image: ImageInput, error: type[SidscanError], message: str
) -> None:
    with pytest.raises(error) as raised:
        model.score(image)
    assert message in raised.value.message
    assert isinstance(raised.value, SidscanError)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(None, id="none"),
        pytest.param(io.BytesIO(b"x"), id="stream"),
        pytest.param(np.zeros((0, 0, 3), np.uint8), id="empty"),
        pytest.param(7, id="number"),
    ],
)
def test_what_is_not_an_image_is_a_usage_error(model: Model, image: Any) -> None:
    with pytest.raises(UsageError):
        model.score(image)


def test_a_truncated_image_opened_by_pillow_is_an_error_of_ours(model: Model) -> None:
    data = encoded(photo(300, 260), "JPEG")
    with pytest.raises(ImageError):
        model.score(Image.open(io.BytesIO(data[: len(data) // 2])))


def test_limits_and_flags_hold_for_pillow_images_too(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ImageError) as raised:
        model.score(Image.new("L", (30, 70_000)))
    assert raised.value.status == "too_long"
    small = Image.new("RGBA", (40, 40), (200, 10, 10, 90))
    small.save(tmp_path / "small.png")
    by_path, opened = model.score(tmp_path / "small.png"), model.score(Image.open(tmp_path / "small.png"))
    assert opened.facts.flags == by_path.facts.flags == ("alpha_dropped", "padded")


def test_the_error_of_an_image_has_the_message_of_its_row(model: Model) -> None:
    with pytest.raises(ImageError) as raised:
        model.score(b"")
    assert (raised.value.error_class, raised.value.status) == ("UnsupportedImage", "failed")


def test_an_unknown_model_is_an_error() -> None:
    with pytest.raises(UnknownModel):
        sidscan.load("nope")


def test_progress_counts_every_input(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    run = sidscan.scan(
        [folder(tmp_path / "images", count=3)],
        models=["mini"],
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == []
    assert len(run) == len(list(run)) == 3
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_run_can_be_read_again(tmp_path: Path) -> None:
    run = sidscan.scan(folder(tmp_path / "images", count=2), models=["mini"])
    assert list(run) == list(run)
    assert (run.counts().scored, run.counts().pending) == (2, 0)
    assert str(run.choice) == "asked for"


def test_writing_a_report_runs_the_scan(tmp_path: Path) -> None:
    run = sidscan.scan(folder(tmp_path / "images", count=2), models=["mini"])
    for name in ("r.csv", "r.json", "r.jsonl"):
        sidscan.write_report(run, tmp_path / name)
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    results = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["findings"]
    lines = (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    assert [row["path"] for row in rows] == [result["path"] for result in results]
    assert len(lines) == 2
    assert {row["status"] for row in rows} == {Status.SCORED.value}


def test_a_report_does_not_replace_a_foreign_file(tmp_path: Path) -> None:
    run = sidscan.scan(folder(tmp_path / "images", count=1), models=["mini"])
    (tmp_path / "r.csv").write_text("my notes\n", encoding="utf-8")
    with pytest.raises(OutputError):
        sidscan.write_report(run, tmp_path / "r.csv")
    with pytest.raises(UsageError, match="unknown kind of report"):
        sidscan.write_report(run, tmp_path / "r.txt")
    assert run.counts().pending == 1, "refused before anything is scored"
    sidscan.write_report(run, tmp_path / "r.csv", overwrite=True)
    assert (tmp_path / "r.csv").read_text(encoding="utf-8").startswith("path,")


def test_models_given_twice_are_refused(tmp_path: Path) -> None:
    config = ScanConfig(inputs=(str(folder(tmp_path, count=1)),), models=("mini",))
    with pytest.raises(UsageError, match="models were named twice"):
        sidscan.scan(config, models=["mini"])


def test_a_run_that_is_iterated_over_is_not_iterated_over_twice(tmp_path: Path) -> None:
    run = sidscan.scan(folder(tmp_path / "images", count=3), models=["mini"])
    results = iter(run)
    first = next(results)
    for again in (lambda: iter(run), lambda: sidscan.write_report(run, tmp_path / "r.csv")):
        with pytest.raises(UsageError, match="iterated over already"):
            again()
    assert [first, *results] == list(run)
    assert run.record.header().sessions[-1].findings == 3


def test_a_run_whose_results_are_all_kept_ends_as_finished(tmp_path: Path) -> None:
    images, journal = folder(tmp_path / "images", count=2), tmp_path / "run.journal"
    config = ScanConfig(inputs=(str(images),), models=("mini",), journal=journal)
    sidscan.scan(config).finish()
    run = sidscan.scan(config)
    sidscan.write_report(run, tmp_path / "r.json")
    header = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["run"]
    assert header["finished"]
    endings = [(session["ending"], session["findings"]) for session in header["sessions"]]
    assert endings == [("finished", 2), ("finished", 0)]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"workers": "2"}, id="text"),
        pytest.param({"batch": 1.5}, id="fraction"),
        pytest.param({"workers": True}, id="truth"),
        pytest.param({"timeout": "30"}, id="text of seconds"),
        pytest.param({"rate": float("inf")}, id="infinite"),
        pytest.param({"models": (5,)}, id="model"),
        pytest.param({"inputs": (b"x",)}, id="bytes"),
    ],
)
def test_options_of_a_wrong_type_are_usage_errors(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ScanConfig(**{"inputs": ("a",), **options})


def test_one_model_may_be_named_by_a_text(tmp_path: Path) -> None:
    run = sidscan.scan(folder(tmp_path, count=1), models="mini")
    assert run.choice.names == ("mini",)
    with pytest.raises(UsageError, match="can't scan 5"):
        sidscan.scan(5)  # type: ignore[arg-type]


def test_closing_a_run_closes_its_journal(tmp_path: Path) -> None:
    images, journal = folder(tmp_path / "images", count=2), tmp_path / "run.journal"
    config = ScanConfig(inputs=(str(images),), models=("mini",), journal=journal)
    run = sidscan.scan(config)
    next(iter(run))
    with pytest.raises(OutputError, match="in use by another scan"):
        sidscan.scan(config)
    run.close()
    assert len(list(sidscan.scan(config))) == 2


def test_a_run_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="sidscan"):
        list(sidscan.scan(folder(tmp_path / "images", count=1), models=["mini"]))
    assert any(record.getMessage().startswith("model: mini (asked for)") for record in caplog.records)
    assert all(record.name.startswith("sidscan.") for record in caplog.records)


def test_a_scan_of_items_that_were_listed_before_lists_nothing(tmp_path: Path) -> None:
    folder(tmp_path)
    items = [Item(str(tmp_path / "photo-1.jpg")), Item("gone.png", skip="left out")]
    opened = open_scan(ScanConfig(inputs=("elsewhere",), models=("mini",)), items=items)
    assert [(result.name, result.status) for result in opened] == [
        (items[0].name, Status.SCORED),
        ("gone.png", Status.SKIPPED),
    ]
    again = open_scan(
        ScanConfig(inputs=("elsewhere",), models=("mini",)), items=items[:1], runtime=opened.runtime
    )
    assert again.runtime is opened.runtime
    assert [result.status for result in again] == [Status.SCORED]
