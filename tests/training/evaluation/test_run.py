"""`sidscan evaluate` from the command line: made-up scores give the paper's table, pictures give scores."""

from __future__ import annotations

import csv
import hashlib
import itertools
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from sample_images import encoded, photo
from sklearn.metrics import average_precision_score
from tiny_networks import random_clip, random_head
from torch import Tensor

from sidscan import ScanConfig, scan
from sidscan.errors import OutputError
from sidscan.models.backbones import Feature
from sidscan.models.checkpoints import Checkpoint
from sidscan.models.detectors import Detector
from sidscan.models.heads.linear_probe import LinearProbe
from sidscan.training.evaluation import embeddings, plots, published, report, scores, testsets
from sidscan.training.evaluation.scores import Row, ScoreFile

Run = Callable[..., Any]
FAST = ("--no-plots", "--bootstrap", "0")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def picture(folder: Path, name: str, seed: int, synthetic: bool) -> None:
    """A photograph, or one with the traces of fourfold upsampling."""
    image = photo(240, 230, seed)
    if synthetic:
        image = image.resize((60, 58)).resize(image.size, Image.Resampling.NEAREST)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(encoded(image, "PNG"))


@pytest.fixture(scope="module")
def tests20(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of the 20 sets, two of them with the same real pictures."""
    root = tmp_path_factory.mktemp("test")
    diffusion = root / "diffusion_datasets"
    for index in range(3):
        picture(root / "biggan/0_real", f"{index}.png", index, synthetic=False)
        picture(root / "biggan/1_fake", f"{index}.png", index + 10, synthetic=True)
    for index in range(2):
        picture(diffusion / "laion/0_real", f"{index}.png", index + 20, synthetic=False)
        picture(diffusion / "ldm_200/1_fake", f"{index}.png", index + 30, synthetic=True)
        picture(diffusion / "dalle/1_fake", f"{index}.png", index + 40, synthetic=True)
    return root


def made_up(path: Path, run: str, pictures: int = 2000) -> None:
    """Scores whose accuracies are those of a published run to half a thousandth, whose order is perfect."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "label", "score"])
        for key, (accuracy, _) in published.find(run).figures.items():
            wrong = round((1 - accuracy) * 2 * pictures)  # real pictures that score too high
            writer.writerows([key, "real", 0.6 if index < wrong else 0.1] for index in range(pictures))
            writer.writerows([key, "synthetic", 0.9] for _ in range(pictures))


HEADER = (
    "| method | # classes | ProGAN | StyleGAN | StyleGAN2 | BigGAN | CycleGAN | StarGAN | GauGAN "
    "| Deepfake | SITD | SAN | CRN | IMLE | Guided | LDM 200 steps | LDM 200 w/ CFG | LDM 100 steps "
    "| Glide 100-27 | Glide 50-27 | Glide 100-10 | DALL-E | AVG |"
)
# Literally the authors' result files, to one decimal: run; accuracy; AP: 12 sets, 8 of diffusion, AVG.
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
    """Cells of the rows under a heading of results.md, its header and ruler left out."""
    lines = iter(text.split(f"\n## {heading}\n\n")[1].splitlines())
    found = [line[2:-2].split(" | ") for line in itertools.takewhile(lambda line: line[:1] == "|", lines)]
    return found[2:]


@pytest.mark.parametrize("classes", PUBLISHED)
def test_made_up_scores_give_the_papers_two_tables(sidscan: Run, tmp_path: Path, classes: str) -> None:
    run, *figures = PUBLISHED[classes]
    expected = [" ".join(parts).split() for parts in figures]
    made_up(tmp_path / "scores.csv", run)
    out = tmp_path / "out"
    asked = f"progan-{classes}class"
    ended = sidscan("evaluate", "--scores", tmp_path / "scores.csv", "--out", out, "--compare", asked, *FAST)
    assert ended.code == 0, ended.err
    assert (out / "results.md").read_text() == ended.out
    lines = ended.out.splitlines()
    assert lines[2] == "## Accuracy"
    assert lines[10] == "## Average precision"
    assert lines[4] == lines[12] == HEADER
    for heading, printed in zip(("Accuracy", "Average precision"), expected, strict=True):
        own, theirs, gaps = table(ended.out, heading)
        assert theirs == [f"published, {run}", classes, *printed]
        assert own[:2] == ["model", "-"]
        assert gaps[:2] == ["difference", ""]
        for mine, theirs_one, gap in zip(own[2:], printed, gaps[2:], strict=True):
            assert gap[0] in "+-"
            assert float(mine) - float(theirs_one) == pytest.approx(float(gap), abs=0.101)
    gaps = table(ended.out, "Accuracy")[2]
    assert max(abs(float(gap)) for gap in gaps[2:]) <= 0.1  # the scores were made up so
    assert (
        f"accuracy {expected[0][-1]}, average precision {expected[1][-1]} over its own 20 sets" in ended.out
    )
    assert "UFD 80.9 and 94.3" in ended.out


def test_the_table_of_numbers_has_sets_mean_and_published(sidscan: Run, tmp_path: Path) -> None:
    made_up(tmp_path / "scores.csv", "progan-1class", pictures=100)
    sidscan("evaluate", "--scores", tmp_path / "scores.csv", "--out", tmp_path, "--compare", "progan-1class",
            "--no-plots", "--bootstrap", "50")  # fmt: skip
    found = rows(tmp_path / "results.csv")
    assert len(found) == 21
    mean = found[-1]
    assert (mean["set"], mean["n_real"], mean["unreadable"]) == ("mean", "2000", "0")
    assert float(mean["published_acc"]) == pytest.approx(0.9031, abs=1e-4)
    for row in found:
        assert float(row["acc_low"]) <= float(row["acc"]) <= float(row["acc_high"])
    assert float(mean["acc"]) == pytest.approx(np.mean([float(row["acc"]) for row in found[:-1]]), abs=1e-6)


def test_scores_are_those_of_a_scan(sidscan: Run, tests20: Path, tmp_path: Path) -> None:
    ended = sidscan("evaluate", tests20, "--model", "mini", "--out", tmp_path, "--bootstrap", "20")
    assert ended.code == 0, ended.err
    assert "not there: progan, stylegan" in ended.err
    assert "AVG over 3 of 20 sets, without ProGAN, StyleGAN" in ended.out
    found = rows(tmp_path / "scores.csv")
    assert len(found) == 6 + 4 + 4
    config = ScanConfig(inputs=(str(tests20),), models=("mini",), crops="center")
    expected = {Path(one.name).relative_to(tests20).as_posix(): one.scores[0] for one in scan(config)}
    for row in found:
        assert float(row["score"]) == pytest.approx(expected[row["path"]].score, abs=1e-6)
        assert row["label"] == ("real" if "0_real" in row["path"] else "synthetic")
        assert (row["digest"], row["crops"]) == (expected[row["path"]].digest, "center")
    biggan = [row for row in found if row["set"] == "biggan"]
    ap = average_precision_score(
        [row["label"] == "synthetic" for row in biggan], [float(row["score"]) for row in biggan]
    )
    assert float(rows(tmp_path / "results.csv")[0]["ap"]) == pytest.approx(ap, abs=1e-6)
    for name in ("roc", "sets", "importance", "features-mini"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "</svg>" in (tmp_path / f"{name}.svg").read_text()


def test_it_goes_on_where_it_stopped(sidscan: Run, tests20: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", tests20, "--model", "mini", "--sets", "biggan", "--out", tmp_path, *FAST)
    sidscan(*arguments)
    path = tmp_path / "scores.csv"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:20])  # killed in the middle of the fourth row
    ended = sidscan(*arguments)
    assert ended.code == 0
    assert f"3 of 6 pictures kept from an earlier run in {path}" in ended.err
    assert path.read_bytes().startswith(b"".join(lines[:4]))
    assert [line.split(b",")[:4] for line in path.read_bytes().splitlines()] == [
        line.split(b",")[:4] for line in whole.splitlines()
    ]


def test_other_settings_are_not_mixed_in(sidscan: Run, tests20: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", tests20, "--model", "mini", "--sets", "ldm_200", "--out", tmp_path, *FAST)
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
    made = []
    for workers in (1, 3):
        out = tmp_path / str(workers)
        ended = sidscan("evaluate", tests20, "--model", "mini", "--perturb", "combined",
                        "--sets", "biggan,dalle", "--workers", workers, "--batch", workers,
                        "--out", out, *FAST)  # fmt: skip
        assert ended.code == 0, ended.err
        made.append({(row["set"], row["path"]): float(row["logit"]) for row in rows(out / "scores.csv")})
    assert made[0] == pytest.approx(made[1], abs=1e-4)
    plain = tmp_path / "plain"
    sidscan("evaluate", tests20, "--model", "mini", "--sets", "biggan,dalle", "--out", plain, *FAST)
    same = [
        abs(made[0][row["set"], row["path"]] - float(row["logit"])) < 1e-6
        for row in rows(plain / "scores.csv")
    ]
    assert 0 < sum(same) < len(same)


def broken_pair(root: Path) -> tuple[Path, Path]:
    for index in range(2):
        picture(root / "photos", f"{index}.png", index, synthetic=False)
        picture(root / "made", f"{index}.png", index, synthetic=True)
    (root / "made/1a.jpg").write_bytes(encoded(photo(230, 230), "JPEG")[:900])
    return root / "photos", root / "made"


def test_an_unreadable_picture_stops_the_run_or_is_counted(sidscan: Run, tmp_path: Path) -> None:
    real, synthetic = broken_pair(tmp_path)
    out = tmp_path / "out"
    arguments = ("evaluate", "--real", real, "--synthetic", synthetic, "--model", "mini", "--out", out, *FAST)
    stopped = sidscan(*arguments)
    assert stopped.code == 2
    assert "1a.jpg can't be read: " in stopped.err
    assert "--skip-unreadable" in stopped.err
    assert len(rows(out / "scores.csv")) == 4  # what came before it is kept
    skipped = sidscan(*arguments, "--skip-unreadable")
    assert skipped.code == 3
    assert "**mini: 1 pictures without a score, left out.**" in skipped.out
    (bad,) = [row for row in rows(out / "scores.csv") if row["error"]]
    assert (bad["path"], bad["score"]) == ("synthetic/1a.jpg", "")
    (synthetic / "1a.jpg").unlink()  # removed as the message says: a rerun no longer counts it
    again = sidscan(*arguments)
    assert (again.code, "left out" in again.out) == (0, False)


def test_ctrl_c_keeps_what_was_scored(tests20: Path, tmp_path: Path) -> None:
    for index in range(30):
        picture(tmp_path / "a", f"{index}.png", index, synthetic=False)
    picture(tmp_path / "b", "0.png", 0, synthetic=True)
    command = [sys.executable, "-m", "sidscan", "evaluate", "--real", "a", "--synthetic", "b",
               "--model", "mini", "--batch", "1", "--workers", "1", "--out", "out"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    path = tmp_path / "out/scores.csv"
    while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < 4):
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "of 31 pictures, kept in out/scores.csv; the same command continues" in err
    assert len(scores.done(path)) >= 3


def row(index: int, **facts: Any) -> Row:
    values = {"set": "san", "group": "", "path": f"{index}.png", "label": "real", "model": "m", "digest": "",
              "crops": "center", "perturbation": "", "logit": 0.25, "score": 0.56}  # fmt: skip
    return Row(**{**values, **facts})


def test_a_full_disk_is_an_error_and_loses_no_row(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with ScoreFile(path) as file:
        file.append([row(0), row(1)])
        before = path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))  # as a disk with 10 bytes left
        try:
            with pytest.raises(OutputError, match=r"can't write .*scores.csv"):
                file.append([row(2), row(3)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == before
        file.append([row(2)])
    assert [one.path for one in scores.done(path).values()] == ["0.png", "1.png", "2.png"]


def test_starting_over_leaves_a_running_evaluation_alone(sidscan: Run, tests20: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", tests20, "--model", "mini", "--sets", "ldm_200", "--out", tmp_path, *FAST)
    assert sidscan(*arguments).code == 0
    with ScoreFile(tmp_path / "scores.csv") as running:
        before = {name: (tmp_path / name).read_bytes() for name in ("scores.csv", "evaluation.json")}
        refused = sidscan(*arguments, "--crops", "ten", "--fresh")
        assert refused.code == 7
        assert "being written by another evaluation" in refused.err
        assert {name: (tmp_path / name).read_bytes() for name in before} == before
        running.append([row(0)])
        assert (tmp_path / "scores.csv").read_bytes() == before["scores.csv"] + row(0).line().encode()
    assert sidscan(*arguments, "--crops", "ten", "--fresh").code == 0
    assert {one["crops"] for one in rows(tmp_path / "scores.csv")} == {"ten"}


def test_two_evaluations_do_not_write_one_file(tmp_path: Path) -> None:
    with ScoreFile(tmp_path / "scores.csv"), pytest.raises(OutputError, match="by another evaluation"):
        ScoreFile(tmp_path / "scores.csv")
    (tmp_path / "other.csv").write_text("name,age\nx,1\n")
    with pytest.raises(OutputError, match="no scores file"):
        ScoreFile(tmp_path / "other.csv")
    assert (tmp_path / "other.csv").read_text() == "name,age\nx,1\n"


def test_strange_names_are_one_line_each(tmp_path: Path) -> None:
    name = scores.one_line('a\nb,"c"\\\udcff.png')
    with ScoreFile(tmp_path / "scores.csv") as file:
        file.append([row(0, path=name)])
    assert (tmp_path / "scores.csv").read_bytes().count(b"\n") == 2
    assert next(iter(scores.done(tmp_path / "scores.csv").values())) == row(0, path=name)


def test_the_latest_row_of_a_picture_counts(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with ScoreFile(path) as file:
        file.append([row(0, logit=None, score=None, error="damaged"), row(0)])
    assert scores.read(path)["error"].tolist() == [""]


def test_sets_that_share_their_real_pictures_are_resampled_together(sidscan: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    real = [f"laion/{index},real,{score}" for index, score in enumerate(rng.uniform(0, 1, 60))]
    lines = [f"{key},{line}" for key in ("dalle", "ldm_200") for line in real]
    lines += [f"{key},{index},synthetic,0.999" for key in ("dalle", "ldm_200") for index in range(60)]
    (tmp_path / "s.csv").write_text("\n".join(["set,path,label,score", *lines, ""]))
    sidscan("evaluate", "--scores", tmp_path / "s.csv", "--out", tmp_path, "--no-plots")
    one, other, mean = rows(tmp_path / "results.csv")
    assert (
        one["acc_low"] == other["acc_low"] == mean["acc_low"]
    )  # a mean of independent draws would be narrower


ERRORS = {
    "no out": (["."], 2, "Missing option '--out'"),
    "nothing": (["--out", "o"], 2, "it is not clear which pictures are meant"),
    "half a pair": (["--real", ".", "--out", "o"], 2, "it is not clear which pictures are meant"),
    "layout": ([".", "--out", "o"], 2, "no known test set"),
    "no scores": (["--scores", "none.csv", "--out", "o"], 2, "can't read the scores"),
    "columns": (["--scores", "bad.csv", "--out", "o"], 2, "lacks the columns label"),
    "one class": (["--scores", "one.csv", "--out", "o"], 2, "san holds no synthetic picture"),
    "labels": (["--scores", "odd.csv", "--out", "o"], 2, "labels are real or synthetic, not fak"),
    "score": (["--scores", "nan.csv", "--out", "o"], 2, "a score is missing or outside of 0..1"),
    "both": (["--scores", "one.csv", "--model", "mini", "--out", "o"], 2, "takes no pictures and no model"),
    "no run": (["tests", "--model", "mini", "--out", "o", "--compare"], 2, "published nothing of mini"),
    "unknown run": (["tests", "--out", "o", "--compare", "grid:9"], 2, "no published run is called"),
    "fpr": (["tests", "--out", "o", "--fpr", "2"], 2, "between 0 and 1"),
    "ten": (["tests", "--out", "o", "--perturb", "blur", "--crops", "ten"], 2, "a centre crop only"),
    "out is a file": (["tests", "--out", "bad.csv"], 2, "'bad.csv' is a file"),
    "out is below a file": (["tests", "--out", "bad.csv/o"], 7, "can't make bad.csv/o"),
    "unknown model": (["tests", "--out", "o", "--model", "rine-9class"], 4, "rine-9class"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_to_do(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for side in ("0_real", "1_fake"):
        picture(Path("tests/san", side), "a.png", 0, synthetic=False)
    Path("bad.csv").write_text("set,score\nsan,0.5\n")
    Path("one.csv").write_text("set,label,score\nsan,real,0.5\n")
    Path("odd.csv").write_text("set,label,score\nsan,fak,0.5\n")
    Path("nan.csv").write_text("set,label,score\nsan,real,high\n")
    ended = sidscan("evaluate", *arguments, *FAST)
    assert ended.code == code, ended.err
    assert words in ended.err


OF_PICTURES = {
    "TESTS": ("tests",),
    "--real": ("--real", "a"),
    "--synthetic": ("--synthetic", "a"),
    "--sets": ("--sets", "san"),
    "--layout": ("--layout", "auto"),  # said, though it is the default
    "--model": ("--model", "mini"),
    "--encoder": ("--encoder", "s.csv"),
    "--crops": ("--crops", "ten"),
    "--device": ("--device", "cpu"),
    "--precision": ("--precision", "fp32"),
    "--batch": ("--batch", "1"),
    "--workers": ("--workers", "1"),
    "--perturb": ("--perturb", "blur"),
    "--project": ("--project", "0"),
    "--skip-unreadable": ("--skip-unreadable",),
    "--fresh": ("--fresh",),
}


@pytest.mark.parametrize("option", [*OF_PICTURES, "all"])
def test_scores_refuse_every_option_of_pictures_and_models(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.csv").write_text("set,label,score\nsan,real,0.5\nsan,synthetic,0.6\n")
    given = list(OF_PICTURES) if option == "all" else [option]
    words = [word for one in given for word in OF_PICTURES[one]]
    ended = sidscan("evaluate", "--scores", "s.csv", "--out", "o", *words, *FAST)
    assert ended.code == 2
    assert f"--scores takes no pictures and no model ({', '.join(given)})" in ended.err.replace("\n", " ")
    assert not Path("o").exists()


def test_scores_take_the_options_of_figures(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("set,label,score\nsan,real,0.5\nsan,synthetic,0.6\n")
    ended = sidscan("evaluate", "--scores", tmp_path / "s.csv", "--out", tmp_path, "--seed", "1", "--quiet",
                    "--threshold", "0.4", "--fpr", "0.1", "--compare", "progan-4class", *FAST)  # fmt: skip
    assert ended.code == 0, ended.err


def test_synthbuster_takes_ten_crops(sidscan: Run, tmp_path: Path) -> None:
    picture(tmp_path / "RAISEpng", "a.png", 0, synthetic=False)
    picture(tmp_path / "synthbuster/firefly", "a.png", 1, synthetic=True)
    ended = sidscan(
        "evaluate", tmp_path, "--model", "mini", "--out", tmp_path / "o", "--compare", "ldm", *FAST
    )
    assert ended.code == 0, ended.err
    assert {row["crops"] for row in rows(tmp_path / "o/scores.csv")} == {"ten"}
    assert "| published, diffusion:ViT-L/14:0.4:4:1024:5 | LDM | 85.3 | 85.3 |" in ended.out
    assert "| published, diffusion:ViT-L/14:0.4:4:1024:5 | LDM | 93.4 | 93.4 |" in ended.out


def test_importance_is_softmax_over_the_blocks() -> None:
    alpha = np.log(np.array([[[1.0, 3.0], [3.0, 1.0], [4.0, 4.0]]]))
    found = plots.importance(alpha)
    assert found.mean.tolist() == pytest.approx([0.25, 0.25, 0.5])
    assert found.std.tolist() == pytest.approx([0.125, 0.125, 0])
    assert found.largest.tolist() == [0, 0, 1]


def test_few_pictures_are_projected_by_pca_many_by_tsne() -> None:
    z = np.random.default_rng(0).normal(size=(100, 5))
    assert [(plots.project(z[:count])[0].shape, plots.project(z[:count])[1]) for count in (20, 100)] == [
        ((20, 2), "PCA"),
        ((100, 2), "t-SNE"),
    ]


def test_the_feature_space_samples_every_set_and_label_alike(tests20: Path) -> None:
    found = testsets.find(tests20)
    chosen = embeddings.sample(found, 7, seed=0)
    assert len(chosen) <= 7
    assert {key for key, _ in chosen} == {"biggan", "ldm_200", "dalle"}
    everything = embeddings.sample(found, 2000, seed=0)
    assert len({example.path for _, example in everything}) == len(everything) == 12  # shared ones once


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
    mine = ("evaluate", tests20, "--encoder", encoder, "--model", tmp_path / "mine.safetensors", "--out", out)
    ended = sidscan(*mine, "--model", tmp_path / "probe.safetensors", "--bootstrap", "10")
    assert ended.code == 0, ended.err
    assert "probe.safetensors weighs no blocks: no plot of importance" in ended.err
    assert {row["model"] for row in rows(out / "scores.csv")} == {"mine.safetensors", "probe.safetensors"}
    for name in ("importance", "features-mine.safetensors", "features-probe.safetensors"):
        assert (out / f"{name}.png").exists()
    compared = sidscan(*mine, "--compare", "--fresh", *FAST)
    for heading in ("Accuracy", "Average precision"):
        own, theirs, _ = table(compared.out, heading)
        assert own[:2] == ["mine.safetensors", "1"]
        assert theirs[:2] == ["published, grid:ViT-B/32:1:0.1:2:128", "1"]


def test_of_many_models_six_feature_spaces_are_drawn_in_one_pass(
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
    embed = embeddings.embed

    def count(detectors: Sequence[Detector], *others: Any) -> list[embeddings.Point]:
        (network,) = {id(one.encoder): one.encoder for one in detectors}.values()
        read = network.read

        def counted(crops: Tensor, readings: set[Feature]) -> dict[Feature, Tensor]:
            seen.append(len(crops))
            return read(crops, readings)

        monkeypatch.setattr(network, "read", counted)
        points = list(embed(detectors, *others))
        for place, one in enumerate(detectors):  # as each head on its own
            (alone,) = zip(*(point.z for point in embed([one], *others)), strict=True)
            assert np.allclose(alone, [point.z[place] for point in points], atol=1e-5)
        return points

    monkeypatch.setattr(embeddings, "embed", count)
    monkeypatch.setattr(report, "write_plots", lambda *_: None)
    monkeypatch.setattr(plots, "plot_importance", lambda *_: None)
    monkeypatch.setattr(plots, "plot_features", lambda stem, _, z, *__: drawn.update({stem.name: z.shape}))
    ended = sidscan("evaluate", tests20, "--encoder", encoder, "--model", grid,
                    "--out", tmp_path / "out", "--bootstrap", "0")  # fmt: skip
    assert ended.code == 0, ended.err
    names = [f"h{number}.safetensors" for number in range(8)]
    assert drawn == {f"features-{name}": (12, 8 if name[1] == "1" else 16) for name in names[:6]}
    assert sum(seen) == 12 + 6 * 12  # once for all six, and the test's own passes
    assert f"drawn of 6 models at most, not of {names[6]}, {names[7]}" in ended.err
    assert [cells[:2] for cells in table(ended.out, "Accuracy")] == [[name, "LDM"] for name in names]


@pytest.mark.parametrize(
    ("module", "options"), [("sklearn", ()), ("matplotlib", ()), ("cv2", ("--perturb", "blur", "--no-plots"))]
)
def test_a_missing_package_is_named_with_its_extra(
    sidscan: Run,
    tests20: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    options: tuple[str, ...],
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    ended = sidscan("evaluate", tests20, "--model", "mini", "--out", tmp_path / "o", *options)
    assert ended.code == 2
    assert f"this needs {module}, which is not installed" in ended.err
    assert "pip install 'sidscan[train]'" in ended.err
    assert not (tmp_path / "o").exists()
