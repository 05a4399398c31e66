"""Parts of an inventory that somebody made to unpack to more than memory or a disk holds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sidscan.errors import UsageError
from sidscan.sources.inventory import read_inventory, read_manifest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"a" * (1 << 22), "a row of it has more than 1048576 characters", id="no line"),
        pytest.param(
            b'"\n",' * (1 << 20), "a row of it has more than 1048576 characters", id="a row of lines"
        ),
        pytest.param(b"b,k\n" * (1 << 20), "it unpacks to more than 250 times its size", id="equal rows"),
    ],
)
def test_an_endless_part_is_refused(tmp_path: Path, text: bytes, words: str) -> None:
    part = tmp_path / "part.csv.gz"
    part.write_bytes(gzip.compress(text))
    manifest = tmp_path / "manifest.json"
    stated = {"fileFormat": "CSV", "fileSchema": "Bucket, Key", "files": [{"key": f"data/{part.name}"}]}
    manifest.write_text(json.dumps(stated))
    read = read_manifest(str(manifest))
    assert read is not None
    rows = read_inventory(str(manifest), read, None)
    with pytest.raises(UsageError) as refused:
        assert all((row.bucket, row.key) == ("b", "k") for row in rows)
    assert refused.value.message == f"{part} is no inventory, or damaged: {words}"
