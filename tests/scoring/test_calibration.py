"""Conformal thresholds and p-values: the guarantee by simulation, ties, and inconsistent files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sample_calibrations import MODEL, calibration

from sidscan.config import ScanConfig
from sidscan.errors import CalibrationError, OutputError, UsageError
from sidscan.models.detector_info import DetectorInfo
from sidscan.records import CropSet, DecodedImage, ImageInfo, Item
from sidscan.runtimes import RuntimeInfo
from sidscan.scoring import calibration as subject
from sidscan.scoring.calibration import Calibration, min_images, threshold_rank
from sidscan.scoring.evidence import sigmoid
from sidscan.scoring.scorer import score

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


def shifted(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Exchangeable but not independent: all values of a draw share a shift."""
    return rng.normal(size=count) + rng.normal(scale=3)


@pytest.mark.parametrize(
    ("draw", "exact"),
    [
        pytest.param(lambda rng, count: rng.normal(size=count), True, id="independent"),
        pytest.param(shifted, True, id="exchangeable only"),
        pytest.param(lambda rng, count: rng.poisson(3, count), False, id="ties everywhere"),
        pytest.param(
            lambda rng, count: np.minimum(rng.normal(size=count), 1.0), False, id="a plateau on top"
        ),
    ],
)
@pytest.mark.parametrize(("num_images", "fpr"), [(19, 0.05), (50, 0.1), (133, 0.03)])
def test_the_mean_false_positive_rate_is_at_most_the_target(
    draw: Draw, exact: bool, num_images: int, fpr: float
) -> None:
    rng = np.random.default_rng(7)
    trials, flags = 8000, 0
    for _ in range(trials):
        *known, new = draw(rng, num_images + 1).tolist()
        flags += new >= calibration(known, fpr).threshold_logit
    rate = threshold_rank(fpr, num_images) / (num_images + 1)
    error = 3 * (rate * (1 - rate) / trials) ** 0.5
    assert rate <= fpr
    assert flags / trials <= rate + error
    if exact:
        assert flags / trials >= rate - error, "no stricter than needed without ties"


def test_p_values_of_camera_images_are_uniform_on_their_steps() -> None:
    rng = np.random.default_rng(3)
    trials, num_images = 20_000, 9
    draws = rng.normal(size=(trials, num_images + 1)).tolist()
    p = np.array([calibration(known, 0.5).p_value(new) for *known, new in draws])
    steps, counts = np.unique(np.round(p * (num_images + 1)), return_counts=True)
    assert steps.tolist() == list(range(1, num_images + 2))
    assert np.abs(counts / trials - 0.1).max() < 4 * (0.1 * 0.9 / trials) ** 0.5


@pytest.mark.parametrize(
    ("logits", "fpr", "threshold_above", "reach"),
    [
        pytest.param(range(19), 0.05, 18, 0, id="fewest images: above all of them"),
        pytest.param(range(39), 0.05, 37, 1, id="the second highest of 39"),
        pytest.param(range(38), 0.05, 37, 0, id="one image fewer, one flag fewer"),
        pytest.param([0, 1, 2, 3, 5, 5, 5, 5, 5], 0.2, 5, 0, id="ties at the threshold flag none of them"),
        pytest.param([0, 1, 2, 3, 4, 4, 4, 5, 6], 0.4, 4, 2, id="ties reach below"),
        pytest.param(range(-99, 0), 0.07, -7, 6, id="7 % of 100 is 7, not 7.000000000000001"),
        pytest.param(range(-99, 0), 0.29, -29, 28, id="29 % of 100 is 29, not 28.999999999999996"),
    ],
)
def test_the_threshold_is_just_above_the_kth_highest(
    logits: list[int], fpr: float, threshold_above: float, reach: int
) -> None:
    fitted = calibration(logits, fpr)
    assert fitted.threshold_logit == np.nextafter(float(threshold_above), np.inf)
    assert sum(logit >= fitted.threshold_logit for logit in fitted.logits) == reach


@pytest.mark.parametrize("fpr", [0.05, 0.2, 0.37])
def test_reaching_the_threshold_equals_a_p_value_of_at_most_the_target(fpr: float) -> None:
    rng = np.random.default_rng(5)
    fitted = calibration(rng.integers(0, 40, 57), fpr)
    k = fitted.rank
    for logit in (*fitted.logits, *rng.uniform(-1, 41, 200), fitted.threshold_logit):
        assert (logit >= fitted.threshold_logit) == (round(fitted.p_value(logit) * 58) <= k)


def test_p_values_count_the_image_itself_and_ties_against_it() -> None:
    fitted = calibration([0, 1, 1, 2], 0.2)
    assert [fitted.p_value(x) for x in (-1, 0, 0.5, 1, 2, 3)] == [1, 1, 0.8, 0.8, 0.4, 0.2]


@pytest.mark.parametrize(("fpr", "count"), [(0.05, 19), (0.1, 9), (0.5, 1), (0.03, 33), (1e-6, 999_999)])
def test_how_many_images_a_rate_needs(fpr: float, count: int) -> None:
    assert min_images(fpr) == count
    assert (threshold_rank(fpr, count), threshold_rank(fpr, count - 1)) == (1, 0)


