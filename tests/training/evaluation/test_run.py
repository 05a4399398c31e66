"""`sidscan evaluate run` and `report`: invented scores reproduce the paper's table, images give scores."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from sample_images import encoded, photo
from sklearn.metrics import average_precision_score
from tiny_networks import random_clip, random_head
from torch import Tensor

from sidscan import ScanConfig, scan
from sidscan.cli.evaluate import run_command
from sidscan.errors import OutputError
from sidscan.libraries import distribution, install_command
from sidscan.models.backbones import Feature
from sidscan.models.checkpoints import Checkpoint
from sidscan.models.detectors import Detector
from sidscan.models.heads.linear_probe import LinearProbe
from sidscan.runtimes import pytorch
from sidscan.training.common.durable_file import escape_line_breaks
from sidscan.training.evaluation import (
    embeddings,
    perturbations,
    plots,
    published,
    report,
    run,
    scores,
    testsets,
)
from sidscan.training.evaluation.config import EvaluationConfig
from sidscan.training.evaluation.scores import ScoreFile, ScoreRow

Run = Callable[..., Any]
FAST = ("--no-plots", "--bootstrap", "0")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_image(folder: Path, name: str, seed: int, synthetic: bool) -> None:
    """Write a photo-like image, or one with the traces of fourfold upsampling."""
    image = photo(240, 230, seed)
    if synthetic:
        image = image.resize((60, 58)).resize(image.size, Image.Resampling.NEAREST)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(encoded(image, "PNG"))


@pytest.fixture(scope="module")
def tests20(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of the 20 test sets; two of them share their real images."""
    root = tmp_path_factory.mktemp("test")
    diffusion = root / "diffusion_datasets"
    for index in range(3):
        write_image(root / "biggan/0_real", f"{index}.png", index, synthetic=False)
        write_image(root / "biggan/1_fake", f"{index}.png", index + 10, synthetic=True)
    for index in range(2):
        write_image(diffusion / "laion/0_real", f"{index}.png", index + 20, synthetic=False)
        write_image(diffusion / "ldm_200/1_fake", f"{index}.png", index + 30, synthetic=True)
        write_image(diffusion / "dalle/1_fake", f"{index}.png", index + 40, synthetic=True)
    return root


