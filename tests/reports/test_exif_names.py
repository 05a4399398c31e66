"""A graph in the place of a camera's name: reports show that it is there, and call no camera so."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from sample_results import SCORED, full_header

from sidscan.records import Exif, ScanResult
from sidscan.reports.columns import CSV_COLUMNS, camera, find_column
from sidscan.reports.private import private_result

GRAPH = "prompt:" + json.dumps({"3": {"class_type": "CLIPTextEncode", "inputs": {"text": "Erika" * 40}}})


def with_exif(**stated: Any) -> ScanResult:
    tags = {f"Image {name.title()}": value for name, value in stated.items()}
    return replace(SCORED, facts=replace(SCORED.facts, exif=Exif(**stated, tags=tags)))


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        pytest.param("Acme", "One", "Acme One", id="names"),
        pytest.param("Acme", "Acme One", "Acme One", id="the maker in the model"),
        pytest.param(GRAPH, GRAPH, None, id="graphs"),
        pytest.param("Acme", GRAPH, "Acme", id="a graph as the model"),
        pytest.param("prompt:{}", "One", "One", id="a short graph"),
        pytest.param("", "", None, id="nothing"),
    ],
)
def test_a_camera_is_called_by_names_alone(make: str, model: str, name: str | None) -> None:
    assert camera(with_exif(make=make, model=model)) == name


@pytest.mark.parametrize("field", ["make", "model", "lens", "software"])
def test_a_column_shows_the_beginning_and_the_length(field: str) -> None:
    assert f"exif_{field}" in CSV_COLUMNS
    column = find_column(full_header(), f"exif_{field}")
    assert column.cell(with_exif(**{field: "x" * 128})) == "x" * 128
    cell = column.cell(with_exif(**{field: GRAPH}))
    assert cell == f"{GRAPH[:60]} ... ({len(GRAPH):,} characters, all of them in JSON)"


@pytest.mark.parametrize("field", ["make", "model", "software"])
def test_private_reports_have_no_prompt_there(field: str) -> None:
    for stated in (GRAPH, 'workflow:{"a": "Erika"}'):
        assert "Erika" not in repr(private_result(with_exif(**{field: stated})).facts.exif)
    exif = private_result(with_exif(**{field: "Acme"})).facts.exif
    assert (getattr(exif, field), exif.tags) == ("Acme", {f"Image {field.title()}": "Acme"})
