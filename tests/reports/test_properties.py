"""Properties that hold for any text and any result: CSV cells, the journal's JSON, strict JSON reports."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_results import full_header, is_formula, journal_of, rendered, rows, strict

from sidscan.journal import Journal
from sidscan.journal.stored_results import dump_result, load_result
from sidscan.records import (
    Exif,
    ImageInfo,
    Kind,
    Marker,
    ModelRecord,
    Provenance,
    Response,
    RunHeader,
    ScanResult,
    Score,
    SessionRecord,
    Stage,
    Status,
    Trace,
)
from sidscan.reports.csv_escape import escape_cell, unescape_cell

# The default text strategy omits surrogates; file names contain them in place of bytes that are not UTF-8.
any_text = st.text(st.characters(exclude_categories=()))
tricky_text = st.text(st.sampled_from(" =+-@\"',;|\\x3du00eU\t\r\n\x00\x1b\u200b\u202e\uff1d\udce9\ud800"))
cell_texts = any_text | tricky_text
# JSON joins a high and a low surrogate into one character. Results never contain high ones: undecodable
# bytes become low ones only (PEP 383).
texts = cell_texts.map(lambda text: re.sub("[\ud800-\udbff]", "", text))
names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name).map(os.fsdecode)
unit = st.floats(0, 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | texts,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3),
    max_leaves=8,
)
exifs = st.builds(
    Exif,
    make=st.none() | texts,
    model=st.none() | texts,
    lens=st.none() | texts,
    original_date=st.none() | texts,
    software=st.none() | texts,
    latitude=st.none() | finite,
    longitude=st.none() | finite,
    orientation=st.none() | st.integers(1, 8),
    tags=st.dictionaries(texts, json_values, max_size=3),
)
responses = st.builds(
    Response,
    final_url=texts,
    redirects=st.lists(texts, max_size=2).map(tuple),
    http_status=st.none() | st.integers(100, 599),
    address=st.none() | texts,
    fetched_at=st.none() | texts,
    headers=st.dictionaries(texts, texts, max_size=2),
    saved_as=st.none() | names,
)
markers = st.builds(Marker, texts, texts, texts, texts, texts, texts, st.integers(0), texts, texts)
provenances = st.builds(
    Provenance,
    verdict=texts,
    strength=st.none() | texts,
    markers=st.lists(markers, max_size=2).map(tuple),
    caption=st.none() | texts,
)
infos = st.builds(
    ImageInfo,
    bytes=st.none() | st.integers(0),
    sha256=st.none() | st.from_regex("[0-9a-f]{64}", fullmatch=True),
    format=st.none() | texts,
    width=st.none() | st.integers(1),
    height=st.none() | st.integers(1),
    flags=st.lists(texts, max_size=2).map(tuple),
    exif=exifs,
    response=st.none() | responses,
    jpeg_quality=st.none() | st.integers(1, 100),
    preview_width=st.none() | st.integers(1),
    preview_height=st.none() | st.integers(1),
    lossless=st.none() | st.booleans(),
    perceptual_hash=st.none() | st.sampled_from(["", "0f" * 32]),
    provenance=st.none() | provenances,
    traces=st.none() | st.lists(st.builds(Trace, texts, texts, texts, st.integers(0), texts)).map(tuple),
)
scores = st.builds(
    Score,
    model=st.just("mini"),
    digest=st.just("abc"),
    threshold=unit,
    score=unit,
    logit=finite,
    evidence=texts,
    crop_min=unit,
    crop_max=unit,
    crop_std=unit,
    p_value=st.none() | unit,
    inconclusive=st.lists(texts, max_size=2).map(tuple),
    cautions=st.lists(texts, max_size=2).map(tuple),
)
results = st.builds(
    ScanResult,
    name=names,
    kind=st.sampled_from(Kind),
    status=st.sampled_from(Status),
    facts=infos,
    scanned_at=texts,
    stage=st.none() | st.sampled_from(Stage),
    error=st.none() | texts.filter(lambda name: name != "UnsupportedPicture"),
    message=st.none() | texts,
    scores=st.lists(scores, max_size=1).map(tuple),
    views=st.integers(0, 10),
)
sessions = st.builds(
    SessionRecord,
    started=st.none() | texts,
    ending=st.none() | st.sampled_from(["finished", "interrupted"]),
    findings=st.none() | st.integers(0),
    command=st.none() | st.lists(texts, max_size=3).map(tuple),
    host=st.none() | texts,
    libraries=st.dictionaries(texts, texts, max_size=2),
    limits=st.dictionaries(texts, st.integers() | st.booleans(), max_size=2),
    resources=st.dictionaries(texts, st.integers(), max_size=2),
)
headers = st.builds(
    RunHeader,
    sidscan_version=texts,
    started=st.none() | texts,
    models=st.lists(st.builds(ModelRecord, texts, texts, unit), max_size=2).map(tuple),
    inputs=st.lists(texts, max_size=2).map(tuple),
    private=st.booleans(),
    calibrations=st.just(full_header().calibrations),
    sessions=st.lists(sessions, max_size=2).map(tuple),
)
any_pace = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine may be slow


@any_pace
@given(cell_texts)
def test_a_cell_is_reversible_and_never_a_formula(text: str) -> None:
    cell = escape_cell(text)
    assert unescape_cell(cell) == text
    assert cell.startswith("'") or not is_formula(cell)
    assert cell.isprintable() or not any(character in "\r\n\t\0" for character in cell)
    cell.encode("utf-8")


@any_pace
@given(st.lists(cell_texts, min_size=1, max_size=5))
def test_a_row_of_cells_is_one_reversible_line(row: list[str]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerow(map(escape_cell, row))
    assert file.getvalue().count("\n") == 1
    (cells,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert [unescape_cell(cell) for cell in cells] == row


@any_pace
@given(results)
def test_a_result_survives_the_journal(result: ScanResult) -> None:
    text = dump_result(result)
    assert "\n" not in text
    assert load_result(text) == result


@any_pace
@given(headers)
def test_a_header_survives_the_journal(header: RunHeader) -> None:
    journal = Journal(None)
    journal.set_header(header)
    assert journal.header() == header
    journal.close()


@settings(any_pace, max_examples=50)
@given(st.lists(results, max_size=3, unique_by=lambda result: result.name))
def test_reports_are_strict_json_with_every_result(values: list[ScanResult]) -> None:
    journal = journal_of(*values, run=full_header())
    with tempfile.TemporaryDirectory() as folder:
        report = strict(rendered(Path(folder) / "r.json", journal))
        lines = rendered(Path(folder) / "r.jsonl", journal).splitlines()
        csv_rows = rows(rendered(Path(folder) / "r.csv", journal))
    journal.close()
    assert [strict(line) for line in lines] == [
        {"format": 2, **result, "run": json.loads(line)["run"]}
        for line, result in zip(lines, report["findings"], strict=True)
    ]
    assert [unescape_cell(row["path"]) for row in csv_rows] == [result.name for result in values]
    for result, value in zip(report["findings"], values, strict=True):
        raw = result["path_bytes"]
        assert (result["path"] if raw is None else os.fsdecode(bytes.fromhex(raw))) == value.name
