"""A part of a run's results, in another order, as every report format shows it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_results import FACTS, FAILED, RUN, SCORE, SCORED, journal_of, results_of_every_status, strict

from sidscan.archives import zstandard
from sidscan.errors import UsageError
from sidscan.journal import Journal
from sidscan.records import EVIDENCE_WORDS, Copies, Mark, ModelRecord, ScanResult, Selection, Status, num_rows
from sidscan.records.localization import Localization, LocalizerRecord
from sidscan.reports import BINARY_FORMATS, REPORT_FORMATS, FormatOptions, output_for
from sidscan.reports.columns import JOINED_COLUMNS, report_columns
from sidscan.reports.reader import read_results
from sidscan.review import selection
from sidscan.review.annotated import AnnotatedRecord
from sidscan.review.compared_runs import open_compared
from sidscan.review.conditions import parse_condition
from sidscan.review.marks import Marks
from sidscan.review.marks_file import EntryKind, MarkEntry
from sidscan.review.private_record import PrivateRecord
from sidscan.review.selection import Choice, SelectedRecord
from sidscan.verify import open_report


def scored(name: str, score: float, logit: float, evidence: str, **facts: object) -> ScanResult:
    entry = replace(SCORE, score=score, logit=logit, evidence=evidence)
    return replace(SCORED, name=name, scores=(entry,), facts=replace(FACTS, **facts))  # type: ignore[arg-type]


RESULTS = [
    scored("weak.jpg", 0.3, -0.8, "weak", width=500, format="PNG"),
    FAILED,
    scored("strong.jpg", 0.9, 2.2, "strong", width=100),
    replace(FAILED, name="notes.txt", status=Status.SKIPPED),
    scored("unsure.jpg", 0.99, 4.6, "inconclusive", width=None),
    scored("moderate.jpg", 0.7, 0.8, "moderate", width=200),
]


@pytest.fixture(scope="module")
def journal() -> Journal:
    return journal_of(*RESULTS)


def choice(*only: str, sort: str = "", top: int | None = None) -> Choice:
    return Choice(tuple(map(parse_condition, only)), sort, top)


def names(results: Iterator[ScanResult]) -> list[str]:
    return [result.name.partition(".")[0] for result in results]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        pytest.param(choice(sort="inputs"), "weak b strong notes unsure moderate", id="order of the inputs"),
        pytest.param(choice(sort="-inputs"), "moderate unsure notes strong b weak", id="last input first"),
        pytest.param(choice(sort="evidence"), "strong moderate weak unsure b notes", id="strongest first"),
        pytest.param(choice(sort="-evidence"), "weak moderate strong unsure b notes", id="weakest first"),
        pytest.param(choice(sort="score"), "weak moderate strong unsure b notes", id="number"),
        pytest.param(choice(sort="-score"), "unsure strong moderate weak b notes", id="highest first"),
        pytest.param(choice(sort="width"), "strong moderate weak b notes unsure", id="without one, last"),
        pytest.param(choice(sort="-path"), "weak unsure strong notes moderate b", id="text"),
        pytest.param(choice(sort="status"), "b weak strong unsure moderate notes", id="equals as inputs"),
        pytest.param(choice(top=2), "strong moderate", id="top, by evidence"),
        pytest.param(choice(top=2, sort="path"), "b moderate", id="top of another order"),
        pytest.param(choice(top=2, sort="inputs"), "weak b", id="top of the inputs"),
        pytest.param(choice(top=99, sort="score"), "weak moderate strong unsure b notes", id="top of fewer"),
        pytest.param(choice("evidence>=moderate"), "strong moderate", id="only"),
        pytest.param(choice("score<1", "width<400", sort="-width"), "moderate strong", id="both"),
        pytest.param(choice("score<0.95", top=1, sort="-score"), "strong", id="top of those"),
        pytest.param(choice("path=none"), "", id="none"),
    ],
)
def test_which_results_are_shown(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, chosen: Choice, expected: str
) -> None:
    for rows_at_once in (1, 10_000):
        monkeypatch.setattr(selection, "_ROWS_AT_ONCE", rows_at_once)
        record = SelectedRecord(journal, chosen)
        shown = names(record.results())
        assert shown == expected.split()
        assert num_rows(record) == len(shown)
        assert sorted(names(record.ranked())) == sorted(shown)
        assert record.counts() == journal.counts()


def test_a_selection_says_what_it_is(journal: Journal) -> None:
    record = SelectedRecord(journal, choice("evidence>=moderate", "score<1", sort="-score", top=1))
    assert record.selection() == Selection(("evidence>=moderate", "score<1"), "-score", 1, 1, 6)
    assert str(record.selection()) == (
        "1 of 6 results: only evidence>=moderate and score<1; sorted by -score; at most 1"
    )
    assert str(SelectedRecord(journal, choice("failed=yes")).selection()) == (
        "1 of 6 results: only failed=yes; sorted by inputs"
    )


@given(st.lists(st.tuples(st.floats(-600, 600), st.sampled_from([*EVIDENCE_WORDS, ""])), max_size=12))
def test_the_order_by_evidence_is_that_of_the_record(rows: list[tuple[float, str]]) -> None:
    results = [
        scored(f"{number}.jpg", 0.5, logit, word) if word else replace(FAILED, name=f"{number}.jpg")
        for number, (logit, word) in enumerate(rows)
    ]
    journal = journal_of(*results)
    expected = list(journal.ranked())
    record = SelectedRecord(journal, choice(sort="evidence"))
    assert list(record.results()) == list(record.ranked()) == expected
    top = SelectedRecord(journal, choice(top=3))
    assert list(top.results()) == expected[:3]


def test_results_come_back_whole(tmp_path: Path) -> None:
    results = [*results_of_every_status(), scored("caf\udce9\x00.jpg", 0.5, 0.0, "weak")]
    note, at = "\ud800</script>", "2026-01-02T00:00:00+00:00"
    entry = MarkEntry(EntryKind.DECISION, "f" * 64, "a.jpg", "suspicious", note, "ana", at)
    record = AnnotatedRecord(journal_of(*results), Marks([entry]), {})
    chosen = list(SelectedRecord(record, choice("mark=suspicious", sort="path")).results())
    expected = [result for result in record.results() if result.mark]
    assert sorted(chosen, key=repr) == sorted(expected, key=repr)
    assert len(chosen) == 3


def test_the_model_of_an_order() -> None:
    other = replace(SCORE, model="b", logit=9.0, evidence="very strong")
    first = replace(SCORED, name="1", scores=(SCORE, other))
    second = replace(SCORED, name="2", scores=(replace(SCORE, logit=2.0, evidence="strong"),))
    run = replace(RUN, models=(ModelRecord("mini", "abc"), ModelRecord("b", "abc")))
    journal = journal_of(first, second, run=run)
    for order, expected in ("evidence", "12"), ("b.evidence", "12"), ("-logit", "21"), ("-b.logit", "12"):
        assert "".join(r.name for r in SelectedRecord(journal, choice(sort=order)).results()) == expected


_ALL_LISTED = "The reference of report columns lists all."


@pytest.mark.parametrize(
    ("sort", "message"),
    [
        ("scor", f"there is no column 'scor'. Did you mean score?\n{_ALL_LISTED}"),
        ("-scor", f"there is no column 'scor'. Did you mean score?\n{_ALL_LISTED}"),
        ("--score", f"there is no column '-score'. Did you mean score?\n{_ALL_LISTED}"),
        ("input", f"there is no column 'input'. Did you mean inputs or model_input?\n{_ALL_LISTED}"),
        (
            "date",
            "there is no column 'date'. Did you mean exif_original_date_iso or exif_gps_date_iso or ",
        ),
        ("zzz", "there is no column 'zzz'.\nThere are: inputs, path, status"),
    ],
)
def test_an_unknown_order_is_refused(journal: Journal, sort: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        SelectedRecord(journal, choice(sort=sort))


@pytest.mark.parametrize("suffix", [*REPORT_FORMATS, *BINARY_FORMATS, "xlsx"])
def test_every_format_shows_the_selection_alone(journal: Journal, tmp_path: Path, suffix: str) -> None:
    if suffix == "xlsx":
        pytest.importorskip("xlsxwriter")
    out = tmp_path / f"r.{suffix}"
    output_for(str(out)).write(SelectedRecord(journal, choice("evidence>=moderate", sort="-path")))
    if suffix != "xlsx":
        with open_report(out) as report:
            assert report.rows == 2
            assert [row.row.name for row in report.check()] == ["strong.jpg", "moderate.jpg"]


def test_json_says_what_is_shown(journal: Journal, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    output_for(str(out)).write(SelectedRecord(journal, choice("score>=0.5", top=2)))
    report = strict(out.read_text())
    assert report["selection"] == {
        "only": ["score>=0.5"],
        "sort": "evidence",
        "top": 2,
        "shown": 2,
        "total": 6,
    }
    assert report["counts"] == {"enumerated": 6, "scored": 4, "failed": 1, "skipped": 1}
    assert [each["path"] for each in report["findings"]] == ["strong.jpg", "moderate.jpg"]
    out.write_text(out.read_text().replace('"shown": 2', '"shown": 3'))
    with pytest.raises(UsageError, match="it has 2 results and states 3"), open_report(out):
        pass


@pytest.mark.parametrize("suffix", [*REPORT_FORMATS, *BINARY_FORMATS, "xlsx"])
def test_a_private_selection_names_nobody(journal: Journal, tmp_path: Path, suffix: str) -> None:
    out, condition = tmp_path / f"r.{suffix}", "mark_by=ANNA"
    record = SelectedRecord(PrivateRecord(journal), choice(condition, "score<1"))
    assert str(record.selection()) == "0 of 6 results: only mark_by *** and score<1; sorted by inputs"
    output_for(str(out)).write(record)
    data = out.read_bytes()
    if suffix == "jsonl.zst":
        with out.open("rb") as file, zstandard.unpacked(file) as stream:
            data = stream.read()
    if suffix == "xlsx":
        data = b"".join(map(ZipFile(out).read, ZipFile(out).namelist()))
    assert b"ANNA" not in data


def test_redacting_leaves_out_who_rows_were_chosen_by(journal: Journal, tmp_path: Path) -> None:
    out, redacted = tmp_path / "r.json", io.BytesIO()
    output_for(str(out)).write(SelectedRecord(journal, choice("mark_by!=ANNA", "note!~SECRET")))
    with open_report(out) as report:
        report.redact(redacted)
    assert strict(redacted.getvalue().decode())["selection"]["only"] == ["mark_by ***", "note ***"]
    assert "ANNA" in out.read_text()
    assert "ANNA" not in redacted.getvalue().decode()
    assert "SECRET" not in redacted.getvalue().decode()


def test_html_says_what_is_shown(journal: Journal, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    output_for(str(out)).write(SelectedRecord(journal, choice("path~</script>", sort="path")))
    text = out.read_text()
    words = "This page shows 0 of 6 results: only path~&lt;/script&gt;; sorted by path."
    assert f"<strong>{words}</strong>" in text
    assert "6 inputs = 4 scored + 1 failed + 1 skipped" in text


def test_a_report_of_all_says_nothing_of_it(journal: Journal, tmp_path: Path) -> None:
    for suffix in ("json", "html"):
        output_for(str(tmp_path / f"r.{suffix}")).write(journal)
        text = (tmp_path / f"r.{suffix}").read_text()
        assert '"selection": {' not in text
        assert "<strong>This page shows" not in text


COLUMNS = ("score", "path", "camera", "exif_software")


def test_columns_of_csv(journal: Journal, tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    output_for(str(out), options=FormatOptions(columns=COLUMNS)).write(journal)
    table = list(csv.reader(io.StringIO(out.read_text(), newline="")))
    assert table[0] == list(COLUMNS)
    assert table[1] == ["0.3", "weak.jpg", "Acme", ""]
    first = ("path", "status", "error_stage", "error_class", "error_message", "score")
    output_for(str(out), options=FormatOptions(columns=first), overwrite=True).write(journal)
    with pytest.raises(UsageError, match="this report has no column sha256"), open_report(out):
        pass


@pytest.mark.parametrize("dialect", ["standard", "excel", "excel-de"])
def test_csv_with_some_columns_can_be_verified(journal: Journal, tmp_path: Path, dialect: str) -> None:
    out = tmp_path / "r.csv"
    output_for(str(out), options=FormatOptions(dialect, columns=("evidence", "sha256", "path"))).write(
        journal
    )
    with open_report(out) as report:
        assert (report.rows, next(report.check()).row.name) == (6, "weak.jpg")
        assert report.redact(io.BytesIO()) == []


def test_columns_of_jsonl_follow_what_verify_needs(journal: Journal, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    output_for(str(out), options=FormatOptions(columns=("score", "path", "camera"))).write(journal)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[0] == {
        "format": 2,
        "path": "weak.jpg",
        "path_bytes": None,
        "sha256": "f" * 64,
        "score": 0.3,
        "camera": "Acme",
    }
    with open_report(out) as report:
        assert [row.row.name for row in report.check()] == [result.name for result in RESULTS]
        with pytest.raises(UsageError, match=r"a report with --columns can't be redacted as \.jsonl"):
            report.redact(io.BytesIO())


def test_a_table_of_others_is_no_report() -> None:
    recognises = REPORT_FORMATS["csv"].recognises
    assert recognises(b"sha256,path\r\n")
    assert recognises(b"rine.score;path;sha256\r\n")
    assert not recognises(b"path,status\r\n")
    assert not recognises(b"path,sha256,who\r\n")
    assert not recognises(b"score,evidence\r\n")


@pytest.mark.parametrize("dialect", ["standard", "excel", "excel-de"])
@pytest.mark.parametrize("columns", [("path", "score"), ("evidence", "logit"), ("sha256", "mini.score")])
def test_a_report_without_path_and_sha256_says_what_it_lacks(
    tmp_path: Path, dialect: str, columns: tuple[str, ...]
) -> None:
    out = tmp_path / "r.csv"
    run = replace(RUN, models=(ModelRecord("b", "abc"), ModelRecord("mini", "abc")))
    output_for(str(out), options=FormatOptions(dialect, columns=columns)).write(journal_of(SCORED, run=run))
    message = r"r\.csv was written with --columns; it needs path and sha256 to be read again"
    with pytest.raises(UsageError, match=message), open_report(out):
        pass
    with pytest.raises(UsageError, match=message), open_compared(out):
        pass


def compare(path: Path) -> int:
    with path.open("rb") as file:
        return len(list(read_results(file, path.suffix[1:], path)))


@pytest.mark.parametrize("suffix", ["json", "html"])
def test_a_part_of_a_run_is_not_compared_with_another_run(
    journal: Journal, tmp_path: Path, suffix: str
) -> None:
    whole, part = tmp_path / f"whole.{suffix}", tmp_path / f"part.{suffix}"
    output_for(str(whole)).write(journal)
    assert compare(whole) == 6
    output_for(str(part)).write(SelectedRecord(journal, choice(top=2)))
    with pytest.raises(UsageError, match="this report shows only some rows of its run"):
        compare(part)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_report_with_some_columns_is_not_compared(journal: Journal, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"r.{suffix}"
    output_for(str(out), options=FormatOptions(columns=("path", "sha256", "score"))).write(journal)
    with pytest.raises(UsageError, match="this report has only some columns, so it can't be compared"):
        compare(out)


def test_columns_that_are_joined_at_the_end_are_known() -> None:
    values: dict[str, Any] = {"str": "x", "int": 1, "float": 0.5}
    copies = Copies(
        **{each.name: values.get(str(each.type).partition(" ")[0], ()) for each in fields(Copies)}
    )
    localization = Localization(
        "model", "d", "tiles", 1, 9, 224, 112, 640, 480, area=0.1, region=(0, 0, 9, 9), region_area=0.1,
        maximum=0.9, p99=0.8, agreement=0.5, alarm_area=0.2,
        contrast=1.2, alarm_contrast=2.5, message="none",
    )  # fmt: skip
    mark = Mark("later", "ana", "2026-01-01T00:00:00+00:00", "x")
    joined = replace(SCORED, mark=mark, copies=copies, localization=localization)
    columns = report_columns(replace(RUN, localizer=LocalizerRecord("model")))
    assert {each.name for each in columns if each.cell(joined) != each.cell(SCORED)} == JOINED_COLUMNS
    assert not choice("copy_count>1").streams
    assert choice("score>0.5").streams
