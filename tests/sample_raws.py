"""Camera raw files with invented contents: headers written by hand, JPEG previews, random raw samples."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from sample_images import encoded, photo

SIZE, PREVIEW = (640, 480), (320, 240)
CFA, LINEAR_RAW, RGB, YCBCR = 32803, 34892, 2, 6
_BYTE, _ASCII, _LONG = 1, 2, 4

Value = int | str | bytes | tuple[int, ...]
Tags = Mapping[int, Value]


def preview(size: tuple[int, int] = PREVIEW, seed: int = 0) -> bytes:
    """A JPEG, as cameras put it beside raw samples."""
    return encoded(photo(*size, seed), "JPEG", quality=90)


def samples(count: int = 5000) -> bytes:
    """Raw samples, which are noise to everybody else; no JPEG begins in them."""
    return np.random.default_rng(0).integers(0, 255, count, dtype=np.uint8).tobytes()


class TiffFile:
    """A little-endian or big-endian TIFF that is written piece by piece (TIFF 6.0, section 2)."""

    def __init__(self, order: str = "<", magic: bytes = b"") -> None:
        self._order = order
        head = magic or (b"II*\x00" if order == "<" else b"MM\x00*")
        self.data = bytearray(head + bytes(4))

    def add(self, blob: bytes) -> int:
        """Where the bytes now lie."""
        offset = len(self.data)
        self.data += blob
        return offset

    def directory(self, tags: Tags, next_offset: int = 0) -> int:
        """A directory; returns its offset."""
        fields = b""
        for tag, value in sorted(tags.items()):
            kind, count, raw = self._field(value)
            place = raw.ljust(4, b"\x00") if len(raw) <= 4 else struct.pack(f"{self._order}I", self.add(raw))
            fields += struct.pack(f"{self._order}HHI", tag, kind, count) + place
        return self.add(
            struct.pack(f"{self._order}H", len(tags)) + fields + struct.pack(f"{self._order}I", next_offset)
        )

    def _field(self, value: Value) -> tuple[int, int, bytes]:
        """Type, count and bytes of a tag's value."""
        if isinstance(value, str):
            return _ASCII, len(value) + 1, value.encode() + b"\x00"
        if isinstance(value, bytes):
            return _BYTE, len(value), value
        values = (value,) if isinstance(value, int) else value
        return _LONG, len(values), struct.pack(f"{self._order}{len(values)}I", *values)

    def finish(self, first: int) -> bytes:
        """The file, whose first directory is that one."""
        self.data[4:8] = struct.pack(f"{self._order}I", first)
        return bytes(self.data)


def image_tags(
    size: tuple[int, int], photometric: int, offset: int, length: int, **more: int
) -> dict[int, int]:
    """The tags of an image of one strip."""
    bits, samples_per_pixel = (8, 3) if photometric in (RGB, YCBCR) else (14, 1)
    tags = {254: 0, 256: size[0], 257: size[1], 258: bits, 259: 1, 262: photometric, 273: offset}
    tags |= {277: samples_per_pixel, 278: size[1], 279: length}
    return tags | {int(name[1:]): value for name, value in more.items()}


def raw_tiff(
    make: str = "ACME",
    order: str = "<",
    photometric: int = CFA,
    jpeg: bytes = b"",
    first: Tags | None = None,
    magic: bytes = b"",
    **more: int,
) -> bytes:
    """A raw file like most: a small RGB copy in the first directory, the samples and a JPEG in SubIFDs.

    Args:
        first: tags that are added to the first directory.
        more: tags that are added to the raw one, ``t`` and their number.
    """
    file = TiffFile(order, magic)
    small = photo(80, 60).tobytes()
    thumbnail = image_tags((80, 60), RGB, file.add(small), len(small), t254=1)
    blob = samples()
    children = [file.directory(image_tags(SIZE, photometric, file.add(blob), len(blob), **more))]
    if jpeg:
        tags = {254: 1, 259: 6, 513: file.add(jpeg), 514: len(jpeg)}
        children.append(file.directory(tags))
    top: dict[int, Value] = {**thumbnail, 271: make, 330: tuple(children)}
    return file.finish(file.directory(top | dict(first or {})))


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def cr3(jpeg: bytes) -> bytes:
    """Like Canon's: the size in a TIFF block in a box of Canon's own, the JPEG among the media data."""
    blocks: dict[bytes, Tags] = {
        b"CMT1": {256: SIZE[0], 257: SIZE[1], 271: "Canon", 274: 6},
        b"CMT2": {36867: "2021:02:03 04:05:06"},
    }
    parts = []
    for kind, tags in blocks.items():
        file = TiffFile()
        parts.append(box(kind, file.finish(file.directory(tags))))
    movie = box(b"moov", box(b"uuid", bytes(16), box(b"CNCV", b"CanonCR3"), *parts))
    return box(b"ftyp", b"crx ", bytes(4), b"crx isom") + movie + box(b"mdat", jpeg, samples())