class Fixed:
    """A runtime that gives each crop the red of its first pixel, minus 100, as the logit."""

    info = RuntimeInfo("test", "cpu", "fp32")
    detectors: tuple[DetectorInfo, ...] = (MODEL,)
    batch, at_once, devices = 40, 2, 1

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        return crops.pixels()[:, 0, 0, :1].astype(np.float32) - 100

    def abandon(self) -> None:
        pass


def test_scores_are_measured_against_the_calibration() -> None:
    fitted = calibration(range(-19, 0), 0.1)  # threshold just above -2
    crops = np.random.default_rng(0).integers(
        0, 256, (4, 224, 224, 3), dtype=np.uint8
    )  # noise, as a flat image would be inconclusive
    crops[:, 0, 0, 0] = [60, 98, 99, 150]
    images = [DecodedImage(Item(str(i)), ImageInfo(), CropSet.plain(crops[i : i + 1])) for i in range(4)]
    plain = [result.scores[0] for result in score(images, Fixed(), "now")]
    scores = [result.scores[0] for result in score(images, Fixed(), "now", {"mini": fitted})]
    assert [entry.evidence for entry in scores] == ["weak", "weak", "strong", "very strong"], (
        "-2 ties: not reached"
    )
    assert [entry.p_value for entry in scores] == [1, 0.15, 0.1, 0.05]
    assert {entry.threshold for entry in scores} == {sigmoid(fitted.threshold_logit)}
    assert [replace(entry, p_value=None, threshold=0.5, evidence="") for entry in scores] == [
        replace(entry, evidence="") for entry in plain
    ]


def test_a_tie_with_the_threshold_is_weak_at_any_step_size() -> None:
    fitted = calibration([1e-12 * step for step in range(19)], 0.1)
    crops = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    crops[:, 0, 0, 0] = 100
    tied = replace(fitted, logits=tuple(sorted((*fitted.logits[:-2], 0.0, 0.0))))
    (result,) = score(
        [DecodedImage(Item("a"), ImageInfo(), CropSet.plain(crops))], Fixed(), "now", {"mini": tied}
    )
    assert result.scores[0].logit == 0.0
    assert result.scores[0].p_value is not None
    assert (result.scores[0].evidence == "weak") == (result.scores[0].p_value > 0.1)


def test_a_saved_calibration_is_the_same_when_loaded(tmp_path: Path) -> None:
    fitted = calibration(np.random.default_rng(1).normal(size=50), 0.07)
    subject.check_calibration_path(tmp_path / "c.json")
    subject.save_calibration(fitted, tmp_path / "c.json")
    assert subject.load_calibration(tmp_path / "c.json") == fitted
    assert fitted.digest == hashlib.sha256((tmp_path / "c.json").read_bytes()).hexdigest()
    subject.check_calibration_path(tmp_path / "c.json")
    assert list(tmp_path.iterdir()) == [tmp_path / "c.json"]


def test_the_keys_of_calibration_files_stay() -> None:
    assert list(json.loads(calibration(range(40)).to_json())) == [
        *("format", "model", "weights", "crops", "runtime", "device", "precision", "decoder"),
        *("sidscan_version", "created", "unreadable", "skipped", "duplicates", "target_fpr"),
        *("pictures", "threshold_logit", "logits"),
    ]


def test_a_file_of_version_0_1_0_is_read(tmp_path: Path) -> None:
    values = {
        "format": "sidscan calibration 1",
        "model": "mini",
        "weights": {"mini": "a" * 64},
        "crops": "ten",
        "runtime": "pytorch 2.6.0",
        "device": "cpu",
        "precision": "fp32",
        "decoder": "Pillow 12.0.0",
        "sidscan_version": "0.1.0",
        "created": "2026-01-01T00:00:00+00:00",
        "unreadable": 1,
        "skipped": 2,
        "duplicates": 3,
        "target_fpr": 0.5,
        "pictures": 3,
        "threshold_logit": 0.5000000000000001,
        "logits": [-1.5, 0.5, 2.0],
    }
    (tmp_path / "c.json").write_text(json.dumps(values))
    loaded = subject.load_calibration(tmp_path / "c.json")
    assert (loaded.num_images, loaded.rank, loaded.unreadable, loaded.duplicates) == (3, 2, 1, 3)
    assert loaded.metadata() == {name: value for name, value in values.items() if name != "logits"}


