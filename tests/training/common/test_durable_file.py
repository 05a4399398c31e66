"""Files of scores: what is emptied when an evaluation starts over."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidscan.errors import OutputError
from sidscan.training.common.durable_file import DurableFile

HEADER = b"set,path,label,iou\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"set,pa", HEADER, HEADER + b"a,1,real,2\n", b"set,path,label,generator\na,1,real,x\n"],
    ids=["empty", "cut", "header", "scores", "another version"],
)
def test_fresh_empties_a_scores_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    with DurableFile(path, HEADER, fresh=True) as file:
        file.append_text("a,2,real,3\n")
    assert path.read_bytes() == HEADER + b"a,2,real,3\n"


@pytest.mark.parametrize("content", [b"my notes\n", b"set,label,score\n", b"\0" * 40])
def test_a_file_of_another_kind_is_never_emptied(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    for fresh in (False, True):
        with pytest.raises(OutputError):
            DurableFile(path, HEADER, fresh)
        assert path.read_bytes() == content
