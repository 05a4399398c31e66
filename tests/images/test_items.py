"""The facts of a file besides its pixels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sample_images import encoded, photo

from sidscan.config import ScanConfig
from sidscan.fetch.client import Fetcher
from sidscan.images.items import load_file
from sidscan.isolation.reader import IsolatedReader, read_item
from sidscan.records import DecodedImage, Failure, Item


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(1_614_834_367.75, "2021-03-04T05:06:07+00:00", id="today's files"),
        pytest.param(0, "1970-01-01T00:00:00+00:00", id="no time was kept"),
        pytest.param(-1, "1969-12-31T23:59:59+00:00", id="before 1970"),
    ],
)
def test_a_file_has_its_time_of_modification(tmp_path: Path, seconds: float, expected: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"any bytes")
    os.utime(path, (0, seconds))
    loaded = load_file(Item(str(path)), max_bytes=100)
    assert not isinstance(loaded, Failure)
    assert loaded[1].modified_at == expected


@pytest.mark.parametrize("isolation", [True, False], ids=["in a worker", "in the scan"])
def test_readers_state_the_time(tmp_path: Path, isolation: bool) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photo(64, 64), "JPEG"))
    os.utime(path, (0, 86_400))
    config = ScanConfig(inputs=(str(path),), isolation=isolation)
    fetcher = Fetcher(config)
    if isolation:
        reader = IsolatedReader(config, fetcher)
        read = reader(Item(str(path)))
        reader.close()
    else:
        read = read_item(Item(str(path)), config, fetcher)
    assert isinstance(read, DecodedImage)
    assert read.facts.modified_at == "1970-01-02T00:00:00+00:00"