def raf(jpeg: bytes) -> bytes:
    """Like Fujifilm's: a fixed header, a JPEG, then tags with the size."""
    tags = struct.pack(">IHHHH", 1, 0x0111, 4, SIZE[1], SIZE[0])
    start = 148
    head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\x00")
    head += struct.pack(">IIII", start, len(jpeg), start + len(jpeg), len(tags))
    return head.ljust(start, b"\x00") + jpeg + tags + samples()


def rw2(jpeg: bytes) -> bytes:
    """Like Panasonic's: the borders of the sensor's area as tags, and a JPEG as the value of one."""
    file = TiffFile(magic=b"IIU\x00")
    borders = {4: 10, 5: 20, 6: 10 + SIZE[1], 7: 20 + SIZE[0]}
    tags: Tags = {**borders, 271: "Panasonic", 273: file.add(samples()), 46: file.add(jpeg)}
    return file.finish(file.directory(tags))


def cr2(jpeg: bytes) -> bytes:
    """Like Canon's older ones: the JPEG is the first directory's image, EXIF has the size."""
    file = TiffFile()
    file.data += b"CR\x02\x00" + bytes(4)
    exif = file.directory({40962: SIZE[0], 40963: SIZE[1]})
    tags = image_tags(PREVIEW, YCBCR, file.add(jpeg), len(jpeg), t259=6, t34665=exif)
    lossless = b"\xff\xd8\xff\xc3\x00\x11\x0e" + struct.pack(">HH", 1000, 2000) + b"\x02" + bytes(6)
    raw = file.directory({259: 6, 273: file.add(lossless + samples()), 279: 5000})
    first = file.directory({**tags, 271: "Canon"}, next_offset=raw)
    return file.finish(first)


def x3f(jpeg: bytes) -> bytes:
    """Like Sigma's: a header with the size, then sections."""
    return b"FOVb" + bytes(24) + struct.pack("<II", *SIZE) + samples() + jpeg


def mrw(jpeg: bytes) -> bytes:
    """Like Minolta's: a block with the sizes of the sensor and the photograph, height before width."""
    sizes = struct.pack(">HHHH", SIZE[1] + 8, SIZE[0] + 8, SIZE[1], SIZE[0])
    return b"\x00MRM" + bytes(4) + b"\x00PRD" + struct.pack(">I", 24) + b"21810002" + sizes + samples() + jpeg


def orf(jpeg: bytes) -> bytes:
    """Like Olympus': a TIFF with other first bytes, whose JPEG only the maker note names."""
    file = TiffFile(magic=b"IIRO")
    file.add(jpeg)
    blob = samples()
    return file.finish(file.directory(image_tags(SIZE, 1, file.add(blob), len(blob))))


def dng() -> bytes:
    """The least that LibRaw develops: samples of 16 bits behind a Bayer pattern, turned by EXIF."""
    width, height = SIZE
    values = np.add.outer(np.arange(height), np.arange(width)) * 50 % 60000
    file = TiffFile()
    blob = values.astype("<u2").tobytes()
    page = image_tags(SIZE, CFA, file.add(blob), len(blob), t258=16, t274=6)
    pattern: Tags = {33421: (2, 2), 33422: b"\x00\x01\x01\x02", 50706: b"\x01\x04\x00\x00", 50708: "Acme One"}
    return file.finish(file.directory({**page, **pattern}))
