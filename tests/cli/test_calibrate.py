"""`sidscan calibrate`, and scans that use a saved calibration: exact rows, messages and exit codes."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from sample_images import folder
from tiny_networks import random_clip

from sidscan.models.checkpoints import Checkpoint
from sidscan.models.heads.linear_probe import LinearProbe
from sidscan.models.store import default_root

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")


def rows(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a CSV report by file name."""
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).name: row for row in csv.DictReader(file)}


@pytest.fixture
def reals(tmp_path: Path) -> Path:
    """Nine images in place of camera images."""
    return folder(tmp_path / "reals", count=9, side=230)


def test_a_scan_uses_the_saved_calibration(sidscan: Run, reals: Path, tmp_path: Path) -> None:
    calibrated = sidscan("calibrate", reals, *MINI, "--fpr", "0.2", "--archive", "1000", "--archive", "20000")
    assert calibrated.code == 0, calibrated.err
    assert "mini, centre crop, for a false-positive rate of at most 20 %\n" in calibrated.out
    assert "  images      9 (0 unreadable, 0 skipped, 0 duplicates left out)\n" in calibrated.out
    assert "With only 9 images the rate is known roughly" in calibrated.out
    assert "\n   1,000: about 200 (95 % interval " in calibrated.out
    assert "\n  20,000: about 4,000 (95 % interval " in calibrated.out
    assert (
        "use it: sidscan scan FOLDER --model mini --crops center --calibrated --out report.csv\n"
        in calibrated.out
    )
    assert "None of these images is synthetic" in calibrated.out
    assert "one camera or one website may be flagged far more often" in calibrated.out
    (saved,) = (default_root() / "calibrations").iterdir()
    assert f"saved: {saved}\n" in calibrated.out

    plain = sidscan("scan", reals, *MINI, "--out", tmp_path / "plain.csv")
    assert {row["p_value"] for row in rows(tmp_path / "plain.csv").values()} == {""}
    ended = sidscan("scan", reals, *MINI, "--calibrated", "--out", tmp_path / "r.csv")
    assert (plain.code, ended.code) == (0, 0)
    assert "calibration: mini, 9 images, false-positive rate 0.2\n" in ended.err
    assert (
        "mini: 1 of 9 images flagged; if all were like the calibration images, about 1.8 would be\n"
        in ended.err
    )
    report_rows = rows(tmp_path / "r.csv").values()
    assert sorted(float(row["p_value"]) for row in report_rows) == [i / 10 for i in range(2, 11)]
    assert [float(row["p_value"]) for row in report_rows if row["evidence"] != "weak"] == [0.2]
    assert len({row["calibration"] for row in report_rows}) == 1
    assert {name: row["logit"] for name, row in rows(tmp_path / "r.csv").items()} == pytest.approx(
        {name: row["logit"] for name, row in rows(tmp_path / "plain.csv").items()}
    )


def test_under_another_calibration_no_row_is_reused(sidscan: Run, reals: Path, tmp_path: Path) -> None:
    for fpr in ("0.2", "0.3"):
        assert sidscan("calibrate", reals, *MINI, "--fpr", fpr, "--out", tmp_path / f"{fpr}.json").code == 0
    scan = ("scan", reals, *MINI, "--out", tmp_path / "r.csv", "--calibration")
    sidscan(*scan, tmp_path / "0.2.json")
    first = rows(tmp_path / "r.csv")
    assert "9 results kept" in sidscan(*scan, tmp_path / "0.2.json").err
    assert "9 earlier results not used" in sidscan(*scan, tmp_path / "0.3.json").err
    second = rows(tmp_path / "r.csv")
    assert all(second[name]["threshold"] != row["threshold"] for name, row in first.items())
    assert all(second[name]["calibration"] != row["calibration"] for name, row in first.items())
    assert "9 earlier results not used" in sidscan("scan", reals, *MINI, "--out", tmp_path / "r.csv").err


