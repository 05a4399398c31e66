"""An error of a reader of metadata costs an image its provenance and traces, never its crops."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_images import encoded, photo

from sidscan.config import ScanConfig
from sidscan.isolation.reader import read_item
from sidscan.provenance.metadata import Metadata
from sidscan.records import DecodedImage, Item


def test_an_error_costs_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes, most_bytes: int) -> Metadata:
        raise MemoryError

    monkeypatch.setattr(Metadata, "of_file", fail)
    (tmp_path / "a.png").write_bytes(encoded(photo(64, 64), "PNG"))
    result = read_item(Item(str(tmp_path / "a.png")), ScanConfig(inputs=("unused",)))
    assert isinstance(result, DecodedImage)
    assert result.facts.provenance is not None
    assert result.facts.provenance.verdict == "unreadable"
    assert result.facts.traces is None
