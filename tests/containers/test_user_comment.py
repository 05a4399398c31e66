"""EXIF's UserComment in the codes and byte orders that writers use."""

from __future__ import annotations

import pytest

from sidscan.containers.user_comment import decode_user_comment

UNICODE = b"UNICODE\x00"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(UNICODE + "a harbour".encode("utf-16-le"), "a harbour", id="little-endian"),
        pytest.param(UNICODE + "a harbour".encode("utf-16-be"), "a harbour", id="big-endian"),
        pytest.param(UNICODE + "港 at night".encode("utf-16-be"), "港 at night", id="no ASCII at first"),
        pytest.param(UNICODE + "港町".encode("utf-16-le"), "港町", id="Chinese alone"),
        pytest.param(UNICODE + "a harbour".encode("utf-16"), "a harbour", id="byte order mark"),
        pytest.param(UNICODE + "ein Hafen für Boote".encode(), "ein Hafen für Boote", id="UTF-8"),
        pytest.param(UNICODE, "", id="empty"),
        pytest.param(b"ASCII\x00\x00\x00harbour", "harbour", id="ASCII"),
        pytest.param(bytes(8) + b"harbour\x00", "harbour", id="code unknown"),
        pytest.param(b"JIS\x00\x00\x00\x00\x00x", None, id="JIS"),
        pytest.param(b"a harbour at night", None, id="no code"),
    ],
)
def test_the_text_of_a_user_comment(raw: bytes, text: str | None) -> None:
    assert decode_user_comment(raw) == text
