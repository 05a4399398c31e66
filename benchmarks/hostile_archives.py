"""Archives that are made to stop a scan, one of each kind."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_MIB = 1 << 20
_MANY = 1_000_000


def local(name: bytes, content: bytes, flags: int = 0) -> bytes:
    """A member as it stands in a zip."""
    sizes = (zlib.crc32(content), len(content), len(content))
    return struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, flags, 0, 0, 33, *sizes, len(name), 0) + name + content


def central(
    name: bytes, offset: int, packed: int, size: int, crc: int, flags: int = 0, method: int = 0
) -> bytes:
    """An entry of a zip's directory."""
    fields = (20, 20, flags, method, 0, 33, crc, packed, size, len(name), 0, 0, 0, 0, 0, offset)
    return struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *fields) + name


def zip_of(content: bytes, entries: list[bytes]) -> bytes:
    """A zip of these bytes and this directory; with many entries a Zip64 one."""
    directory = b"".join(entries)
    count = len(entries)
    end = b""
    if count >= 0xFFFF:
        start = len(content) + len(directory)
        record = (44, 45, 45, 0, 0, count, count, len(directory), len(content))
        end = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", *record)
        end += struct.pack("<4sIQI", b"PK\x06\x07", 0, start, 1)
    stated = min(count, 0xFFFF)
    end += struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, stated, stated, len(directory), len(content), 0)
    return content + directory + end


def zeros(path: Path, mebibytes: int, method: int) -> None:
    """A zip with one image of zeros."""
    with (
        zipfile.ZipFile(path, "w", method) as archive,
        archive.open("bomb.png", "w", force_zip64=True) as member,
    ):
        for _ in range(mebibytes):
            member.write(bytes(_MIB))


def deflate_bomb(path: Path, _: bytes) -> None:
    """2 GiB of zeros, within what deflate can reach: beyond --max-bytes."""
    zeros(path, 2048, zipfile.ZIP_DEFLATED)


def deflate_bomb_within(path: Path, _: bytes) -> None:
    """1,000 MiB of zeros, less than --max-bytes."""
    zeros(path, 1000, zipfile.ZIP_DEFLATED)


def bzip2_bomb(path: Path, _: bytes) -> None:
    """512 MiB of zeros in some hundred bytes."""
    zeros(path, 512, zipfile.ZIP_BZIP2)