def _edit(**changes: object) -> str:
    return json.dumps(json.loads(calibration(range(40)).to_json()) | changes)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param('{"run": {}}', id="another JSON file"),
        pytest.param("[" * 100_000, id="deeply nested"),
        pytest.param(calibration(range(40)).to_json()[:-20], id="cut off"),
        pytest.param(_edit(format="sidscan calibration 2"), id="another format"),
        pytest.param(_edit(logits=[*range(39), 1e6]), id="integers as logits"),
        pytest.param(_edit(logits=[float(i) for i in range(41)]), id="one logit too many"),
        pytest.param(_edit(logits=[]), id="no logits"),
        pytest.param(_edit(logits="abc"), id="logits as text"),
        pytest.param(_edit(threshold_logit=None), id="no threshold"),
        pytest.param(_edit(target_fpr=float("nan")), id="a rate that is not a number"),
        pytest.param(_edit(target_fpr=1e-9), id="a rate that needs more images"),
        pytest.param(_edit(weights=["a"]), id="weights as a list"),
        pytest.param(_edit(unreadable=True), id="a boolean as a count"),
        pytest.param(_edit(logits=[float("inf")] * 40), id="infinite logits"),
        pytest.param(_edit(effort="most"), id="unknown effort"),
        pytest.param(_edit(effort=None), id="no word as the effort"),
    ],
)
def test_files_that_are_not_calibrations_are_refused_and_never_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=r"c\.json is not a complete sidscan calibration"):
        subject.load_calibration(path)
    with pytest.raises(OutputError, match="exists and is not a calibration; sidscan does not replace it"):
        subject.check_calibration_path(path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(_edit(threshold_logit=5.0), id="another threshold"),
        pytest.param(_edit(target_fpr=0.5), id="another rate"),
        pytest.param(_edit(logits=[float(i) for i in range(1, 41)]), id="other scores"),
    ],
)
def test_a_threshold_that_does_not_follow_from_the_scores_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    message = r"c\.json was altered: its threshold does not follow from its own scores"
    with pytest.raises(CalibrationError, match=message):
        subject.load_calibration(path)
    with pytest.raises(OutputError, match="exists and is not a calibration; sidscan does not replace it"):
        subject.check_calibration_path(path)
    assert path.read_text() == text


@pytest.mark.parametrize(("content", "reason"), [(b"\xff\xfe", "it is not text"), (None, "No such file")])
def test_files_that_cannot_be_read_are_errors(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(CalibrationError, match=rf"c\.json can't be read: {reason}"):
        subject.load_calibration(tmp_path / "c.json")


def test_paths_that_cannot_be_written_are_errors(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the folder .*none does not exist"):
        subject.check_calibration_path(tmp_path / "none" / "c.json")
    with pytest.raises(OutputError, match=r"can't write .*c\.json: No such file or directory"):
        subject.save_calibration(calibration(range(40)), tmp_path / "none" / "c.json")


def test_where_calibrations_are_stored(tmp_path: Path) -> None:
    assert (
        subject.default_calibration_path(MODEL, "ten", tmp_path)
        == tmp_path / "calibrations" / f"mini-{'a' * 16}-ten.json"
    )
    beside = subject.default_calibration_path(MODEL, "center", tmp_path, tmp_path / "my.safetensors")
    assert beside == tmp_path / "my.safetensors.center.calibration.json"


def _choose(path: Path, calibrated: bool = False) -> dict[str, Calibration]:
    config = ScanConfig(inputs=("a",), calibrations=(path,), calibrated=calibrated)
    return subject.choose_calibrations(config, [MODEL])


@pytest.mark.parametrize(
    ("fitted", "message"),
    [
        pytest.param(
            replace(calibration(range(40)), weights={"mini": "b" * 64}),
            "was made with other weights of mini than the installed ones",
            id="weights",
        ),
        pytest.param(
            calibration(range(40), crops="center"),
            "was made with center crops, this scan uses ten",
            id="crops",
        ),
        pytest.param(
            replace(calibration(range(40)), model="rine-ldm", weights={"rine-ldm": "b" * 64}),
            "is a calibration of rine-ldm; this scan uses mini",
            id="model",
        ),
    ],
)
def test_a_calibration_of_something_else_is_refused(
    tmp_path: Path, fitted: Calibration, message: str
) -> None:
    subject.save_calibration(fitted, tmp_path / "c.json")
    with pytest.raises(CalibrationError, match=message):
        _choose(tmp_path / "c.json")


def test_a_given_calibration_beats_the_saved_one_and_is_matched_by_weights(tmp_path: Path) -> None:
    renamed = replace(calibration(range(40)), model="my model", weights={"my.safetensors": "a" * 64})
    subject.save_calibration(renamed, tmp_path / "c.json")
    assert _choose(tmp_path / "c.json", calibrated=True) == {"mini": renamed}
    with pytest.raises(CalibrationError, match="two calibrations of mini were given"):
        subject.choose_calibrations(
            ScanConfig(inputs=("a",), calibrations=(tmp_path / "c.json",) * 2), [MODEL]
        )


def test_differences_in_computation_are_named() -> None:
    now = {
        "runtime": "pytorch 2",
        "device": "cuda",
        "precision": "fp16",
        "decoder": "Pillow 13",
        "sidscan_version": "0.1.0",
        "effort": "normal",
    }
    assert calibration(range(40)).differences(now) == [
        "effort full then, normal now",
        "device cpu then, cuda now",
        "precision fp32 then, fp16 now",
    ]


def test_a_string_is_not_a_tuple_of_files() -> None:
    with pytest.raises(UsageError, match="calibrations are tuples"):
        ScanConfig(inputs=("a",), calibrations="c.json")  # type: ignore[arg-type]
