"""Does damage in metadata or later frames ever change or cost an image?

    python benchmarks/metadata_mutations.py --count 5000 --out FILE

Small images in every format, with EXIF, colour profiles, text, pages and frames, are damaged outside of
their pixels: a chunk, segment, box or field, its length, checksum or name, or a later frame. Each is decoded
as a scan does. Its pixels must equal those of the undamaged image, or its row must have a flag that says what
was left out. Fewer than one in a thousand may end without pixels: where a name and a length are damaged at
once, nothing tells metadata from pixels.
"""

from __future__ import annotations

import argparse
import random
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import mutations
import numpy as np
from harness import Verdicts
from numpy.typing import NDArray

from sidscan.images.decode import decode
from sidscan.images.errors import Truncated

# The flags that say that something was left out, or that the pixels may not be all there.
_REMARKS = {"metadata_skipped", "first_frame", "maybe_truncated", "reduced_page", "preview"}
_GIF_IMAGE, _JPEG_SOS = b",", 0xDA
_TIFF_PIXELS = {*range(254, 260), 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, *range(320, 326)}
_TIFF_PIXELS |= {332, 338, 339, 347, *range(512, 522), *range(529, 533)}
Span = tuple[str, int, int]  # what it is, and where its bytes begin and end
Pixels = NDArray[np.uint8]


def ancillary(name: str, data: bytes) -> list[Span]:
    """The parts of a file that its pixels don't need."""
    readers: dict[str, Callable[[bytes], Iterator[Span]]] = {
        "png": _png,
        "jpg": _jpeg,
        "mpo": _jpeg,
        "webp": _webp,
        "tif": _tiff,
        "gif": _gif,
        "avif": _boxes,
        "heic": _boxes,
    }
    reader = readers.get(name.rsplit(".", 1)[1])
    return list(reader(data)) if reader else []


def _png(data: bytes) -> Iterator[Span]:
    at = 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"fcTL", b"fdAT", b"acTL"):
            yield "png frame", at, at + 12 + size
        elif kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            yield "png chunk", at, at + 12 + size
        at += 12 + size


def _jpeg(data: bytes) -> Iterator[Span]:
    at = 2
    while data[at + 1] != _JPEG_SOS:
        size = int.from_bytes(data[at + 2 : at + 4], "big") + 2
        is_adobe = data[at + 1] == 0xEE  # it says how colours are stored
        if (0xE0 <= data[at + 1] <= 0xEF or data[at + 1] == 0xFE) and not is_adobe:
            yield (
                "jpeg segment",
                at + (at == 2),
                at + size,
            )  # the first byte is a part of the file's signature
        at += size
    end = data.find(b"\xff\xd9", at)
    if end + 2 < len(data) and b"MPF\0" in data:
        yield "mpo frame", end + 2, len(data)


def _webp(data: bytes) -> Iterator[Span]:
    at, images = 12, 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        end = at + 8 + size + size % 2
        if kind == b"ANMF":
            images += 1
            if images > 1:
                yield "webp frame", at, end
        elif kind in (b"ICCP", b"EXIF", b"XMP "):
            yield "webp chunk", at, end
        at = end


def _tiff(data: bytes) -> Iterator[Span]:
    order = "<" if data.startswith(b"II") else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(order + "H", data, entry)
        if tag not in _TIFF_PIXELS and tag != 274:
            yield "tiff field", entry + 2, entry + 12  # its tag is left alone: it may become another
    (following,) = struct.unpack_from(order + "I", data, at + 2 + 12 * count)
    if following:
        yield "tiff page", at + 2 + 12 * count, at + 6 + 12 * count
        yield "tiff page", following, following + 100


def _gif(data: bytes) -> Iterator[Span]:
    at, images = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0), 0
    while at < len(data) and data[at] != 0x3B:
        start, is_image = at, data[at : at + 1] == _GIF_IMAGE
        at += 11 + (3 << ((data[at + 9] & 7) + 1) if data[at + 9] & 0x80 else 0) if is_image else 2
        while data[at]:
            at += 1 + data[at]
        at += 1
        images += is_image
        if images > 1 or (images == 1 and not is_image):
            yield "gif frame", start, at
        elif not is_image and data[start + 1] != 0xF9:
            yield "gif extension", start, at


def _boxes(data: bytes) -> Iterator[Span]:
    for kind in (b"Exif\0", b"mime", b"prof", b"moov"):
        at = data.find(kind)
        if at >= 0:
            yield "box", at, at + 40 if kind == b"moov" else at + 4
    if (at := data.rfind(b"MM\0*")) >= 0:
        yield "box content", at, at + 40


