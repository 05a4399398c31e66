"""Small files that say something of their origin, built by hand; C2PA manifests have no signatures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

IPTC_URI = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED, PARTLY = f"{IPTC_URI}trainedAlgorithmicMedia", f"{IPTC_URI}compositeWithTrainedAlgorithmicMedia"
IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def jpeg(*segments: tuple[int, bytes], tail: bytes = b"") -> bytes:
    """A JPEG of these segments (marker, body) and a scan that nobody decodes."""
    frame = (0xC0, b"\x08\x00\x08\x00\x08\x01\x01\x11\x00")
    parts = [
        b"\xff\xd8",
        *(_segment(*each) for each in (*segments, frame, (0xDA, b"\x01\x01\x00\x00\x3f\x00"))),
    ]
    return b"".join(parts) + b"\x00" * 8 + b"\xff\xd9" + tail


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def png(*chunks: tuple[bytes, bytes], late: Sequence[tuple[bytes, bytes]] = (), tail: bytes = b"") -> bytes:
    """A PNG of one pixel with these chunks before its pixels, and the late ones behind them."""
    header = (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    data = (b"IDAT", zlib.compress(b"\x00\x00"))
    every = (header, *chunks, data, *late, (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*each) for each in every) + tail


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def text(key: str, value: str) -> tuple[bytes, bytes]:
    """A tEXt chunk."""
    return b"tEXt", key.encode("latin-1") + b"\x00" + value.encode("utf-8")


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(part)) + part + b"\x00" * (len(part) % 2) for kind, part in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def gif(*extensions: bytes) -> bytes:
    """A GIF of one pixel; an extension is its label and its blocks."""
    image = b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
    head = b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes(6)
    return head + b"".join(b"\x21" + each for each in extensions) + image + b"\x3b"


def blocks(data: bytes) -> bytes:
    """Bytes as blocks of GIF."""
    parts = [data[start : start + 255] for start in range(0, len(data), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\x00"


def tiff(tags: Mapping[int, tuple[int, bytes]], exif: Mapping[int, tuple[int, bytes]] | None = None) -> bytes:
    """A TIFF or EXIF block: tag -> (field type of one byte an entry, value)."""
    head = b"II*\x00\x08\x00\x00\x00"
    count = len(tags) + (exif is not None)
    at = 8 + 2 + 12 * count + 4
    entries, values = [], b""
    for tag, (kind, value) in sorted(tags.items()):
        entries.append(_entry(tag, kind, value, at + len(values)))
        values += value if len(value) > 4 else b""
    if exif is not None:
        entries.append(struct.pack("<HHII", 34665, 4, 1, at + len(values)))
        values += _directory(exif, at + len(values))
    return head + struct.pack("<H", count) + b"".join(entries) + bytes(4) + values


def _directory(tags: Mapping[int, tuple[int, bytes]], start: int) -> bytes:
    at, values, entries = start + 2 + 12 * len(tags) + 4, b"", []
    for tag, (kind, value) in sorted(tags.items()):
        entries.append(_entry(tag, kind, value, at + len(values)))
        values += value if len(value) > 4 else b""
    return struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4) + values


def _entry(tag: int, kind: int, value: bytes, at: int) -> bytes:
    held = value.ljust(4, b"\x00") if len(value) <= 4 else struct.pack("<I", at)
    return struct.pack("<HHI", tag, kind, len(value)) + held


def exif(comment: str | None = None, **fields: str) -> bytes:
    """An EXIF block with texts such as ``Make``, and perhaps a UserComment in UTF-16."""
    numbers = {"ImageDescription": 270, "Make": 271, "Model": 272, "Software": 305, "Artist": 315}
    tags = {numbers[name]: (2, value.encode() + b"\x00") for name, value in fields.items()}
    if comment is None:
        return tiff(tags)
    return tiff(tags, {37510: (7, b"UNICODE\x00" + comment.encode("utf-16-be"))})


def exif_jpeg(comment: str | None = None, **fields: str) -> bytes:
    return jpeg((0xE1, b"Exif\x00\x00" + exif(comment, **fields)))


def xmp(body: str = "", attributes: str = "", encoding: str = "utf-8") -> bytes:
    """An XMP packet with these properties."""
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:e="{IPTC_EXT}" xmlns:p="{PHOTOSHOP}" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:t="http://purl.org/dc/terms/" '
        'xmlns:x2="http://ns.adobe.com/exif/1.0/" xmlns:a="http://www.tc260.org.cn/ns/AIGC/1.0/" '
        f'xmlns:o="http://example.org/"{attributes}>{body}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    )
    return packet.encode(encoding)


def xmp_jpeg(body: str = "", attributes: str = "", encoding: str = "utf-8") -> bytes:
    return jpeg((0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + xmp(body, attributes, encoding)))


def iptc(*records: tuple[int, str]) -> bytes:
    """IIM records of application 2."""
    return b"".join(
        b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(value.encode())) + value.encode()
        for number, value in records
    )


def photoshop(records: bytes) -> bytes:
    """An image resource that holds IIM records."""
    return b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(records)) + records + b"\x00" * (len(records) % 2)


def iptc_jpeg(*records: tuple[int, str]) -> bytes:
    return jpeg((0xED, b"Photoshop 3.0\x00" + photoshop(iptc(*records))))


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def jumb(label: str, *parts: bytes) -> bytes:
    """A JUMBF box with a label."""
    return box(b"jumb", box(b"jumd", bytes(16), b"\x03", label.encode() + b"\x00"), *parts)


def cbor(value: Any) -> bytes:
    """A value as CBOR."""
    if isinstance(value, bool) or value is None:
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return _cbor_head(0, value) if value >= 0 else _cbor_head(1, -1 - value)
    if isinstance(value, bytes):
        return _cbor_head(2, len(value)) + value
    if isinstance(value, str):
        return _cbor_head(3, len(value.encode())) + value.encode()
    if isinstance(value, (list, tuple)):
        return _cbor_head(4, len(value)) + b"".join(map(cbor, value))
    pairs = b"".join(cbor(key) + cbor(entry) for key, entry in value.items())
    return _cbor_head(5, len(value)) + pairs


def _cbor_head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << (8 * size):
            return bytes([major << 5 | info]) + number.to_bytes(size, "big")
    raise ValueError("too large")


def action(name: str = "c2pa.created", source: str = "", agent: str = "", **more: Any) -> dict[str, Any]:
    return {
        "action": name,
        **({"digitalSourceType": source} if source else {}),
        **({"softwareAgent": agent} if agent else {}),
        **more,
    }


def manifest(
    label: str,
    *actions: dict[str, Any],
    generator: str = "Example/1.0",
    parent: str = "",
    component: str = "",
    signature: bytes = b"",
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """A manifest with these actions, and perhaps ingredients and other assertions."""
    assertions = [jumb("c2pa.actions.v2", box(b"cbor", cbor({"actions": list(actions)})))] if actions else []
    for number, (relation, other) in enumerate((("parentOf", parent), ("componentOf", component))):
        if other:
            ingredient = {"relationship": relation, "activeManifest": {"url": f"self#jumbf=/c2pa/{other}"}}
            assertions.append(jumb(f"c2pa.ingredient.v3__{number}", box(b"cbor", cbor(ingredient))))
    assertions += [jumb(name, box(b"cbor", cbor(value))) for name, value in (extra or {}).items()]
    parts = [
        jumb("c2pa.assertions", *assertions),
        jumb("c2pa.claim", box(b"cbor", cbor({"claim_generator": generator}))),
    ]
    if signature:
        parts.append(jumb("c2pa.signature", box(b"cbor", signature)))
    return jumb(label, *parts)


def store(*manifests: bytes) -> bytes:
    """A manifest store; the last manifest is active."""
    return jumb("c2pa", *manifests)


def c2pa_png(*manifests: bytes) -> bytes:
    return png((b"caBX", store(*manifests)))


def app11(block: bytes, part_size: int = 60_000, instance: int = 1) -> list[tuple[int, bytes]]:
    """A JUMBF box as segments of JPEG, in parts."""
    head, rest = block[:8], block[8:]
    parts = [rest[start : start + part_size] for start in range(0, len(rest), part_size)] or [b""]
    return [
        (0xEB, b"JP" + struct.pack(">HI", instance, number) + head + part)
        for number, part in enumerate(parts, 1)
    ]


def heif(block: bytes = b"", packet: bytes = b"", exif_block: bytes = b"", idat: bool = False) -> bytes:
    """Boxes of a HEIC file without an image: C2PA in a uuid box, XMP and EXIF as items."""
    items = [(b"mime", packet), (b"Exif", bytes(4) + exif_block)]
    infos = b""
    for number, (kind, _) in enumerate(items, 1):
        content = b"application/rdf+xml\x00" if kind == b"mime" else b""
        body = struct.pack(">BxxxHH", 2, number, 0) + kind + b"\x00" + content
        infos += box(b"infe", body)
    listing = box(b"iinf", struct.pack(">IH", 0, len(items)) + infos)
    ftyp = box(b"ftyp", b"heic\x00\x00\x00\x00heic")
    data = b"".join(part for _, part in items)

    def meta(start: int) -> bytes:
        locations, at = b"", start
        for number, (_, part) in enumerate(items, 1):
            locations += struct.pack(">HHHHII", number, int(idat), 0, 1, at, len(part))
            at += len(part)
        iloc = box(b"iloc", b"\x01\x00\x00\x00\x44\x00", struct.pack(">H", len(items)), locations)
        return box(b"meta", bytes(4), listing, iloc, box(b"idat", data) if idat else b"")

    start = 0 if idat else len(ftyp) + len(meta(0)) + 8
    uuid = box(b"uuid", _C2PA_UUID, bytes(4), b"manifest\x00", bytes(8), block) if block else b""
    return ftyp + meta(start) + (b"" if idat else box(b"mdat", data)) + uuid


def samsung_trailer(name: str, value: str) -> bytes:
    """A field and the directory that Samsung's phones write behind an image."""
    field = struct.pack("<HHI", 0, 0x0D91, len(name)) + name.encode() + value.encode()
    directory = b"SEFH" + struct.pack("<IIHHII", 107, 1, 0, 0x0D91, len(field), len(field))
    return field + directory + struct.pack("<I", len(directory)) + b"SEFT"