def lying(path: Path, _: bytes) -> None:
    """The directory states ten bytes; the content is 256 MiB."""
    zeros(path, 256, zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    at = raw.rfind(b"PK\x01\x02")
    raw[at + 24 : at + 28] = (10).to_bytes(4, "little")
    path.write_bytes(raw)


def xz_bomb(path: Path, image: bytes) -> None:
    """A tar of one image, then 512 MiB of zeros as another, by xz."""
    with lzma.open(path, "wb", preset=0) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        for name, content in (("good.jpg", image), ("bomb.png", bytes(512 * _MIB))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def overlapping(path: Path, image: bytes) -> None:
    """Fifield's kind: 20,000 entries for the same bytes."""
    entry = [
        central(b"%d.jpg" % number, 0, len(image), len(image), zlib.crc32(image)) for number in range(20_000)
    ]
    path.write_bytes(zip_of(local(b"0.jpg", image), entry))


def quoted(path: Path, image: bytes) -> None:
    """Fifield's other kind: each member's bytes contain all members behind it."""
    content, entries = b"", []
    for number in range(500):
        name = b"%d.jpg" % number
        content = local(name, content or image)
    at, rest = 0, content
    for number in reversed(range(500)):
        name = b"%d.jpg" % number
        rest = rest[30 + len(name) :]
        entries.append(central(name, at, len(rest), len(rest), zlib.crc32(rest)))
        at += 30 + len(name)
    path.write_bytes(zip_of(content, entries))


def many(path: Path, _: bytes) -> None:
    """A million entries."""
    content, entries = [], []
    offset = 0
    for number in range(_MANY):
        name = b"%d.jpg" % number
        member = local(name, b"x")
        content.append(member)
        entries.append(central(name, offset, 1, 1, zlib.crc32(b"x")))
        offset += len(member)
    path.write_bytes(zip_of(b"".join(content), entries))


def names(path: Path, image: bytes) -> None:
    """Absolute, upwards, not UTF-8, with control characters, of 60,000 characters, and two alike."""
    content, entries = b"", []
    odd = (b"/etc/a.jpg", b"../../a.jpg", b"..\\a.jpg", b"caf\xe9\xff.jpg", b"a\x1b[31m\n.jpg", b"=1+1.jpg")
    for name in (*odd, b"x" * 60_000 + b".jpg", b"same.jpg", b"same.jpg"):
        entries.append(central(name, len(content), len(image), len(image), zlib.crc32(image), 0x800))
        content += local(name, image, 0x800)
    path.write_bytes(zip_of(content, entries))


def encrypted(path: Path, image: bytes) -> None:
    """One encrypted member, one in the clear."""
    first, second = local(b"a.jpg", image, 1), local(b"b.jpg", image)
    size, crc = len(image), zlib.crc32(image)
    entries = [
        central(b"a.jpg", 0, size, size, crc, 1),
        central(b"b.jpg", len(first), size, size, crc),
    ]
    path.write_bytes(zip_of(first + second, entries))


def methods(path: Path, image: bytes) -> None:
    """Deflate64, LZMA, Zstandard, and one that nobody has."""
    content, entries = b"", []
    for number in (9, 14, 93, 255):
        name = b"%d.jpg" % number
        entries.append(central(name, len(content), len(image), len(image), zlib.crc32(image), 0, number))
        content += local(name, image)
    path.write_bytes(zip_of(content, entries))


def levels(path: Path, image: bytes) -> None:
    """Eight zips in one another."""
    content, name = image, "inner.jpg"
    for _ in range(8):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, content)
        content, name = file.getvalue(), "inner.zip"
    path.write_bytes(content)


def cut_zip(path: Path, image: bytes) -> None:
    """A zip of ten images without its end."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(10):
            archive.writestr(f"{number}.jpg", image)
    path.write_bytes(path.read_bytes()[: 5 * len(image)])


def cut_tar(path: Path, image: bytes) -> None:
    """The same of a tar.gz."""
    with tarfile.open(path, "w:gz") as archive:
        for number in range(10):
            info = tarfile.TarInfo(f"{number}.jpg")
            info.size = len(image)
            archive.addfile(info, io.BytesIO(image))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def links(path: Path, _: bytes) -> None:
    """Links to a file of the system, and a device."""
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"{kind.decode()}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)


def long_header(path: Path, _: bytes) -> None:
    """A tar whose extended header states 7 GiB, and holds none of it."""
    info = tarfile.TarInfo("a.jpg")
    info.type, info.size = tarfile.XHDTYPE, 7 << 30
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


KINDS: Mapping[str, Callable[[Path, bytes], None]] = {
    "deflate-2GiB.zip": deflate_bomb,
    "deflate-1000MiB.zip": deflate_bomb_within,
    "bzip2.zip": bzip2_bomb,
    "lying.zip": lying,
    "bomb.tar.xz": xz_bomb,
    "same-bytes.zip": overlapping,
    "quoted.zip": quoted,
    "million.zip": many,
    "names.zip": names,
    "encrypted.zip": encrypted,
    "methods.zip": methods,
    "nested.zip": levels,
    "cut.zip": cut_zip,
    "cut.tar.gz": cut_tar,
    "links.tar": links,
    "long-header.tar": long_header,
}


def write_all(folder: Path, image: bytes) -> Iterator[Path]:
    """One archive of each kind; each is yielded once it is written."""
    for name, write in KINDS.items():
        write(folder / name, image)
        yield folder / name