def damage(data: bytes, span: tuple[int, int], chance: random.Random) -> tuple[str, bytes]:
    """One kind of damage within a part, and its name."""
    start, end = span
    part = bytearray(data[start:end])
    kind = chance.choice(
        ("bits", "zeros", "ones", "length", "grow", "shrink", "cut here", "twice", "checksum")
    )
    if kind == "bits":
        for _ in range(chance.choice((1, 1, 3, 16))):
            part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
    elif kind in ("zeros", "ones"):
        at, count = chance.randrange(len(part)), chance.choice((1, 4, 30))
        part[at : at + count] = (b"\0" if kind == "zeros" else b"\xff") * len(part[at : at + count])
    elif kind == "length":
        at = chance.randrange(min(len(part), 10))
        value = chance.choice((0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
        packed = struct.pack(chance.choice("<>") + "I", value)[chance.choice((0, 2)) :]
        part[at : at + len(packed)] = packed[: len(part) - at]
    elif kind == "grow":
        at = chance.randrange(len(part))
        part[at:at] = chance.randbytes(chance.choice((1, 2, 100)))
    elif kind == "shrink":
        at = chance.randrange(len(part))
        del part[at : at + chance.choice((1, 2, 20))]
    elif kind == "twice":
        part *= 2
    elif kind == "checksum" and len(part) > 12:
        part[-4:] = struct.pack(">I", zlib.crc32(part[4:-4]) ^ chance.choice((1, 0xFFFF)))
    return kind, data[:start] + bytes(part) + (b"" if kind == "cut here" else data[end:])


def moves_pixels(name: str, kind: str) -> bool:
    """Whether a part's size can't change without damage to the offsets of pixels."""
    return kind in ("grow", "shrink", "twice") and name.rsplit(".", 1)[1] in ("tif", "avif", "heic")


def cuts_pixels(data: bytes, end: int, part: str) -> bool:
    """Whether pixels of the first image follow a part, so that a file that ends there has lost them."""
    return b"IDAT" in data[end:] or ("frame" not in part and end < len(data) - 12)


def outcome(data: bytes, expected: Pixels) -> tuple[str, str]:
    """What became of the pixels: equal, flagged, failed, truncated or WRONG; and the error or the flags."""
    try:
        source = decode(data)
        pixels = np.asarray(source.image.convert("RGB"))
    except Truncated as error:
        return "truncated", str(error)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
    if pixels.shape == expected.shape and np.array_equal(pixels, expected):
        return ("equal, flagged" if _REMARKS & set(source.flags) else "equal"), ""
    return ("other pixels, flagged" if _REMARKS & set(source.flags) else "WRONG"), " ".join(source.flags)


def main() -> int:
    """Damage, decode, print the table, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, help="print so many of what did not stay equal")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chance, pool = random.Random(options.seed), mutations.seeds(options.seed)
    expected = {name: np.asarray(decode(data).image.convert("RGB")) for name, data in pool.items()}
    parts = {name: spans for name in pool if (spans := ancillary(name, pool[name]))}
    table: dict[str, Counter[str]] = {}
    done = shown = 0
    while done < options.count:
        name = chance.choice(list(parts))
        part, start, end = chance.choice(parts[name])
        kind, data = damage(pool[name], (start, end), chance)
        if moves_pixels(name, kind) or (kind == "cut here" and cuts_pixels(pool[name], end, part)):
            continue
        done += 1
        result, detail = outcome(data, expected[name])
        table.setdefault(f"{part}, {kind}", Counter())[result] += 1
        if not result.startswith("equal") and shown < options.show:
            shown += 1
            print(
                f"{name} {part} {kind} {start}:{end} {result}: {detail[:60]} {data[start : start + 40].hex()}"
            )
    return report(options.count, table, options.out)


def report(count: int, table: dict[str, Counter[str]], out: Path | None) -> int:
    """Print the table and the promises; the exit code."""
    columns = ("equal", "equal, flagged", "other pixels, flagged", "truncated", "failed", "WRONG")
    print(f"{'damage':28}" + "".join(f"{column:>23}" for column in columns))
    for kind, row in sorted(table.items()):
        print(f"{kind:28}" + "".join(f"{row[column]:23}" for column in columns))
    total = sum(table.values(), Counter())
    verdicts = Verdicts("metadata_mutations")
    verdicts.result["table"] = {kind: dict(row) for kind, row in sorted(table.items())}
    verdicts.check(
        "each has equal pixels or a flag", not total["WRONG"], f"{total['WRONG']} of {count} have not"
    )
    lost = total["failed"] + total["truncated"]
    verdicts.check("fewer than 1 of 1,000 have no pixels", 1000 * lost < count, f"{lost} of {count}")
    return verdicts.end(out)


if __name__ == "__main__":
    raise SystemExit(main())