def write_invented_scores(path: Path, run: str, images: int = 2000) -> None:
    """Write scores with the accuracies of a published run, to half a thousandth, and perfect ranking."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "label", "score"])
        for key, (accuracy, _) in published.find_run(run).figures.items():
            wrong = round((1 - accuracy) * 2 * images)  # real images that score too high
            writer.writerows([key, "real", 0.6 if index < wrong else 0.1] for index in range(images))
            writer.writerows([key, "synthetic", 0.9] for _ in range(images))


HEADER = (
    "| method | # classes | ProGAN | StyleGAN | StyleGAN2 | BigGAN | CycleGAN | StarGAN | GauGAN "
    "| Deepfake | SITD | SAN | CRN | IMLE | Guided | LDM 200 steps | LDM 200 w/ CFG | LDM 100 steps "
    "| Glide 100-27 | Glide 50-27 | Glide 100-10 | DALL-E | AVG |"
)
# Copied from the authors' result files, to one decimal: run; accuracy; AP: 12 sets, 8 of diffusion, AVG.
PUBLISHED: dict[str, tuple[str, tuple[str, str, str], tuple[str, str, str]]] = {
    "1": (
        "grid:ViT-L/14:1:0.1:4:1024",
        (
            "99.8 88.7 86.9 99.1 99.4 98.8 99.7 82.7 84.7 72.4 93.4 96.9",
            "77.9 96.9 83.5 97.0 83.8 87.4 85.4 91.9",
            "90.3",
        ),
        (
            "100.0 99.1 99.7 99.9 100.0 100.0 100.0 97.4 95.8 91.9 98.5 99.9",
            "95.7 99.8 98.0 99.9 98.9 99.3 99.1 99.3",
            "98.6",
        ),
    ),
    "2": (
        "grid:ViT-L/14:2:0.2:4:128",
        (
            "99.8 84.9 76.7 98.3 99.4 99.6 99.9 66.7 91.9 67.8 83.5 96.8",
            "69.6 96.8 80.0 97.3 83.6 86.0 84.1 92.3",
            "87.7",
        ),
        (
            "100.0 99.5 99.6 99.9 100.0 100.0 100.0 96.4 97.5 93.1 98.2 99.8",
            "95.7 99.9 98.0 99.9 98.9 99.0 98.8 99.6",
            "98.7",
        ),
    ),
    "4": (
        "grid:ViT-L/14:4:0.2:2:1024",
        (
            "100.0 88.9 94.5 99.6 99.3 99.5 99.8 80.6 90.6 68.3 89.2 90.6",
            "76.1 98.3 88.2 98.6 88.9 92.6 90.7 95.0",
            "91.5",
        ),
        (
            "100.0 99.4 100.0 99.9 100.0 100.0 100.0 97.9 97.2 94.9 97.3 99.7",
            "96.4 99.8 98.3 99.9 98.8 99.2 98.9 99.3",
            "98.8",
        ),
    ),
}


def table(text: str, heading: str) -> list[list[str]]:
    """Cells of the rows under a heading of results.md, without the header and the ruler."""
    lines = iter(text.split(f"\n## {heading}\n\n")[1].splitlines())
    table_lines = itertools.takewhile(lambda line: line[:1] == "|", lines)
    return [line[2:-2].split(" | ") for line in table_lines][2:]


@pytest.mark.parametrize("classes", PUBLISHED)
def test_invented_scores_give_the_papers_two_tables(sidscan: Run, tmp_path: Path, classes: str) -> None:
    run, *figures = PUBLISHED[classes]
    expected = [" ".join(parts).split() for parts in figures]
    write_invented_scores(tmp_path / "scores.csv", run)
    out = tmp_path / "out"
    asked = f"progan-{classes}class"
    ended = sidscan("evaluate", "report", tmp_path / "scores.csv", "--out", out, "--compare", asked, *FAST)
    assert ended.code == 0, ended.err
    assert (out / "results.md").read_text() == ended.out
    lines = ended.out.splitlines()
    assert lines[2] == "## Accuracy"
    assert lines[10] == "## Average precision"
    assert lines[4] == lines[12] == HEADER
    for heading, printed in zip(("Accuracy", "Average precision"), expected, strict=True):
        ours, theirs, gaps = table(ended.out, heading)
        assert theirs == [f"published, {run}", classes, *printed]
        assert ours[:2] == ["model", "-"]
        assert gaps[:2] == ["difference", ""]
        for mine, printed_figure, gap in zip(ours[2:], printed, gaps[2:], strict=True):
            assert gap[0] in "+-"
            assert float(mine) - float(printed_figure) == pytest.approx(float(gap), abs=0.101)
    gaps = table(ended.out, "Accuracy")[2]
    assert max(abs(float(gap)) for gap in gaps[2:]) <= 0.1  # the scores were chosen for this
    assert (
        f"accuracy {expected[0][-1]}, average precision {expected[1][-1]} over its own 20 sets" in ended.out
    )
    assert "UFD 80.9 and 94.3" in ended.out


def test_the_table_of_numbers_has_sets_mean_and_published(sidscan: Run, tmp_path: Path) -> None:
    write_invented_scores(tmp_path / "scores.csv", "progan-1class", images=100)
    sidscan("evaluate", "report", tmp_path / "scores.csv", "--out", tmp_path, "--compare", "progan-1class",
            "--no-plots", "--bootstrap", "50")  # fmt: skip
    results = rows(tmp_path / "results.csv")
    assert len(results) == 21
    mean = results[-1]
    assert (mean["set"], mean["n_real"], mean["unreadable"]) == ("mean", "2000", "0")
    assert float(mean["published_acc"]) == pytest.approx(0.9031, abs=1e-4)
    for row in results:
        assert float(row["acc_low"]) <= float(row["acc"]) <= float(row["acc_high"])
    assert float(mean["acc"]) == pytest.approx(np.mean([float(row["acc"]) for row in results[:-1]]), abs=1e-6)


def test_scores_are_those_of_a_scan(sidscan: Run, tests20: Path, tmp_path: Path) -> None:
    ended = sidscan("evaluate", "run", tests20, "--model", "mini", "--out", tmp_path, "--bootstrap", "20")
    assert ended.code == 0, ended.err
    assert "not there: progan, stylegan" in ended.err
    assert "AVG over 3 of 20 sets, without ProGAN, StyleGAN" in ended.out
    score_rows = rows(tmp_path / "scores.csv")
    assert len(score_rows) == 6 + 4 + 4
    config = ScanConfig(inputs=(str(tests20),), models=("mini",), crops="center", runtime="pytorch")
    expected = {
        Path(result.name).relative_to(tests20).as_posix(): result.scores[0] for result in scan(config)
    }
    for row in score_rows:
        assert float(row["score"]) == pytest.approx(expected[row["path"]].score, abs=1e-6)
        assert row["label"] == ("real" if "0_real" in row["path"] else "synthetic")
        assert (row["digest"], row["crops"]) == (expected[row["path"]].digest, "center")
    biggan = [row for row in score_rows if row["set"] == "biggan"]
    ap = average_precision_score(
        [row["label"] == "synthetic" for row in biggan], [float(row["score"]) for row in biggan]
    )
    assert float(rows(tmp_path / "results.csv")[0]["ap"]) == pytest.approx(ap, abs=1e-6)
    for name in ("roc", "sets", "importance", "features-mini"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "</svg>" in (tmp_path / f"{name}.svg").read_text()
    assert "<!-- ACC and AP in percent -->" in (tmp_path / "sets.svg").read_text()


def test_scores_equal_those_of_a_scan_of_the_same_folders_to_the_bit(sidscan: Run, tmp_path: Path) -> None:
    real, synthetic = tmp_path / "photos", tmp_path / "generated"
    for index in range(5):
        write_image(real, f"{index}.png", index, synthetic=False)
        write_image(synthetic, f"{index}.png", index, synthetic=True)
    sidscan("evaluate", "run", "--real", real, "--synthetic", synthetic, "--model", "mini",
            "--out", tmp_path / "o", *FAST)  # fmt: skip
    config = ScanConfig(
        inputs=(str(real), str(synthetic)), models=("mini",), crops="center", runtime="pytorch"
    )
    logits = [float(row["logit"]) for row in rows(tmp_path / "o/scores.csv")]
    assert logits == [result.scores[0].logit for result in scan(config)]


def test_images_with_equal_bytes_are_perturbed_independently(sidscan: Run, tmp_path: Path) -> None:
    for index in range(8):
        write_image(tmp_path / "photos", f"{index}.png", 0, synthetic=False)
    write_image(tmp_path / "generated", "0.png", 1, synthetic=True)
    sidscan("evaluate", "run", "--real", tmp_path / "photos", "--synthetic", tmp_path / "generated",
            "--model", "mini", "--perturb", "noise", "--out", tmp_path / "o", *FAST)  # fmt: skip
    logits = {row["logit"] for row in rows(tmp_path / "o/scores.csv") if row["label"] == "real"}
    assert len(logits) > 2


def test_a_run_continues_where_it_stopped(sidscan: Run, tests20: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", "run", tests20, "--model", "mini", "--sets", "biggan", "--out", tmp_path, *FAST)
    sidscan(*arguments)
    path = tmp_path / "scores.csv"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:20])  # as if killed in the middle of the fourth row
    ended = sidscan(*arguments)
    assert ended.code == 0
    assert f"\n6 images, 3 kept from an earlier run and 3 left: {path} (--fresh starts over)\n" in ended.err
    assert path.read_bytes().startswith(b"".join(lines[:4]))
    assert [line.split(b",")[:4] for line in path.read_bytes().splitlines()] == [
        line.split(b",")[:4] for line in whole.splitlines()
    ]


def test_an_evaluation_keeps_its_prevalences_and_costs(sidscan: Run, tests20: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", "run", tests20, "--model", "mini", "--sets", "biggan", "--out", tmp_path, *FAST)
    first = sidscan(*arguments, "--prevalence", "0.02", "--prevalence", "0.3", "--miss-cost", "7")
    path = tmp_path / "evaluation.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    assert (settings["prevalences"], settings["miss_costs"]) == ([0.02, 0.3], [7])
    rows_of_costs = first.out.partition("## Cost of a triage")[2]
    assert "\n| 2 % | 7 |" in rows_of_costs
    report = ("evaluate", "report", tmp_path / "scores.csv", "--out", tmp_path / "again", *FAST)
    again = sidscan(*report)
    assert f"costs: --prevalence 0.02, 0.3; --miss-cost 7, as in {tmp_path}\n" in again.err
    assert again.out.partition("## Cost of a triage")[2] == rows_of_costs
    named = sidscan(*report, "--miss-cost", "9")  # what is named counts, and the rest is kept
    assert f"costs: --prevalence 0.02, 0.3, as in {tmp_path}\n" in named.err
    assert "| 30 % | 9 |" in named.out
    assert sidscan(*arguments, "--prevalence", "0.4").code == 0  # it continues, for no score depends on them
    assert json.loads(path.read_text(encoding="utf-8"))["prevalences"] == [0.4]


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        pytest.param(None, 0, "| 10 % | 100 |", id="none"),
        pytest.param("{}", 0, "| 10 % | 100 |", id="of an earlier version"),
        pytest.param('{"miss_costs": [2]}', 0, "| 10 % | 2 |", id="one"),
        pytest.param('{"prevalences": "0.1"}', 2, "prevalences is not a list of numbers", id="text"),
        pytest.param('{"prevalences": [true]}', 2, "prevalences is not a list of numbers", id="yes"),
        pytest.param('{"prevalences": [2]}', 2, "--prevalence lies between 0 and 1", id="range"),
    ],
)
def test_costs_that_an_evaluation_states(
    sidscan: Run, tmp_path: Path, settings: str | None, code: int, words: str
) -> None:
    (tmp_path / "scores.csv").write_text("set,label,score\nsan,real,0.5\nsan,synthetic,0.6\n")
    if settings is not None:
        (tmp_path / "evaluation.json").write_text(settings)
    report = ("evaluate", "report", tmp_path / "scores.csv", "--out", tmp_path / "again", *FAST)
    ended = sidscan(*report)
    assert ended.code == code
    assert words in ended.out + ended.err
    if code:
        assert sidscan(*report, "--prevalence", "0.3").code == 0  # what is named is not read


def test_scores_under_other_settings_are_not_mixed_in(sidscan: Run, tests20: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", "run", tests20, "--model", "mini", "--sets", "ldm_200", "--out", tmp_path, *FAST)
    sidscan(*arguments)
    refused = sidscan(*arguments, "--crops", "ten")
    assert refused.code == 7
    assert "holds an evaluation with other settings (crops: center, now ten)" in refused.err
    assert "--fresh" in refused.err
    assert sidscan(*arguments, "--crops", "ten", "--fresh").code == 0
    assert {row["crops"] for row in rows(tmp_path / "scores.csv")} == {"ten"}


def test_perturbed_scores_do_not_depend_on_the_number_of_workers(
    sidscan: Run, tests20: Path, tmp_path: Path
) -> None:
    logits = []
    for workers in (1, 3):
        out = tmp_path / str(workers)
        ended = sidscan("evaluate", "run", tests20, "--model", "mini", "--perturb", "combined",
                        "--sets", "biggan,dalle", "--workers", workers, "--batch", workers,
                        "--out", out, *FAST)  # fmt: skip
        assert ended.code == 0, ended.err
        logits.append({(row["set"], row["path"]): float(row["logit"]) for row in rows(out / "scores.csv")})
    assert logits[0] == pytest.approx(logits[1], abs=1e-4)
    plain = tmp_path / "plain"
    sidscan("evaluate", "run", tests20, "--model", "mini", "--sets", "biggan,dalle", "--out", plain, *FAST)
    same = [
        abs(logits[0][row["set"], row["path"]] - float(row["logit"])) < 1e-6
        for row in rows(plain / "scores.csv")
    ]
    assert 0 < sum(same) < len(same)


def test_a_batch_that_was_asked_for_reaches_the_runtime(
    monkeypatch: pytest.MonkeyPatch, tests20: Path, tmp_path: Path
) -> None:
    batches: list[int | None] = []

    class RecordingRuntime(pytorch.PyTorchRuntime):
        def __init__(self, detectors: Sequence[Detector], *options: Any) -> None:
            batches.append(options[2])
            super().__init__(detectors, *options)

    monkeypatch.setattr(pytorch, "PyTorchRuntime", RecordingRuntime)
    test_sets = testsets.find_test_sets(tests20)
    config = EvaluationConfig(batch=7, device="cpu")
    with run.open_evaluation(test_sets, [tests20], ["mini"], tmp_path / "out", config).file:
        assert batches == [7]


def test_scores_in_a_pipe_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code = "import sys; from sidscan.training.evaluation import scores; scores.read_scores(sys.argv[1])"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "pipe")],
        cwd=tmp_path,  # in the repository's root, its folder sidscan would hide the installed package
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "UsageError: can't read the scores in" in ended.stderr
    assert "not a regular file" in ended.stderr


def broken_pair(root: Path) -> tuple[Path, Path]:
    for index in range(2):
        write_image(root / "photos", f"{index}.png", index, synthetic=False)
        write_image(root / "generated", f"{index}.png", index, synthetic=True)
    (root / "generated/1a.jpg").write_bytes(encoded(photo(230, 230), "JPEG")[:900])
    return root / "photos", root / "generated"


def test_an_unreadable_image_stops_the_run_or_is_counted(sidscan: Run, tmp_path: Path) -> None:
    real, synthetic = broken_pair(tmp_path)
    out = tmp_path / "out"
    arguments = (
        "evaluate",
        "run",
        "--real",
        real,
        "--synthetic",
        synthetic,
        "--model",
        "mini",
        "--out",
        out,
        *FAST,
    )
    stopped = sidscan(*arguments)
    assert stopped.code == 2
    assert "1a.jpg can't be read: " in stopped.err
    assert "--skip-unreadable" in stopped.err
    assert len(rows(out / "scores.csv")) == 4  # earlier rows stay
    skipped = sidscan(*arguments, "--skip-unreadable")
    assert skipped.code == 3
    assert "**mini: 1 image without a score, left out.**" in skipped.out
    (bad,) = [row for row in rows(out / "scores.csv") if row["error"]]
    assert (bad["path"], bad["score"]) == ("synthetic/1a.jpg", "")
    (synthetic / "1a.jpg").unlink()  # removed as the message advises: a second run no longer counts it
    again = sidscan(*arguments)
    assert (again.code, "left out" in again.out) == (0, False)


def test_ctrl_c_keeps_what_was_scored(tests20: Path, tmp_path: Path) -> None:
    for index in range(30):
        write_image(tmp_path / "a", f"{index}.png", index, synthetic=False)
    write_image(tmp_path / "b", "0.png", 0, synthetic=True)
    command = [sys.executable, "-m", "sidscan", "evaluate", "run", "--real", "a", "--synthetic", "b",
               "--model", "mini", "--batch", "1", "--workers", "1", "--out", "out"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    path = tmp_path / "out/scores.csv"
    while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < 4):
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "of 31 images, kept in out/scores.csv; the same command continues" in err
    assert len(scores.latest_rows(path)) >= 3


def row(index: int, **facts: object) -> ScoreRow:
    values = {"set": "san", "group": "", "path": f"{index}.png", "generator": "", "label": "real",
              "model": "m", "digest": "",
              "crops": "center", "perturbation": "", "logit": 0.25, "score": 0.56}  # fmt: skip
    return ScoreRow(**{**values, **facts})  # type: ignore[arg-type]


def test_a_full_disk_is_an_error_and_loses_no_row(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with ScoreFile(path) as file:
        file.append([row(0), row(1)])
        before = path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))  # like a disk with 10 bytes left
        try:
            with pytest.raises(OutputError, match=r"can't write .*scores.csv"):
                file.append([row(2), row(3)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == before
        file.append([row(2)])
    assert [row.path for row in scores.latest_rows(path).values()] == ["0.png", "1.png", "2.png"]


def test_fresh_does_not_disturb_a_running_evaluation(sidscan: Run, tests20: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", "run", tests20, "--model", "mini", "--sets", "ldm_200", "--out", tmp_path, *FAST)
    assert sidscan(*arguments).code == 0
    with ScoreFile(tmp_path / "scores.csv") as running:
        before = {name: (tmp_path / name).read_bytes() for name in ("scores.csv", "evaluation.json")}
        refused = sidscan(*arguments, "--crops", "ten", "--fresh")
        assert refused.code == 7
        assert "being written by another evaluation" in refused.err
        assert {name: (tmp_path / name).read_bytes() for name in before} == before
        running.append([row(0)])
        assert (tmp_path / "scores.csv").read_bytes() == before["scores.csv"] + row(0).to_csv_line().encode()
    assert sidscan(*arguments, "--crops", "ten", "--fresh").code == 0
    assert {row["crops"] for row in rows(tmp_path / "scores.csv")} == {"ten"}


def test_two_evaluations_do_not_write_the_same_file(tmp_path: Path) -> None:
    with ScoreFile(tmp_path / "scores.csv"), pytest.raises(OutputError, match="by another evaluation"):
        ScoreFile(tmp_path / "scores.csv")
    (tmp_path / "other.csv").write_text("name,age\nx,1\n")
    with pytest.raises(OutputError, match="not a scores file"):
        ScoreFile(tmp_path / "other.csv")
    assert (tmp_path / "other.csv").read_text() == "name,age\nx,1\n"


def test_strange_names_are_one_line_each(tmp_path: Path) -> None:
    name = escape_line_breaks('a\nb,"c"\\\udcff.png')
    with ScoreFile(tmp_path / "scores.csv") as file:
        file.append([row(0, path=name)])
    assert (tmp_path / "scores.csv").read_bytes().count(b"\n") == 2
    assert next(iter(scores.latest_rows(tmp_path / "scores.csv").values())) == row(0, path=name)


def test_the_latest_row_of_an_image_counts(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with ScoreFile(path) as file:
        file.append([row(0, logit=None, score=None, error="damaged"), row(0)])
    assert scores.read_scores(path)["error"].tolist() == [""]


def test_sets_that_share_their_real_images_are_resampled_together(sidscan: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    real = [f"laion/{index},real,{score}" for index, score in enumerate(rng.uniform(0, 1, 60))]
    lines = [f"{key},{line}" for key in ("dalle", "ldm_200") for line in real]
    lines += [f"{key},{index},synthetic,0.999" for key in ("dalle", "ldm_200") for index in range(60)]
    (tmp_path / "s.csv").write_text("\n".join(["set,path,label,score", *lines, ""]))
    sidscan("evaluate", "report", tmp_path / "s.csv", "--out", tmp_path, "--no-plots")
    first, second, mean = rows(tmp_path / "results.csv")
    assert (
        first["acc_low"] == second["acc_low"] == mean["acc_low"]
    )  # the mean of independent draws would be narrower


ERRORS = {
    "no out": (["run", "."], 2, "Missing option"),
    "nothing": (["run", "--out", "o"], 2, "no test images are named"),
    "eaten by degrade": (
        ["run", "--out", "o", "--degrade", "tests"],
        2,
        "--degrade took tests",
    ),
    "eaten by compare": (["run", "--out", "o", "--compare", "tests"], 2, "Name TESTS before --compare.\n"),
    "half a pair": (["run", "--real", ".", "--out", "o"], 2, "no test images are named"),
    "tests and a pair": (["run", ".", "--real", ".", "--out", "o"], 2, "TESTS can't be combined with --real"),
    "sets of a pair": (
        ["run", "--real", "tests", "--synthetic", ".", "--sets", "san", "--out", "o"],
        2,
        "--sets can't be combined with --real",
    ),
    "layout": (["run", ".", "--out", "o"], 2, "looks like no layout"),
    "no scores": (["report", "none.csv", "--out", "o"], 2, "can't read the scores"),
    "columns": (["report", "bad.csv", "--out", "o"], 2, "lacks the columns label"),
    "one class": (["report", "one.csv", "--out", "o"], 2, "san has no score for any synthetic image"),
    "labels": (["report", "odd.csv", "--out", "o"], 2, "labels are real or synthetic, not fak"),
    "score": (["report", "nan.csv", "--out", "o"], 2, "a score is missing or outside of 0..1"),
    "both": (["report", "one.csv", "--model", "mini", "--out", "o"], 2, "No such option"),
    "no run": (["run", "tests", "--model", "mini", "--out", "o", "--compare"], 2, "no figures for mini"),
    "empty real folder": (
        ["run", "--real", "empty", "--synthetic", "tests", "--out", "o"],
        2,
        "It holds nothing. Name another folder with --real.",
    ),
    "unknown run": (["run", "tests", "--out", "o", "--compare", "grid:9"], 2, "no published run is called"),
    "fpr": (
        ["run", "tests", "--out", "o", "--fpr", "2"],
        2,
        "Write 2 % as 0.02.",
    ),
    "prevalence": (
        ["run", "tests", "--out", "o", "--prevalence", "1"],
        2,
        "1.0 is not in the range 0<x<1.",
    ),
    "miss cost": (["report", "one.csv", "--out", "o", "--miss-cost", "0"], 2, "0.0 is not in the range x>0."),
    "ten": (["run", "tests", "--out", "o", "--perturb", "blur", "--crops", "ten"], 2, "a centre crop only"),
    "degradation": (["run", "tests", "--out", "o", "--degrade", "rain"], 2, "no degradation is called rain"),
    "strength": (["run", "tests", "--out", "o", "--degrade", "jpeg-0"], 2, "'jpeg-0' is not a perturbation"),
    "both changes": (
        ["run", "tests", "--out", "o", "--degrade", "--perturb", "blur"],
        2,
        "--degrade can't be combined with --perturb",
    ),
    "out is a file": (["run", "tests", "--out", "bad.csv"], 2, "'bad.csv' is a file"),
    "out is below a file": (["run", "tests", "--out", "bad.csv/o"], 7, "can't make bad.csv/o"),
    "unknown model": (["run", "tests", "--out", "o", "--model", "rine-9class"], 4, "rine-9class"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_to_do(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for side in ("0_real", "1_fake"):
        write_image(Path("tests/san", side), "a.png", 0, synthetic=False)
    Path("empty").mkdir()
    Path("bad.csv").write_text("set,score\nsan,0.5\n")
    Path("one.csv").write_text("set,label,score\nsan,real,0.5\n")
    Path("odd.csv").write_text("set,label,score\nsan,fak,0.5\n")
    Path("nan.csv").write_text("set,label,score\nsan,real,high\n")
    ended = sidscan("evaluate", *arguments, *FAST)
    assert ended.code == code, ended.err
    assert words in ended.err
    assert not Path("o/scores.csv").exists()


RUN_ONLY = {  # option -> how it is given
    "--real": ("--real", "a"),
    "--synthetic": ("--synthetic", "a"),
    "--layout": ("--layout", "auto"),
    "--model": ("--model", "mini"),
    "--encoder": ("--encoder", "s.csv"),
    "--crops": ("--crops", "ten"),
    "--device": ("--device", "cpu"),
    "--precision": ("--precision", "fp32"),
    "--batch": ("--batch", "1"),
    "--workers": ("--workers", "1"),
    "--perturb": ("--perturb", "blur"),
    "--degrade": ("--degrade", "blur"),
    "--speed": ("--speed", "2"),
    "--project": ("--project", "0"),
    "--skip-unreadable": ("--skip-unreadable",),
    "--fresh": ("--fresh",),
}


@pytest.mark.parametrize("option", ["TESTS", *RUN_ONLY])
def test_report_has_no_options_for_images_or_models(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.csv").write_text("set,label,score\nsan,real,0.5\nsan,synthetic,0.6\n")
    words = RUN_ONLY.get(option, ("tests",))
    ended = sidscan("evaluate", "report", "s.csv", "--out", "o", *words, *FAST)
    assert ended.code == 2
    expected = r"unexpected extra argument \(tests\)" if option == "TESTS" else f"No such option:? '?{option}"
    assert re.search(expected, ended.err)
    assert not Path("o").exists()


def test_the_command_offers_every_perturbation() -> None:
    offered = next(parameter for parameter in run_command.params if parameter.name == "perturbation")
    assert isinstance(offered.type, click.Choice)
    assert list(offered.type.choices) == list(perturbations.PERTURBATIONS)


def test_report_takes_the_options_of_metrics(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("set,label,score\nsan,real,0.5\nsan,synthetic,0.6\n")
    ended = sidscan("evaluate", "report", tmp_path / "s.csv", "--out", tmp_path, "--seed", "1", "--quiet",
                    "--threshold", "0.4", "--fpr", "0.1", "--compare", "progan-4class", *FAST)  # fmt: skip
    assert ended.code == 0, ended.err


def test_synthbuster_takes_ten_crops(sidscan: Run, tmp_path: Path) -> None:
    write_image(tmp_path / "RAISEpng", "a.png", 0, synthetic=False)
    write_image(tmp_path / "synthbuster/firefly", "a.png", 1, synthetic=True)
    ended = sidscan(
        "evaluate", "run", tmp_path, "--model", "mini", "--out", tmp_path / "o", "--compare", "ldm", *FAST
    )
    assert ended.code == 0, ended.err
    assert {row["crops"] for row in rows(tmp_path / "o/scores.csv")} == {"ten"}
    assert "| published, diffusion:ViT-L/14:0.4:4:1024:5 | LDM | 85.3 |" in ended.out
    assert "| published, diffusion:ViT-L/14:0.4:4:1024:5 | LDM | 93.4 |" in ended.out


def test_importance_is_softmax_over_the_blocks() -> None:
    alpha = np.log(np.array([[[1.0, 3.0], [3.0, 1.0], [4.0, 4.0]]]))
    importance = plots.block_importance(alpha)
    assert importance.mean.tolist() == pytest.approx([0.25, 0.25, 0.5])
    assert importance.std.tolist() == pytest.approx([0.125, 0.125, 0])
    assert importance.largest.tolist() == [0, 0, 1]


def test_few_images_are_projected_by_pca_many_by_tsne() -> None:
    z = np.random.default_rng(0).normal(size=(100, 5))
    assert [
        (plots.project_to_plane(z[:count])[0].shape, plots.project_to_plane(z[:count])[1])
        for count in (20, 100)
    ] == [
        ((20, 2), "PCA"),
        ((100, 2), "t-SNE"),
    ]


def test_the_feature_space_samples_every_set_and_label_equally(tests20: Path) -> None:
    test_sets = testsets.find_test_sets(tests20)
    chosen = embeddings.sample_images(test_sets, 7, seed=0)
    assert len(chosen) <= 7
    assert {key for key, _ in chosen} == {"biggan", "ldm_200", "dalle"}
    everything = embeddings.sample_images(test_sets, 2000, seed=0)
    assert len({image.path for _, image in everything}) == len(everything) == 12  # shared ones once


def test_checkpoints_share_a_pass_and_find_their_published_run(
    sidscan: Run, tests20: Path, tmp_path: Path
) -> None:
    encoder = tmp_path / "ViT-B-32.safetensors"
    weights = random_clip(width=64, blocks=2, patch=56, side=224, embedding=8)
    save_file({f"visual.{name}": tensor for name, tensor in weights.items()}, encoder)
    sha256 = hashlib.sha256(encoder.read_bytes()).hexdigest()
    recipe = {"head": "rine", "without": "none", "xi": 0.1, "layers": 2, "projected": 128}
    recipe |= {"epochs": 1, "share": 1.0, "lr": 1e-3, "batch": 128, "reduce_at": [6, 11]}
    facts = {"recipe": recipe, "layout": "cnndetection", "classes": ["horse"]}
    heads = {"mine": ("rine", random_head(2, 64, 16, 2)), "probe": ("linear", LinearProbe(8))}
    for name, (kind, head) in heads.items():
        checkpoint = Checkpoint(dict(head.state_dict()), kind, encoder.name, sha256, 0.5, facts)
        (tmp_path / f"{name}.safetensors").write_bytes(checkpoint.to_bytes())
    out = tmp_path / "out"
    mine = (
        "evaluate",
        "run",
        tests20,
        "--encoder",
        encoder,
        "--model",
        tmp_path / "mine.safetensors",
        "--out",
        out,
    )
    ended = sidscan(*mine, "--model", tmp_path / "probe.safetensors", "--bootstrap", "10")
    assert ended.code == 0, ended.err
    assert "probe.safetensors does not weigh blocks: no plot of importance" in ended.err
    assert {row["model"] for row in rows(out / "scores.csv")} == {"mine.safetensors", "probe.safetensors"}
    for name in ("importance", "features-mine.safetensors", "features-probe.safetensors"):
        assert (out / f"{name}.png").exists()
    compared = sidscan(*mine, "--compare", "--fresh", *FAST)
    for heading in ("Accuracy", "Average precision"):
        ours, theirs, _ = table(compared.out, heading)
        assert ours[:2] == ["mine.safetensors", "1"]
        assert theirs[:2] == ["published, grid:ViT-B/32:1:0.1:2:128", "1"]


def test_feature_spaces_of_at_most_six_models_are_drawn_in_one_pass(
    sidscan: Run, tests20: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = tmp_path / "encoder.safetensors"
    weights = random_clip(width=64, blocks=2, patch=56, side=224, embedding=8)
    save_file({f"visual.{name}": tensor for name, tensor in weights.items()}, encoder)
    sha256 = hashlib.sha256(encoder.read_bytes()).hexdigest()
    grid = tmp_path / "grid"
    grid.mkdir()
    for number in range(8):
        head = LinearProbe(8) if number == 1 else random_head(2, 64, 16, 2)
        kind = "linear" if number == 1 else "rine"
        checkpoint = Checkpoint(dict(head.state_dict()), kind, encoder.name, sha256, 0.5, {"layout": "ldm"})
        (grid / f"h{number}.safetensors").write_bytes(checkpoint.to_bytes())
    seen: list[int] = []
    drawn: dict[str, tuple[int, ...]] = {}
    embed_images = embeddings.embed_images

    def count(detectors: Sequence[Detector], *others: Any) -> list[embeddings.EmbeddedImage]:
        (network,) = {id(detector.encoder): detector.encoder for detector in detectors}.values()
        read = network.read

        def counted(crops: Tensor, features: set[Feature]) -> dict[Feature, Tensor]:
            seen.append(len(crops))
            return read(crops, features)

        monkeypatch.setattr(network, "read", counted)
        embedded = list(embed_images(detectors, *others))
        for index, detector in enumerate(detectors):  # equal to each head alone
            (alone,) = zip(*(image.z for image in embed_images([detector], *others)), strict=True)
            assert np.allclose(alone, [image.z[index] for image in embedded], atol=1e-5)
        return embedded

    monkeypatch.setattr(embeddings, "embed_images", count)
    monkeypatch.setattr(report, "write_score_plots", lambda *_: None)
    monkeypatch.setattr(plots, "plot_importance", lambda *_: None)
    monkeypatch.setattr(
        plots, "plot_feature_space", lambda stem, _, z, *__: drawn.update({stem.name: z.shape})
    )
    ended = sidscan("evaluate", "run", tests20, "--encoder", encoder, "--model", grid,
                    "--out", tmp_path / "out", "--bootstrap", "0")  # fmt: skip
    assert ended.code == 0, ended.err
    names = [f"h{number}.safetensors" for number in range(8)]
    assert drawn == {f"features-{name}": (12, 8 if name[1] == "1" else 16) for name in names[:6]}
    assert sum(seen) == 12 + 6 * 12  # one pass for all six, and the passes of this test
    assert f"drawn for 6 models at most, not for {names[6]}, {names[7]}" in ended.err
    assert [cells[:2] for cells in table(ended.out, "Accuracy")] == [[name, "LDM"] for name in names]


@pytest.mark.parametrize(
    ("module", "options"), [("sklearn", ()), ("matplotlib", ()), ("cv2", ("--perturb", "blur", "--no-plots"))]
)
def test_a_missing_package_is_named_with_its_command(
    sidscan: Run,
    tests20: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    options: tuple[str, ...],
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    ended = sidscan("evaluate", "run", tests20, "--model", "mini", "--out", tmp_path / "o", *options)
    assert ended.code == 6
    assert f"this needs {module}, which is not installed" in ended.err
    assert f"`{install_command(distribution(module))}` brings it.\n" in ended.err
    assert not (tmp_path / "o").exists()
