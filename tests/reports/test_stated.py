"""Reports read back for a comparison: every format states the same of an input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sample_results import FAILED, OLD_REPORTS, SCORE, SCORED, full_header, journal_of

from sidscan.errors import UsageError
from sidscan.records import Mark, ModelRecord, RunHeader, ScanResult
from sidscan.reports import BINARY_FORMATS, REPORT_FORMATS, output_for, write_all
from sidscan.reports.base import FormatOptions
from sidscan.reports.stated import (
    MadeBy,
    StatedMark,
    StatedModel,
    StatedResult,
    StatedScore,
    decoder_in,
)
from sidscan.review.compared_runs import open_compared
from sidscan.review.wrapped import WrappedRecord

MADE_BY = MadeBy(
    (StatedModel("mini", "abc", 0.6, "b" * 16),),
    *("pytorch 2", "cpu", "fp32", "full", 10, "Pillow 13", "0.1.0"),
    part="a sample of 500 of 102331 images, seed 0, by folder",
)
SCORED_BY = replace(SCORED, decoder="Pillow 13", sidscan_version="0.1.0")


def read_back(path: Path) -> list[StatedResult]:
    with open_compared(path) as run:
        return list(run)


def written(out: Path, *results: ScanResult, run: RunHeader, dialect: str = "standard") -> Path:
    write_all([output_for(str(out), options=FormatOptions(dialect))], journal_of(*results, run=run))
    return out


@pytest.mark.parametrize("suffix", [*REPORT_FORMATS, *BINARY_FORMATS])
def test_every_format_states_scores_and_what_made_them(tmp_path: Path, suffix: str) -> None:
    run = full_header()
    scored, failed = sorted(
        read_back(written(tmp_path / f"r.{suffix}", SCORED_BY, FAILED, run=run)),
        key=lambda result: result.name,
    )
    assert (scored.name, scored.sha256, scored.status) == ("a.jpg", "f" * 64, "scored")
    assert scored.scores == (StatedScore("mini", 0.7, "moderate"),)
    assert scored.made_by == MADE_BY
    assert (failed.status, failed.message, failed.scores) == ("failed", "truncated", ())


@pytest.mark.parametrize("dialect", ["excel", "excel-de"])
def test_numbers_of_every_csv_dialect_are_read(tmp_path: Path, dialect: str) -> None:
    (result,) = read_back(written(tmp_path / "r.csv", SCORED_BY, run=full_header(), dialect=dialect))
    assert result.scores == (StatedScore("mini", 0.7, "moderate"),)
    assert result.made_by == MADE_BY


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", *BINARY_FORMATS])
def test_all_models_are_stated(tmp_path: Path, suffix: str) -> None:
    other = replace(SCORE, model="x.score", digest="def", score=0.2, evidence="weak")
    run = replace(full_header(), models=(*full_header().models, ModelRecord("x.score", "def")))
    result = replace(SCORED_BY, scores=(SCORE, other))
    (stated,) = read_back(written(tmp_path / f"r.{suffix}", result, run=run))
    assert stated.scores == (StatedScore("mini", 0.7, "moderate"), StatedScore("x.score", 0.2, "weak"))
    assert [model.digest for model in stated.made_by.models] == ["abc", "def"]


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", *BINARY_FORMATS])
def test_marks_are_stated(tmp_path: Path, suffix: str) -> None:
    marked = replace(SCORED, mark=Mark("suspicious", "ada", "2026-01-01T00:00:00+00:00", "=look\n"))

    class Marked(WrappedRecord):
        def results(self):  # type: ignore[no-untyped-def]
            return iter([marked])

    write_all([output_for(str(tmp_path / f"r.{suffix}"))], Marked(journal_of(SCORED)))
    (stated,) = read_back(tmp_path / f"r.{suffix}")
    assert stated.mark == StatedMark("suspicious", "ada", "2026-01-01T00:00:00+00:00", "=look\n")
    assert stated.marks_known


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_what_an_old_report_lacks_is_not_known(suffix: str) -> None:
    results = {result.name: result for result in read_back(OLD_REPORTS / f"0.1.0.{suffix}")}
    assert len(results) == 7
    hills = results["images/hills.jpg"]
    assert hills.scores == (StatedScore("mini", 0.18686407548882997, "weak"),)
    assert (hills.made_by.effort, hills.made_by.crops, hills.made_by.decoder) == (None, 1, "Pillow 13.0.0")
    assert hills.made_by.models == (StatedModel("mini", "4e60028543cc4fa3", 0.747, ""),)
    assert not hills.marks_known


@pytest.mark.parametrize(
    ("stated", "image_format", "decoder"),
    [
        ("Pillow 13.0.0", "JPEG", "Pillow 13.0.0"),
        ("pillow-heif 1.8.1", "HEIF", "pillow-heif 1.8.1"),
        ("Pillow 13.0.0 pillow-heif 1.8.1", "JPEG", "Pillow 13.0.0"),
        ("Pillow 13.0.0 pillow-heif 1.8.1", "HEIF", "pillow-heif 1.8.1"),
        ("Pillow 13.0.0 imagecodecs 2026.1", "JXL", "imagecodecs 2026.1"),
        ("Pillow 13.0.0 imagecodecs 2026.1", "HEIF", None),
        ("", "JPEG", None),
    ],
)
def test_the_decoder_of_a_format(stated: str, image_format: str, decoder: str | None) -> None:
    assert decoder_in(stated, image_format) == decoder


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"status": "scored"', '"status": 1'),
        ('"score": 0.7', '"score": "x"'),
        ('"ffff', '"fff'),
        ('"facts"', '"f"'),
    ],
    ids=["status", "score", "sha256", "key"],
)
def test_a_damaged_row_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = written(tmp_path / "r.json", SCORED, run=full_header())
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UsageError, match=r"r\.json is damaged behind row 0"):
        read_back(path)
