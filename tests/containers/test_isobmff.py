"""Boxes of HEIC and AVIF: what turns the primary image, and malformed files."""

from __future__ import annotations

import struct

import pytest
from counted_steps import at_most
from hypothesis import given
from hypothesis import strategies as st

from sidscan.containers.isobmff import is_turned


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def heic(
    properties: list[bytes], associations: dict[int, list[int]], primary: int = 1, wide: int = 0
) -> bytes:
    """A file without images: a primary item, properties, and which item has which of them."""
    index, identifier = (">H", ">I") if wide else (">B", ">H")
    entries = b"".join(
        struct.pack(identifier, item)
        + bytes([len(numbers)])
        + b"".join(struct.pack(index, number) for number in numbers)
        for item, numbers in associations.items()
    )
    association = struct.pack(">BBHI", wide, 0, wide, len(associations)) + entries
    item = struct.pack(">I" if wide else ">H", primary)
    meta = _box(
        b"meta",
        bytes(4),
        _box(b"pitm", struct.pack(">I", wide << 24), item),
        _box(b"iprp", _box(b"ipco", *properties), _box(b"ipma", association)),
    )
    return _box(b"ftyp", b"heic", bytes(4)) + meta


SIZE = _box(b"ispe", bytes(12))
TURNED, UPRIGHT, MIRRORED = _box(b"irot", b"\x01"), _box(b"irot", b"\x00"), _box(b"imir", b"\x00")


@pytest.mark.parametrize("wide", [0, 1])
@pytest.mark.parametrize(
    ("properties", "associations", "turned"),
    [
        pytest.param([SIZE, TURNED], {1: [1, 2]}, True, id="rotation"),
        pytest.param([SIZE, MIRRORED], {1: [1, 2]}, True, id="mirroring"),
        pytest.param([SIZE, UPRIGHT], {1: [1, 2]}, False, id="rotation by nothing"),
        pytest.param([SIZE, TURNED], {1: [1], 2: [1, 2]}, False, id="of another item"),
        pytest.param([SIZE, TURNED], {2: [1], 1: [1, 2]}, True, id="behind another item"),
        pytest.param([SIZE, TURNED], {1: [1, 9, 0]}, False, id="no such property"),
        pytest.param([SIZE], {}, False, id="no association"),
    ],
)
def test_the_primary_items_properties_tell(
    properties: list[bytes], associations: dict[int, list[int]], turned: bool, wide: int
) -> None:
    assert is_turned(heic(properties, associations, wide=wide)) is turned


def test_an_essential_property_counts() -> None:
    assert is_turned(heic([SIZE, TURNED], {1: [1, 0x82]}))


@given(st.integers(0, 200), st.binary(max_size=20))
def test_malformed_files_are_not_turned_and_raise_nothing(cut: int, tail: bytes) -> None:
    data = heic([SIZE, TURNED], {1: [1, 2]})
    assert is_turned(data[:cut] + tail) in (True, False)
    assert not is_turned(data[: min(cut, 20)] + tail)


@pytest.mark.parametrize(
    ("num_properties", "num_items"), [(1, 400_000), (400_000, 1)], ids=["associations", "properties"]
)
def test_any_number_of_entries_is_little_work(num_properties: int, num_items: int) -> None:
    data = heic([UPRIGHT] * num_properties, {item: [] for item in range(2, 2 + num_items)}, wide=1)
    with at_most(1_500_000):
        assert not is_turned(data)