def test_json_output_and_the_run_in_the_report(sidscan: Run, reals: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    (reals / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    calibrated = sidscan(
        "calibrate", reals, *MINI, "--fpr", "0.1", "--json", "--out", out, "--archive", "100"
    )
    assert calibrated.code == 3
    assert f"no score: {reals / 'broken.jpg'}: " in calibrated.err
    (facts,) = json.loads(calibrated.out)
    assert (facts["model"], facts["pictures"], facts["unreadable"], facts["few"]) == ("mini", 9, 1, True)
    assert facts["false_flags"][0]["expected"] == pytest.approx(10)
    assert facts["delivered_rate_interval"] == pytest.approx([1 - 0.975 ** (1 / 9), 1 - 0.025 ** (1 / 9)])

    changed = json.loads(out.read_text()) | {"precision": "fp16"}
    out.write_text(json.dumps(changed))
    ended = sidscan("scan", reals, *MINI, "--calibration", out, "--out", tmp_path / "r.json")
    assert "  it differs from this scan: precision fp16 then, fp32 now;" in ended.err
    report = json.loads((tmp_path / "r.json").read_text())
    noted = report["run"]["calibrations"]["mini"]
    assert (noted["pictures"], noted["target_fpr"]) == (9, 0.1)
    assert noted["differences"] == ["precision fp16 then, fp32 now"]
    assert all(0 < result["scores"][0]["p_value"] <= 1 for result in report["findings"] if result["scores"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(
            ["scan", "reals", *MINI, "--calibrated"],
            4,
            "sidscan: no calibration of mini with center crops is saved\n"
            "`sidscan calibrate FOLDER --model mini --crops center` makes one",
            id="not calibrated",
        ),
        pytest.param(
            ["scan", "reals", *MINI, "--calibration", "foreign.json"],
            4,
            "sidscan: foreign.json is not a complete sidscan calibration",
            id="foreign file",
        ),
        pytest.param(
            ["scan", "reals", *MINI, "--calibration", "none.json"],
            4,
            "sidscan: none.json can't be read: No such file or directory",
            id="no file",
        ),
        pytest.param(
            ["scan", "reals", *MINI, "--calibration", "r.json", "--out", "r.json"],
            2,
            "sidscan: r.json is both read and written",
            id="a report over the calibration",
        ),
        pytest.param(
            ["calibrate", "reals", *MINI, "--out", "foreign.json"],
            7,
            "sidscan: foreign.json is there already; it is left alone\nChoose another --out",
            id="over another file",
        ),
        pytest.param(
            ["calibrate", "reals", *MINI, "--out", "none/c.json"],
            7,
            "sidscan: the folder none does not exist\nCreate it, or choose another --out.",
            id="no folder",
        ),
        pytest.param(
            ["calibrate", "reals", *MINI],
            2,
            "sidscan: a false-positive rate of 0.05 needs at least 19 different images; there are 9\n"
            "Add camera images, or choose a higher --fpr.",
            id="too few",
        ),
        pytest.param(["calibrate", "reals", *MINI, "--fpr", "1"], 2, "Invalid value for '--fpr'", id="rate"),
        pytest.param(["calibrate", *MINI], 2, "sidscan: nothing was named", id="no input"),
        pytest.param(["calibrate", "reals", "--model", "rine-ldm"], 4, "sidscan models pull", id="no model"),
    ],
)
def test_errors_are_reported_without_a_traceback(
    sidscan: Run,
    reals: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(reals.parent)
    Path("foreign.json").write_text('{"run": {}}')
    ended = sidscan(*arguments)
    assert ended.code == code, ended.err
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert Path("foreign.json").read_text() == '{"run": {}}'


def test_crops_other_than_the_calibrated_ones_are_refused(sidscan: Run, reals: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    assert sidscan("calibrate", reals, *MINI, "--fpr", "0.1", "--out", out).code == 0
    ended = sidscan("scan", reals, "--model", "mini", "--calibration", out, "--out", tmp_path / "r.csv")
    assert ended.code == 4
    assert (
        f"sidscan: {out} was made with center crops, this scan uses ten\nScan with --crops center"
        in ended.err
    )
    assert not (tmp_path / "r.csv").exists()


@pytest.fixture
def probes(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The weights of a small CLIP, and two linear probes that state it as their encoder."""
    clip = random_clip(width=64, blocks=2, patch=56, side=224, embedding=8)
    encoder = tmp_path / "clip.safetensors"
    save_file({f"visual.{name}": tensor for name, tensor in clip.items()}, encoder)
    digest = hashlib.sha256(encoder.read_bytes()).hexdigest()
    for seed in (1, 2):
        torch.manual_seed(seed)
        probe = Checkpoint(dict(LinearProbe(8).state_dict()), "linear", encoder.name, digest, 0.4, {})
        (tmp_path / f"my {seed}.safetensors").write_bytes(probe.to_bytes())
    return encoder, tmp_path / "my 1.safetensors", tmp_path / "my 2.safetensors"


def test_a_checkpoint_is_calibrated_beside_its_file(
    sidscan: Run, reals: Path, tmp_path: Path, probes: tuple[Path, Path, Path]
) -> None:
    encoder, model, _ = probes
    options = ("--model", model, "--encoder", encoder, "--crops", "center")
    words = f"--model '{model}' --encoder {encoder} --crops center"
    missing = sidscan("scan", reals, *options, "--calibrated")
    assert missing.code == 4
    assert f"`sidscan calibrate FOLDER {words}` makes one" in missing.err
    calibrated = sidscan("calibrate", reals, *options, "--fpr", "0.1")
    assert calibrated.code == 0, calibrated.err
    assert f"saved: {model}.center.calibration.json\n" in calibrated.out
    assert f"use it: sidscan scan FOLDER {words} --calibrated --out report.csv\n" in calibrated.out
    assert sidscan("scan", reals, *options, "--calibrated", "--out", tmp_path / "r.csv").code == 0
    assert min(float(row["p_value"]) for row in rows(tmp_path / "r.csv").values()) == 0.2


def test_several_models_are_calibrated_in_one_pass(
    sidscan: Run, reals: Path, tmp_path: Path, probes: tuple[Path, Path, Path]
) -> None:
    encoder, first, second = probes
    options = ("--model", first, "--model", second, "--encoder", encoder, "--crops", "center")
    refused = sidscan("calibrate", reals, *options, "--fpr", "0.1", "--out", tmp_path / "c.json")
    assert refused.code == 2
    assert "sidscan: --out names one file, but 2 models are calibrated\n" in refused.err
    calibrated = sidscan("calibrate", reals, *options, "--fpr", "0.1", "--json")
    assert [facts["model"] for facts in json.loads(calibrated.out)] == [first.name, second.name]
    saved = Path(f"{first}.center.calibration.json")
    ended = sidscan("scan", reals, *options, "--calibration", saved, "--out", tmp_path / "r.csv")
    assert ended.code == 0
    for row in rows(tmp_path / "r.csv").values():
        assert (row["p_value"] != "", row[f"{second.name}.p_value"]) == (True, ""), "one file, one model"
        assert row[f"{second.name}.threshold"] == "0.4"


def test_help_exits_with_0(sidscan: Run) -> None:
    ended = sidscan("calibrate", "--help")
    assert ended.code == 0
    assert "sidscan calibrate ./camera-images --model mini" in ended.out


def test_an_interrupted_calibration_says_what_is_kept(
    sidscan: Run, reals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    command = ("calibrate", reals, *MINI, "--fpr", "0.2")
    journal = tmp_path / "run.journal"
    with monkeypatch.context() as patched:
        patched.setattr("sidscan.cli.console.consume", interrupted)
        lost, kept = sidscan(*command), sidscan(*command, "--journal", journal)
    assert lost.code == kept.code == 130
    assert (
        "interrupted after 0 of 9 inputs; no result was kept, since no --journal FILE was given" in lost.err
    )
    assert f"interrupted after 0 of 9 inputs; results are kept in {journal}" in kept.err
    assert sidscan(*command, "--journal", journal).code == 0
    assert "results kept from an earlier run" not in sidscan(*command, "--journal", journal, "--fresh").err
