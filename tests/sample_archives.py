"""Archives for tests, whole and hostile, made on the spot."""

from __future__ import annotations

import io
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

Members = Sequence[tuple[str, bytes]]
TARS = {"plain": "", "gzip": "gz", "bzip2": "bz2", "xz": "xz"}


def write_zip(path: Path, members: Members, method: int = zipfile.ZIP_STORED) -> Path:
    """A zip of these members; one name may come twice."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name, content)
    return path


def write_tar(path: Path, members: Members, compression: str = "", mtime: int = 1_000_000_000) -> Path:
    """A tar of these members."""
    with tarfile.open(path, f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), mtime
            archive.addfile(info, io.BytesIO(content))
    return path


def write_archive(path: Path, kind: str, members: Members) -> Path:
    """A zip, or a tar of the compression that ``kind`` names."""
    return write_zip(path, members) if kind == "zip" else write_tar(path, members, kind)


def write_links(path: Path) -> Path:
    """A tar of links and a device."""
    kinds = {"sym.png": tarfile.SYMTYPE, "hard.png": tarfile.LNKTYPE, "null.png": tarfile.CHRTYPE}
    with tarfile.open(path, "w") as archive:
        for name, kind in kinds.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    return path


def write_by_hand(path: Path, entries: Sequence[Mapping[str, object]], content: bytes = b"") -> Path:
    """A zip whose directory says what ``entries`` say, in front of which ``content`` stands as it is.

    Each entry has ``name`` (bytes) and may have offset, size, packed, crc, method, flags.
    """
    parts: list[bytes] = []
    for entry in entries:
        name = entry["name"]
        assert isinstance(name, bytes)
        number = {key: value for key, value in entry.items() if isinstance(value, int)}
        fixed = struct.pack(
            "<4s6H3I5H2I",
            b"PK\x01\x02",
            20,
            20,
            number.get("flags", 0),
            number.get("method", 0),
            0,
            0x21,
            number.get("crc", 0),
            number.get("packed", number.get("size", 0)),
            number.get("size", 0),
            len(name),
            0,
            0,
            0,
            0,
            0,
            number.get("offset", 0),
        )
        parts.append(fixed + name)
    directory = b"".join(parts)
    end = struct.pack(
        "<4s4H2IH",
        b"PK\x05\x06",
        0,
        0,
        len(entries) & 0xFFFF,
        len(entries) & 0xFFFF,
        len(directory),
        len(content),
        0,
    )
    path.write_bytes(content + directory + end)
    return path


def local_entry(
    name: bytes, content: bytes, method: int = 0, flags: int = 0, crc: int | None = None
) -> bytes:
    """A member as it stands in a zip: its own header, and its content as it is."""
    checksum = zlib.crc32(content) if crc is None else crc
    sizes = (checksum, len(content), len(content))
    return (
        struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, flags, method, 0, 0x21, *sizes, len(name), 0)
        + name
        + content
    )


def write_overlapping(path: Path, first: bytes, second: bytes) -> Path:
    """As in D. Fifield's zip bombs (WOOT 2019): the first member's bytes hold the second member."""
    inner = local_entry(b"b.png", second)
    start = local_entry(b"a.png", first)
    entries = [
        {"name": b"a.png", "size": len(first + inner), "crc": zlib.crc32(first + inner)},
        {"name": b"b.png", "offset": len(start), "size": len(second), "crc": zlib.crc32(second)},
    ]
    return write_by_hand(path, entries, start + inner)


def write_bomb(
    path: Path, name: str = "bomb.png", size: int = 8 << 20, method: int = zipfile.ZIP_BZIP2
) -> Path:
    """A zip of zeros; bzip2 packs more tightly than deflate can."""
    return write_zip(path, [(name, bytes(size))], method)


def nested(levels: int, innermost: bytes) -> bytes:
    """Zips in zips."""
    content, name = innermost, "inner.png"
    for _ in range(levels):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, content)
        content, name = file.getvalue(), "inner.zip"
    return content
